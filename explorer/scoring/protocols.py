"""Protocols: the sizes, IoU thresholds, limits and ignored objects by which a benchmark scores detections.

| protocol | sizes, as sides of squares in px | IoU | most detections | else |
| --- | --- | --- | --- | --- |
| `coco` | small < 32 ≤ medium < 96 ≤ large | 0.5 … 0.95 | 1, 10, 100 of a class in an image | |
| `ai-tod` | very tiny < 8, tiny < 16, small < 32, medium above | 0.5 … 0.95 | 1, 100, 1500 | |
| `soda` | extremely small < 12, relatively < 20, generally < 32, normal to 2000 px² | 0.5 … 0.95 | 20,000 | (1) |
| `soda-d` | as `soda` | 0.5 … 0.95 | 100 | (1) |
| `tinyperson` | tiny1 1–8, tiny2 < 12, tiny3 < 20, small < 32, reasonable | 0.25, 0.5, 0.75 | 200 | (2) |
| `visdrone` | none | 0.5 … 0.95 | 1, 10, 100, 500 of an image, all classes together | (3) |

(1) Objects above 2000 px² are ignored. The AP of its papers is that of `small`, all below 32. SODA-A's evaluator counts
20,000 detections, SODA-D's 100 for AP.
(2) `tiny` is 1–20. A detection without an object does not count where it lies in an ignored object, of another size
too, by a share of at least the IoU threshold.
(3) What lies in ignored regions goes (`explorer.scoring.ignored`), and AP is the area under the whole curve.

Source: Lin et al., Microsoft COCO, ECCV 2014, and pycocotools · Wang et al., Tiny object detection in aerial images,
ICPR 2020, and its `aitodpycocotools` · Cheng et al., Towards large-scale small object detection, TPAMI 2023, and its
`SODADeval` · Yu et al., Scale match for tiny person detection, WACV 2020, and its TinyBenchmark · Zhu et al., Detection
and tracking meet drones challenge, TPAMI 2021, and the VisDrone2018-DET toolkit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from explorer.scoring.sizes import ALL, COCO_BINS, COCO_INFINITY_PX, FINE_BINS, SizeBin, bins_between

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's ten."""
MAX_DETECTIONS = (1, 10, 100)
"""COCO's limits on the detections of one class in one image."""
OTHER = "other"
"""The size of what is of none of a protocol's."""


@dataclass(frozen=True)
class Protocol:
    """The evaluation settings of a benchmark.

    Attributes:
        name: name of the preset, or the sides that separate its sizes, as in `8,16,32,96`.
        bins: size bins of the reported metrics; the first one contains all objects.
        iou_thresholds: thresholds over which average precision is averaged.
        max_detections: limits on the number of detections, ascending; the last one applies to average precision.
        per_class: whether the limits apply to each class of an image instead of to the whole image.
        every_recall: whether average precision is the area under the curve instead of a mean over COCO's 101 recalls.
        unscored: lower-case names of classes that are not scored.
        ignored_regions: lower-case names of classes whose boxes are ignored regions.
        ignored_cover: whether an unmatched detection is ignored if the share of its area inside an ignored object (a
            crowd, or an object of another size) reaches the IoU threshold.
    """

    name: str
    bins: tuple[SizeBin, ...] = COCO_BINS
    iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS
    max_detections: tuple[int, ...] = MAX_DETECTIONS
    per_class: bool = True
    every_recall: bool = False
    unscored: tuple[str, ...] = ()
    ignored_regions: tuple[str, ...] = ()
    ignored_cover: bool = False

    def __str__(self) -> str:
        whose = "of a class in an image" if self.per_class else "of an image"
        ious = f"{self.iou_thresholds[0]:g}"
        if len(self.iou_thresholds) > 1:
            ious += f" to {self.iou_thresholds[-1]:g}"
        return f"sizes {self.name}, IoU {ious}, {self.max_detections[-1]:,} detections {whose}"

    @property
    def matched_bins(self) -> tuple[SizeBin, ...]:
        """Its sizes, and the finer ones of figures over size, where they are others."""
        own = {size.name for size in self.bins}
        return (*self.bins, *(size for size in FINE_BINS if size.name not in own))

    @property
    def sizes(self) -> tuple[SizeBin, ...]:
        """Its sizes that do not overlap, from the smallest on; nothing where it has none."""
        ends = [size.max_area_px for size in self.bins[1:]]
        return tuple(
            size for size, end in zip(self.bins[1:], ends, strict=True) if _is_finest(size, self.bins[1:], end)
        )

    @property
    def size_labels(self) -> tuple[str, ...]:
        """Every name that `size_names` gives: its sizes, and `other` where they leave areas out; none without sizes."""
        own = self.sizes
        covered = own and own[0].min_area_px == 0 and own[-1].max_area_px >= COCO_INFINITY_PX
        return (*(size.name for size in own), *(() if covered or not own else (OTHER,)))

    @property
    def smallest(self) -> SizeBin | None:
        """Its size of the smallest objects; None where it has no sizes."""
        return self.sizes[0] if self.sizes else None

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        """Its names of figures, each with the figure and the size that it is of: `APs` is `AP` of `small`.

        Recall by size is at the largest limit.
        """
        names = figure_names(self.iou_thresholds, self.max_detections)
        labels = {name: (name, "all") for name in names}
        for kind, name in (("AP", "AP"), ("AR", names[-1])):
            labels |= {f"{kind}{size.short}": (name, size.name) for size in self.bins if size.name != "all"}
        return labels

    @property
    def ap_by_size(self) -> tuple[str, ...]:
        """The names of its figures of average precision by size: `APs`, `APm`, `APl`."""
        return tuple(name for name, (figure, size) in self.labels.items() if figure == "AP" and size != "all")

    def size_names(self, areas_px: npt.ArrayLike) -> list[str]:
        """Names the size of each area `(N,)`, in square pixels; `other` for what is of none."""
        areas, names = np.asarray(areas_px, np.float64), np.full(np.shape(areas_px), OTHER, dtype=object)
        for size in self.sizes:
            names[size.names(areas)] = size.name
        own: list[str] = names.tolist()
        return own

    def with_limit(self, most: int) -> Protocol:
        """Returns the same with another largest limit on detections."""
        return replace(self, max_detections=(*(limit for limit in self.max_detections[:-1] if limit < most), most))

    def as_facts(self) -> dict[str, Any]:
        """Returns what `run.json` says of it; `protocol_from` reads it."""
        return {
            "sizes": self.name,
            "iou_thresholds": list(self.iou_thresholds),
            "max_detections": list(self.max_detections),
        }


def figure_names(iou_thresholds: Iterable[float], max_detections: Iterable[int]) -> tuple[str, ...]:
    """Names the figures of thresholds and limits: `AP`, `AP50`, `AP75`, `AR1`, `AR10`, `AR100`."""
    single = (f"AP{round(100 * iou)}" for iou in singled_out(iou_thresholds))
    return ("AP", *single, *(f"AR{limit}" for limit in max_detections))


def singled_out(iou_thresholds: Iterable[float]) -> list[float]:
    """Those of the thresholds at which average precision has a figure of its own."""
    levels = np.array(list(iou_thresholds))
    return [iou for iou in (0.25, 0.5, 0.75) if np.isclose(levels, iou).any()]


def _is_finest(size: SizeBin, bins: Sequence[SizeBin], end: float) -> bool:
    return not any(
        other is not size and size.min_area_px <= other.min_area_px and other.max_area_px <= end for other in bins
    )


def _squares(*named: tuple[str, str, float, float]) -> tuple[SizeBin, ...]:
    """Bins from names, short names and sides in pixels; the last one is marked as such."""
    bins = [SizeBin(name, low**2, high**2, short) for name, short, low, high in named]
    return (*bins[:-1], replace(bins[-1], is_last=True))


_ENDLESS = COCO_INFINITY_PX**0.5
COCO = Protocol("coco")
AI_TOD = Protocol(
    "ai-tod",
    (
        ALL,
        *_squares(
            ("very tiny", "vt", 0, 8), ("tiny", "t", 8, 16), ("small", "s", 16, 32), ("medium", "m", 32, _ENDLESS)
        ),
    ),
    max_detections=(1, 100, 1500),
)
_SODA_END_PX = 2000
SODA = Protocol(
    "soda",
    (
        SizeBin("all", 0, _SODA_END_PX, is_last=True),
        SizeBin("small", 0, 32**2, "S"),
        SizeBin("extremely small", 0, 12**2, "eS"),
        SizeBin("relatively small", 12**2, 20**2, "rS"),
        SizeBin("generally small", 20**2, 32**2, "gS"),
        SizeBin("normal", 32**2, _SODA_END_PX, "N", is_last=True),
    ),
    max_detections=(20_000,),
    unscored=("ignore",),
)
SODA_D = replace(SODA, name="soda-d", max_detections=(100,))
TINYPERSON = Protocol(
    "tinyperson",
    (
        SizeBin("all", 1, COCO_INFINITY_PX),
        SizeBin("tiny", 1, 20**2, " tiny"),
        *_squares(
            ("tiny1", " tiny1", 1, 8),
            ("tiny2", " tiny2", 8, 12),
            ("tiny3", " tiny3", 12, 20),
            ("small", " small", 20, 32),
            ("reasonable", " reasonable", 32, _ENDLESS),
        ),
    ),
    iou_thresholds=(0.25, 0.5, 0.75),
    max_detections=(200,),
    ignored_cover=True,
)
VISDRONE = Protocol(
    "visdrone",
    (ALL,),
    max_detections=(1, 10, 100, 500),
    per_class=False,
    every_recall=True,
    unscored=("others",),
    ignored_regions=("ignored regions", "ignored region", "ignore", "ignored"),
)
PRESETS = {protocol.name: protocol for protocol in (COCO, AI_TOD, SODA, SODA_D, TINYPERSON, VISDRONE)}


def protocol_of(
    sizes: str | Protocol = COCO, *, max_detections: int | None = None, iou_thresholds: Sequence[float] = ()
) -> Protocol:
    """Returns a protocol by name, or COCO's with other sizes.

    Args:
        sizes: name of a preset, or ascending sides in pixels that separate sizes, as in `8,16,32,96`.
        max_detections: limit on the number of detections for average precision; None for that of the preset.
        iou_thresholds: thresholds over which average precision is averaged; where empty, those of the preset.

    Raises:
        ValueError: there is no such protocol, the sides are no ascending numbers, the limit is below 1, or thresholds
            are not between 0 and 1.
    """
    protocol = sizes if isinstance(sizes, Protocol) else PRESETS.get(sizes.strip().lower()) or _with_edges(sizes)
    if max_detections is not None:
        if max_detections < 1:
            raise ValueError(f"The limit on detections is {max_detections}; it must be 1 or more.")
        protocol = protocol.with_limit(max_detections)
    if len(iou_thresholds):
        levels = tuple(sorted({float(level) for level in iou_thresholds}))
        if not all(0 < level <= 1 for level in levels):
            raise ValueError(
                f"IoU thresholds are {_listed(levels)}: give numbers above 0 and at most 1, as in 0.25,0.5,0.75"
            )
        if not np.isclose(levels, 0.5).any():
            raise ValueError(
                f"IoU thresholds are {_listed(levels)}: have 0.5 among them, at which objects count as found and "
                "errors are told apart"
            )
        protocol = replace(protocol, iou_thresholds=levels)
    return protocol


def protocol_from(facts: Mapping[str, Any]) -> Protocol:
    """Reads the protocol of a run from its `run.json`; COCO's for a run that does not say.

    Raises:
        ValueError: what it says is no protocol.
    """
    said = facts.get("protocol")
    try:
        if said is None:
            return COCO.with_limit(int(facts.get("max_detections", MAX_DETECTIONS[-1])))
        limits, levels = (list(said[name]) for name in ("max_detections", "iou_thresholds"))
        protocol = protocol_of(str(said["sizes"]), max_detections=int(limits[-1]), iou_thresholds=levels)
        return replace(protocol, max_detections=tuple(sorted({int(limit) for limit in limits})))
    except (TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"run.json has the protocol {said!r}, which must have sizes, iou_thresholds and max_detections: "
            "evaluate again, or name one with --sizes"
        ) from error


def _listed(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels)


def _with_edges(text: str) -> Protocol:
    try:
        edges = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"there is no protocol {text!r}: give {', '.join(PRESETS)}, or sides in pixels between which sizes lie, as "
            "in 8,16,32,96"
        ) from None
    bins = bins_between(edges)
    return Protocol(",".join(f"{edge:g}" for edge in edges), (ALL, *bins))

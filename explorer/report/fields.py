"""The receptive fields of a detector's stages and levels, beside its anchors and the objects that each level gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explorer.engine.detector import Detector
from explorer.features.assignment import NOWHERE, assigned_levels, input_frame, level_names
from explorer.figures.export import write_page
from explorer.figures.receptive_field import effective_heat, fields_against_objects
from explorer.receptive_field.effective import EffectiveField, cached_effective_fields
from explorer.receptive_field.theoretical import ReceptiveField, theoretical_fields
from explorer.report.tables import Grid
from explorer.scoring.columns import Truth
from explorer.types import Floats, Progress
from explorer.writing import alone_in, replacing_together

NARROWER_THAN = 0.03
"""A level gets no more inputs once the 95 % interval of its effective side is narrower than this share of the side."""


@dataclass(frozen=True)
class LevelField:
    """The fields of one stage of the backbone or one level of the pyramid. Lengths are in pixels of the input.

    Attributes:
        name: as in `stage4` or `p3`.
        stride_px: from one unit to the next.
        theoretical_px: side of the theoretical field, what looks at the whole map left out.
        phases: how many differently placed fields neighbouring units have.
        effective_px: side of the square as large as the pixels that hold 95 % of the energy, corrected for what few
            units fall short by (`EffectiveField.side_px`); NaN if not measured.
        gaussian_radius_px: two standard deviations of the Gaussian that fits the energy; NaN if not measured.
        inputs: how many inputs the effective field was measured on.
        anchors_px: sides of the level's anchors.
        objects: how many objects of the data the detector looks for in it; None where that is not known.
        share_percent: of all objects.
        larger_percent: of its objects, those larger than the effective field.
        whole: how many layers on the way look at the whole map.
        partial: what was not understood, if anything.
    """

    name: str
    stride_px: int
    theoretical_px: int
    phases: int
    effective_px: float
    gaussian_radius_px: float
    inputs: int
    anchors_px: tuple[float, ...]
    objects: int | None
    share_percent: float
    larger_percent: float
    whole: int
    partial: str | None


@dataclass(frozen=True, eq=False)
class FieldReport:
    """All fields of a detector.

    Attributes:
        levels: the backbone's stages, then the pyramid's levels.
        theoretical: by name.
        effective: by name; empty if not measured.
        at_measured_size: theoretical fields for the inputs that effective ones were measured on, by name.
        object_sides_px: by level, square roots of the areas of its objects in pixels of the input.
        objects_without_level: how many objects no anchor or location of any level learns in training.
    """

    levels: tuple[LevelField, ...]
    theoretical: dict[str, ReceptiveField]
    effective: dict[str, EffectiveField]
    at_measured_size: dict[str, ReceptiveField]
    object_sides_px: dict[str, Floats]
    objects_without_level: int

    def document(self) -> dict[str, Any]:
        """Returns the levels for JSON."""
        results = [asdict(level) for level in self.levels]
        return {"results": results, "objects_without_level": self.objects_without_level}


def field_report(
    detector: Detector,
    truth: Truth | None = None,
    *,
    inputs: int = 16,
    size: tuple[int, int] = (512, 512),
    gates: bool = True,
    first: Callable[[dict[str, ReceptiveField]], None] | None = None,
    progress: Progress | None = None,
) -> FieldReport:
    """Finds the fields of a detector's backbone and pyramid.

    Args:
        detector: any with a backbone whose output is a mapping of maps.
        truth: the objects to hold against them, if any.
        inputs: on how much noise effective fields are measured at most; 0 leaves them out. A level whose side is known
            well enough gets less (see `NARROWER_THAN`).
        size: `(height, width)` of that.
        gates: whether squeeze-excitation works while they are measured.
        first: called with the theoretical fields by name, before effective ones are measured.
        progress: called after each input.

    Raises:
        ValueError: the detector has no such backbone.
    """
    backbone: Any = getattr(detector.model, "backbone", None)
    if backbone is None or not hasattr(backbone, "output_shape"):
        raise ValueError(f"{detector.name} has no backbone whose maps have names; take a detector with an FPN.")
    names = layer_names(backbone)
    fields = theoretical_fields(backbone, ignore_global=True)
    theoretical = {name: fields[layer] for name, layer in names.items()}
    if first:
        first(theoretical)
    measured = (
        cached_effective_fields(
            backbone,
            list(names.values()),
            inputs=inputs,
            size=size,
            gates=gates,
            batch=1,
            narrower_than=NARROWER_THAN,
            progress=progress,
        )
        if inputs
        else {}
    )
    effective = {name: measured[layer] for name, layer in names.items() if layer in measured}
    sides, without = object_sides(detector, truth) if truth is not None else ({}, 0)
    anchors = anchor_sides(detector)
    total = sum(map(len, sides.values())) + without
    levels = []
    for name, field in theoretical.items():
        spot, own = effective.get(name), sides.get(name)
        side = spot.side_px() if spot else math.nan
        levels.append(
            LevelField(
                name,
                field.stride_px[0],
                max(field.size_px),
                max(len(phases) for phases in field.phases),
                side,
                spot.gaussian_radius_px if spot else math.nan,
                spot.inputs if spot else 0,
                anchors.get(name, ()),
                None if own is None else len(own),
                100 * len(own) / total if own is not None and total else math.nan,
                100 * float((own > side).mean()) if own is not None and len(own) and spot else math.nan,
                len(field.whole),
                field.partial,
            )
        )
    small = theoretical_fields(backbone, size, ignore_global=True) if effective else {}
    at_size = {name: small[names[name]] for name in effective}
    return FieldReport(tuple(levels), theoretical, effective, at_size, sides, without)


def layer_names(backbone: Any) -> dict[str, str]:
    """Returns the layers of a backbone's maps by short name: those of the bottom-up network first, then the levels."""
    bottom_up = getattr(backbone, "bottom_up", None)
    modules = dict(backbone.named_modules())
    names = {}
    if bottom_up is not None:
        for name in bottom_up.output_shape():
            names[name] = f"bottom_up.{name}" if f"bottom_up.{name}" in modules else f"bottom_up[{name}]"
    return names | {name: name for name in backbone.output_shape()}


def anchor_sides(detector: Detector) -> dict[str, tuple[float, ...]]:
    """Returns the sides of the squares as large as each level's anchors, in pixels of the input."""
    model: Any = detector.model
    rpn = getattr(model, "proposal_generator", None)
    generator = getattr(rpn, "anchor_generator", None) or getattr(model, "anchor_generator", None)
    names = getattr(rpn, "in_features", None) or getattr(model, "head_in_features", ())
    cells = list(getattr(generator, "cell_anchors", ()))
    sides = {}
    for name, boxes in zip(names or (), cells, strict=False):
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
        sides[name] = tuple(sorted({round(float(side), 1) for side in areas}))
    return sides


def object_sides(detector: Detector, truth: Truth) -> tuple[dict[str, Floats], int]:
    """Returns the sides of the objects in pixels of the input, by the level that the detector looks for them in.

    Also returns how many objects no level answers for. Crowds are left out. There is no level for detectors whose
    rule is not known (`explorer.features.assignment.level_names`).
    """
    names = level_names(detector.model)
    if not names:
        return {}, 0
    sides: dict[str, list[Floats]] = {name: [] for name in names}
    without = 0
    rows = np.flatnonzero(~truth.crowds)
    rows = rows[np.argsort(truth.images[rows], kind="stable")]
    for own in np.split(rows, np.flatnonzero(np.diff(truth.images[rows])) + 1) if len(rows) else ():
        height, width = (int(side) for side in truth.image_sizes[truth.images[own[0]]])
        frame = input_frame(detector.model, (height, width), detector.model_input.size_for(height, width))
        corners, extent = truth.boxes_xywh[own, :2], truth.boxes_xywh[own, 2:]
        levels = assigned_levels(detector.model, frame, np.concatenate([corners, corners + extent], axis=1))
        lengths = np.sqrt((extent * frame.scale_yx[::-1]).prod(axis=1))
        for place, name in enumerate(names):
            sides[name].append(lengths[levels == place])
        without += int((levels == NOWHERE).sum())
    return {name: np.concatenate([np.zeros(0), *parts]) for name, parts in sides.items()}, without


def field_grid(levels: Sequence[LevelField]) -> Grid:
    """Lays the fields out for people."""
    head = ("", "stride", "theoretical", "effective", "Gaussian 2σ", "anchors", "objects", "larger than effective")
    rows = tuple(
        (
            level.name,
            f"{level.stride_px}",
            f"{level.theoretical_px} px{' (partial)' if level.partial else ''}",
            _length(level.effective_px),
            _length(level.gaussian_radius_px),
            ", ".join(f"{side:g}" for side in level.anchors_px) or "–",
            "–" if level.objects is None else f"{level.objects:,} ({level.share_percent:.0f} %)",
            "–" if math.isnan(level.larger_percent) else f"{level.larger_percent:.0f} %",
        )
        for level in levels
    )
    return Grid(head, rows)


def _length(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0f} px"


def write_field_figures(report: FieldReport, out: Path) -> list[Path]:
    """Writes a page per kind of figure: fields against objects and anchors, and the measured fields as heat.

    Raises:
        OSError: the folder cannot be written to, or another process writes there.
    """
    theoretical = {level.name: float(level.theoretical_px) for level in report.levels}
    effective = {level.name: level.effective_px for level in report.levels if not math.isnan(level.effective_px)}
    anchors = {level.name: level.anchors_px for level in report.levels}
    figure = fields_against_objects(theoretical, effective, anchors, report.object_sides_px)
    with alone_in(out), replacing_together(out, "levels.html") as scratch:
        write_page("Receptive fields by level", {"Sides in pixels of the input": figure}, scratch / "levels.html")
        pages = [out / "levels.html"]
        if report.effective:
            spots = report.effective.items()
            heats = {name: effective_heat(spot, report.at_measured_size[name]) for name, spot in spots}
            write_page("Effective receptive fields", heats, scratch / "effective.html")
            pages.append(out / "effective.html")
    return pages

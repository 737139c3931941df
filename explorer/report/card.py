"""A model's card: what it is, may be used for and was trained on, and its figures with their intervals, in Markdown.

Source: the metadata that heads it is that of https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from explorer.errors.bootstrap import Resamples
from explorer.report.analysis import analyse
from explorer.report.tables import Grid
from explorer.report.words import interval_words
from explorer.scoring.columns import Run, Task
from explorer.scoring.protocols import COCO
from explorer.text import in_markdown, legible
from explorer.zoo.cards import Interval, Measured

LIBRARY = "vovnet-explorer"
_TASKS: dict[str, Task] = {"box": "bbox", "mask": "segm"}
"""By what cards call what is measured."""
_PANOPTIC = ("PQ", "PQ_th", "PQ_st")
_OVERALL = ("AP", "AP25", "AP50", "AP75")
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")

_USE = """\
```python
import explorer as ex

detector = ex.Detector.from_pretrained("{repository}")
detector.detect("photo.jpg").draw()
```

In every command of VoVNet Explorer it is `hf-hub:{repository}`. Weights are safetensors, the config is YAML; neither
runs code."""


@dataclass(frozen=True)
class HubCard:
    """What a card says of a model.

    Attributes:
        name: of the model.
        repository: where it is to be had, `user/name`.
        licence: of the weights, as `Apache-2.0`.
        classes: that it finds.
        backbone: as its config names it.
        task: `object-detection`, or `image-segmentation` for one with masks.
        training: what it was trained on and for how long; empty where that is not known.
        note: what a reader of the figures has to know.
        sources: addresses of the weights, where they are somebody else's.
        measured: its figures on each data set.
    """

    name: str
    repository: str
    licence: str
    classes: Sequence[str]
    backbone: str
    task: str
    training: str = ""
    note: str = ""
    sources: Sequence[str] = ()
    measured: Sequence[Measured] = ()

    def as_markdown(self) -> str:
        """Returns the file `README.md` of its repository."""
        return f"---\n{yaml.safe_dump(self._metadata(), sort_keys=False, allow_unicode=True)}---\n\n{self._text()}"

    def _metadata(self) -> dict[str, Any]:
        licence = self.licence.lower().replace(" ", "-")
        known = bool(_LICENCE_ID.fullmatch(licence))
        metadata: dict[str, Any] = {
            "license": licence if known else "other",
            **({} if known else {"license_name": legible(self.licence)}),
            "library_name": LIBRARY,
            "pipeline_tag": self.task,
            "tags": ["vovnet", "detectron2", "object-detection"],
        }
        if self.measured:
            results = [_result(one) for one in self.measured]
            metadata["model-index"] = [{"name": legible(self.name), "results": results}]
        return metadata

    def _text(self) -> str:
        words = in_markdown
        classes = ", ".join(map(words, self.classes))
        facts = [
            f"- Backbone: {words(self.backbone)}",
            f"- Licence of the weights: {words(self.licence)}",
            f"- {len(self.classes)} classes: {classes}",
            *([f"- Training: {words(self.training)}"] if self.training else []),
            *(f"- From {words(source)}" for source in self.sources),
        ]
        parts = [f"# {words(self.name)}", *([words(self.note)] if self.note else []), "\n".join(facts)]
        parts += [
            "## Use",
            _USE.format(repository=self.repository),
            "## Figures",
        ]
        if not self.measured:
            parts.append("None were measured.")
        for one in self.measured:
            parts += [_sentence(one), figure_grid(one).as_markdown()]
        return "\n\n".join(parts) + "\n"


def measured(run: Run, on: str) -> Measured:
    """Measures a run for its model's card: figures in percent with their 95 % intervals over images, PQ without.

    Args:
        run: of the model, with its metrics.
        on: what to call the data set.
    """
    values: Mapping[str, Mapping[str, float]] = run.metrics.values
    resamples = {kind: analyse(run, task).resamples for kind, task in _TASKS.items() if task in values}
    figures = resamples["box"].figures
    return Measured(
        on,
        figures.images,
        int(figures.objects[0].sum()),
        box=_intervals(resamples["box"]),
        mask=_intervals(resamples["mask"]) if "mask" in resamples else {},
        panoptic={name: round(values["panoptic_seg"][name], 2) for name in _PANOPTIC if "panoptic_seg" in values},
    )


def figure_grid(measured: Measured) -> Grid:
    """Lays figures out: one row per kind of figure and figure."""
    rows = [
        (f"{kind} {name}", interval_words(*(np.nan if end is None else end for end in ends)))
        for kind, figures in measured.intervals.items()
        for name, ends in figures.items()
    ]
    rows += [(name, f"{value:.1f}") for name, value in measured.panoptic.items()]
    return Grid(("figure", "percent [95 % interval]"), tuple(rows))


def _intervals(resamples: Resamples) -> dict[str, Interval]:
    """AP over all classes, by overlap and by size: value and the ends of its interval."""
    ends, figures = resamples.intervals(), resamples.figures
    places = {name: (figures.names.index(name), 0) for name in _OVERALL if name in figures.names}
    for place, size in enumerate(figures.own_bins[1:], 1):
        label = f"AP{size.name[0]}" if figures.protocol == COCO else f"AP {size.name}"
        places[label] = (figures.names.index("AP"), place)
    return {
        label: (round(float(figures.overall[where]), 2), _rounded(ends.low[where]), _rounded(ends.high[where]))
        for label, where in places.items()
        if not np.isnan(figures.overall[where])
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 2)


def _sentence(one: Measured) -> str:
    return f"On {in_markdown(one.on)}: {one.images:,} images, {one.objects:,} objects. Intervals are over images."


def _result(one: Measured) -> dict[str, Any]:
    """An entry of a model index: a data set and the figures on it."""
    metrics = [
        {"type": "mAP" if name == "AP" else name, "name": f"{kind} {name}", "value": ends[0]}
        for kind, figures in one.intervals.items()
        for name, ends in figures.items()
    ]
    metrics += [{"type": name, "name": name, "value": value} for name, value in one.panoptic.items()]
    name = legible(one.on)
    return {"task": {"type": "object-detection"}, "dataset": {"type": name, "name": name}, "metrics": metrics}

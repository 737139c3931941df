"""The card of a bundled model: what it was trained on, and figures measured on its weights, as JSON keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from explorer.writing import write_json

Interval = tuple[float, float | None, float | None]
"""A figure and the ends of its 95 % interval over images, which are None where there are too few images."""


@dataclass(frozen=True)
class Measured:
    """Figures of a model on a data set, in percent.

    Attributes:
        on: what the data set is called.
        images: number of images.
        objects: number of annotated objects.
        box: figures of boxes by name: `AP`, `AP50`, `AP75`, and AP by size, `APs`, `APm`, `APl`.
        mask: figures of masks; empty for a model without.
        panoptic: `PQ`, `PQ_th` and `PQ_st`; empty for a model without.
        scenes: arguments of `make_aerial` where the data set is drawn scenes, else empty.
        made: when and with what the figures were measured (`provenance`), and figures that only this model has.
    """

    on: str
    images: int
    objects: int
    box: Mapping[str, Interval] = field(default_factory=dict)
    mask: Mapping[str, Interval] = field(default_factory=dict)
    panoptic: Mapping[str, float] = field(default_factory=dict)
    scenes: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def intervals(self) -> dict[str, Mapping[str, Interval]]:
        """The figures that have intervals, by what they are of: `box`, and `mask` where there are masks."""
        return {kind: own for kind, own in (("box", self.box), ("mask", self.mask)) if own}

    def certain(self) -> Measured:
        """Returns the figures without those that have no interval, of which there are too few images."""
        own = [{name: one for name, one in kind.items() if one[1] is not None} for kind in (self.box, self.mask)]
        return replace(self, box=own[0], mask=own[1])

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Measured:
        """Takes the figures as `as_dict` gives them."""
        own = {name: content[name] for name in _names(cls) if name in content}
        for kind in {"box", "mask"} & own.keys():
            own[kind] = {name: (value, low, high) for name, (value, low, high) in own[kind].items()}
        return cls(**own, made={name: value for name, value in content.items() if name not in own})

    def as_dict(self) -> dict[str, Any]:
        """The figures in JSON's types, without what is empty."""
        content: dict[str, Any] = {"on": self.on} | ({"scenes": dict(self.scenes)} if self.scenes else {})
        content |= {"images": self.images, "objects": self.objects}
        for kind, own in self.intervals.items():
            content[kind] = {name: list(interval) for name, interval in own.items()}
        return content | ({"panoptic": dict(self.panoptic)} if self.panoptic else {}) | dict(self.made)


@dataclass(frozen=True)
class Card:
    """What is known of a bundled model.

    Attributes:
        backbone: as the release's tables name it.
        config: file below `configs/`.
        licence: of the weights.
        note: what a reader of the figures has to know.
        training: what it was trained on and for how long.
        measured: its figures.
        photographs: whose photographs it was trained on and under which licences; empty for drawn scenes.
        sha256: digest of the weights that were measured.
    """

    backbone: str
    config: str
    licence: str
    note: str
    training: str
    measured: Measured
    photographs: str = ""
    sha256: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The card in JSON's types, without what is empty."""
        content = {name: getattr(self, name) for name in ("backbone", "config", "licence", "note", "training")}
        content |= {"photographs": self.photographs} if self.photographs else {}
        content |= {"measured": self.measured.as_dict()}
        return content | ({"sha256": self.sha256} if self.sha256 else {})

    def write(self, file: Path) -> None:
        """Writes the card, which `read_card` reads."""
        write_json(self.as_dict(), file, indent=2)


def read_card(file: Path) -> Card:
    """Reads the card of a bundled model.

    Raises:
        ValueError: the file is no card; the message names what it lacks or has too much.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    try:
        return Card(**content | {"measured": Measured.from_dict(content["measured"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a model card: {error}") from error


def _names(kind: type[Measured]) -> list[str]:
    return [own.name for own in fields(kind) if own.name != "made"]

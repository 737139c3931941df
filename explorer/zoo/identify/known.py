"""Checkpoints that circulate, recognised by checksum: whose they are, their licence, and what images they take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from explorer.config import load_config
from explorer.zoo import registry

UNKNOWN = "unknown: try both"
ORDERS = ("RGB", "BGR")


@dataclass(frozen=True)
class Pixels:
    """What images a network takes.

    Attributes:
        order: `RGB`, `BGR`, or `UNKNOWN`.
        mean: what is taken from each channel, in that order, in 0 to 255; empty where it is not known.
        std: what each is divided by then.
    """

    order: str = UNKNOWN
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def reversed(self) -> Pixels:
        """The same in the other channel order."""
        return Pixels({"RGB": "BGR", "BGR": "RGB"}.get(self.order, UNKNOWN), self.mean[::-1], self.std[::-1])

    @property
    def overrides(self) -> tuple[str, ...]:
        """The `KEY VALUE` pairs by which a config says so; empty where it is not known."""
        words = ["INPUT.FORMAT", self.order] if self.order in ORDERS else []
        for key, values in (("MODEL.PIXEL_MEAN", self.mean), ("MODEL.PIXEL_STD", self.std)):
            words += [key, str(list(values))] if values else []
        return tuple(words)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, for a file's head."""
        return {"order": self.order, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def read(cls, said: Any) -> Pixels:
        """Reads what `as_dict` or the list of known files says; what is no such thing means unknown."""
        match said:
            case {"order": ("RGB" | "BGR") as order}:
                return cls(order, _three_numbers(said.get("mean")), _three_numbers(said.get("std")))
        return cls()


def _three_numbers(value: Any) -> tuple[float, ...]:
    fine = isinstance(value, list) and len(value) == 3 and all(type(n) in (int, float) and 0 <= n < 1e6 for n in value)
    return tuple(map(float, value)) if fine else ()


@dataclass(frozen=True)
class Known:
    """A file that circulates.

    Attributes:
        title: what it is.
        by: `checksum`; `name` alone, which proves nothing; or `zoo`, whose cache it lies in.
        licence: of the weights; empty where none is stated.
        address: where it can be downloaded; empty where that is not known.
        pixels: what images it takes; not known for a file recognised by its name alone.
        source: where these facts stand.
        variant: the VoVNet in it; empty where that is not known.
    """

    title: str
    by: Literal["checksum", "name", "zoo"]
    licence: str
    address: str
    pixels: Pixels
    source: str
    variant: str = ""


def recognise(path: Path) -> Known | None:
    """Looks a file up in the list of known ones, by its checksum, else by its name; and in the zoo's cache."""
    resolved = path.expanduser().resolve()
    for entry in registry.entries():
        if entry.path.resolve() == resolved:
            return _of_zoo(entry)
    digests = _digests(resolved)
    for row in _rows():
        if any(row.get(kind) and digest.startswith(row[kind]) for kind, digest in digests.items()):
            return _known(row)
    return next((replace(_known(row), by="name", pixels=Pixels()) for row in _rows() if row["file"] == path.name), None)


def _known(row: Mapping[str, Any]) -> Known:
    said = (row.get("licence", ""), row["address"], Pixels.read(row.get("pixels")))
    return Known(row["title"], "checksum", *said, row["source"], row.get("variant", ""))


def _of_zoo(entry: registry.ZooEntry) -> Known:
    said: dict[str, Any]
    if entry.config:  # a detector's config says it
        cfg = load_config(str(entry.config), entry.overrides)
        said = {"order": cfg.INPUT.FORMAT, "mean": list(cfg.MODEL.PIXEL_MEAN), "std": list(cfg.MODEL.PIXEL_STD)}
    else:
        sets = dict(zip(entry.overrides[::2], entry.overrides[1::2], strict=True))
        statistics = (json.loads(sets.get(f"MODEL.PIXEL_{name}", "null")) for name in ("MEAN", "STD"))
        said = dict(zip(("mean", "std"), statistics, strict=True)) | {"order": sets.get("INPUT.FORMAT")}
    address = entry.weights[0] if entry.weights else ""
    return Known(entry.name, "zoo", entry.licence, address, Pixels.read(said), "explorer zoo show " + entry.name)


def _digests(path: Path) -> dict[str, str]:
    """The file's checksums by name, in hexadecimal."""
    sums = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            for each in sums.values():
                each.update(chunk)
    return {name: each.hexdigest() for name, each in sums.items()}


@cache
def _rows() -> Sequence[Mapping[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        (files("explorer.zoo.identify") / "known_files.json").read_text(encoding="utf-8")
    )
    return rows

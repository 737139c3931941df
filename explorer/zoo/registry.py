"""The zoo's table: every model with its config, weights, licence and released numbers. Loads no torch."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from math import prod
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from explorer.zoo.cards import Card, read_card
from explorer.zoo.downloads import cache_dir
from explorer.zoo.downloads.mirrors import mirror

Status = Literal["bundled", "cached", "mirror", "download", "source refuses since 2025"]
REFUSED: Status = "source refuses since 2025"
_REFUSING_HOSTS = ("dropbox.com", "dropboxusercontent.com")
"""They answer 403 to every link of the releases."""

BACKBONE_PREFIX = "backbone:"
"""Begins MODEL arguments that mean a backbone without a detector."""
_HUB_FILE = "model.safetensors"  # what every repository of timm calls its weights
IMAGENET_TASK = "ImageNet backbone"
_RELEASE_LICENCE = "CC BY-NC 4.0"
_DETECTRON2_LICENCE = "CC BY-SA 3.0"
_OPEN_LICENCE = "Apache-2.0"

WEIGHTS = Path(str(files("explorer.zoo"))) / "weights"
"""Folder of the bundled models: a folder each, `bundled_file` in it, and its card beside that."""
BYTE_SCALE = ".byte_scale"
"""Ends the names of tensors `(out,)` that say what one step of an int8 weight `(out, …)` is worth."""
CONTINUED = "continued_in"
"""Key of a safetensors file's metadata: the file beside it that holds the rest of its tensors."""
CONTINUED_SHA256 = "continued_sha256"
"""Key of the digest of that file, checked where it is given."""
_TABLES = {"released.json": "", "centermask.json": "centermask/"}
"""Files of released rows, and the folder below `configs/` where their configs lie."""
GPUS = {"inference_s_v100": "V100", "inference_s_titan_xp": "Titan Xp"}
"""What released times were measured on, by their key."""
_DEMOS = (
    "V-19-slim-dw",
    "MobileNetV2",
    "V-19-slim",
    "V-19-dw",
    "V-19",
    "V-19-slim-dw-mask",
    "V-19-slim-dw-centermask",
    "V-19-slim-dw-panoptic",
    "V-19-slim-dw-bccd",
    "V-19-slim-bccd",
    "MobileNetV2-bccd",
    "V-19-slim-dw-aerial-real",
    "MobileNetV2-aerial-real",
)

# RGB mean and deviation of pixels in 0 to 255, as each file's training normalised them (timm's `pretrained_cfg`).
_IMAGENET_PIXELS = ("[123.675, 116.28, 103.53]", "[58.395, 57.12, 57.375]")
_HALF_PIXELS = ("[127.5, 127.5, 127.5]", "[127.5, 127.5, 127.5]")
_ESE_LAST = ("MODEL.VOVNET.ESE", "last")
_TIMM = (
    ("timm/ese_vovnet19b_dw.ra_in1k", "V-19-dw-eSE", _IMAGENET_PIXELS, ()),
    ("timm/ese_vovnet39b.ra_in1k", "V-39-eSE", _IMAGENET_PIXELS, _ESE_LAST),
    ("timm/ese_vovnet57b.ra4_e3600_r256_in1k", "V-57-eSE", _HALF_PIXELS, _ESE_LAST),
    ("timm/mobilenetv2_100.ra_in1k", "MobileNetV2", _IMAGENET_PIXELS, ()),
)


@dataclass(frozen=True)
class ZooEntry:
    """One model of the zoo.

    Attributes:
        name: what a MODEL argument says; of a released detector, its config's stem.
        task: as the release's tables name it, `ImageNet backbone`, or `Demo`.
        backbone: as the release's tables name it.
        config: file below `configs/`; None for ImageNet backbones, which are weights for other configs.
        licence: of the weights.
        weights: URLs of the same file, tried in order; empty for bundled weights.
        bundled: the weights' file where the package ships it.
        sha256: digest of the file where it is known beforehand; otherwise it is recorded on first use.
        params_m: trainable and frozen parameters of the whole detector in millions, without frozen norms' constants.
        backbone_fpn_params_m: the same of backbone and FPN alone.
        released: the row of the release's table: AP in percent (`box_ap_tta` with test-time augmentation), seconds by
            GPU (`GPUS`), `params_m` as printed there, links.
        overrides: KEY VALUE pairs that a config needs with these weights (pixel mean and deviation, channel order).
        note: what a reader of the numbers has to know.
        card: of bundled weights, how they were trained, and figures measured on them with their intervals.
    """

    name: str
    task: str
    backbone: str
    config: str | None
    licence: str
    weights: tuple[str, ...] = ()
    bundled: Path | None = None
    sha256: str | None = None
    params_m: float | None = None
    backbone_fpn_params_m: float | None = None
    released: Mapping[str, Any] | None = field(default=None, hash=False)
    overrides: tuple[str, ...] = ()
    note: str = ""
    card: Card | None = field(default=None, hash=False)

    @property
    def size_mb(self) -> float:
        """What the weights take on the disk, in megabytes; they must be there."""
        files = _parts(self.bundled) if self.bundled else [self.path]
        return sum(file.stat().st_size for file in files) / 1e6

    @property
    def path(self) -> Path:
        """Where the weights are, or will be once fetched."""
        if self.bundled:
            return self.bundled
        suffix = PurePosixPath(urlsplit(self.weights[0]).path).suffix
        return cache_dir() / "weights" / f"{self.name}{suffix}"

    @property
    def released_time(self) -> tuple[float, str] | None:
        """Seconds per image as the release's table has them, and the GPU; None for models that it has not."""
        known = self.released or {}
        return next(((float(known[key]), gpu) for key, gpu in GPUS.items() if key in known), None)

    @property
    def refuses(self) -> bool:
        """Whether every source of the weights refuses downloads."""
        hosts = [urlsplit(url).netloc for url in self.weights]
        return bool(hosts) and all(host.endswith(_REFUSING_HOSTS) for host in hosts)

    @property
    def mirror_names(self) -> tuple[str, ...]:
        """What the file may be called in a mirror: as in the cache, or as where it was released."""
        released = PurePosixPath(urlsplit(self.weights[0]).path).name
        own = self.path.relative_to(cache_dir() / "weights").as_posix()
        return (own,) if released == _HUB_FILE else (own, released)

    @property
    def status(self) -> Status:
        """`bundled` with the package, `cached` on this machine, in the `mirror`, to `download`, or refused."""
        if self.bundled:
            return "bundled"
        if self.path.is_file():
            return "cached"
        known = mirror()
        if known and (known.base or known.file(self.mirror_names)):
            return "mirror"
        return REFUSED if self.refuses else "download"

    def as_dict(self) -> dict[str, Any]:
        """Everything about the entry in JSON's types."""
        return {
            "name": self.name,
            "task": self.task,
            "backbone": self.backbone,
            "params_m": self.params_m,
            "backbone_fpn_params_m": self.backbone_fpn_params_m,
            "released": dict(self.released) if self.released else None,
            "licence": self.licence,
            "status": self.status,
            "config": self.config,
            "weights": list(self.weights),
            "sha256": self.sha256,
            "path": str(self.path),
            "overrides": list(self.overrides),
            "note": self.note,
            "card": self.card.as_dict() if self.card else None,
        }


def entries() -> tuple[ZooEntry, ...]:
    """Every entry: bundled demos, the releases' 24 detectors and 16 CenterMasks in their order, ImageNet backbones."""
    return (*_demos(), *_released(), *_imagenet())


def detectors() -> tuple[ZooEntry, ...]:
    """The entries that detect: demos and released detectors."""
    return tuple(entry for entry in entries() if entry.config)


def get(name: str) -> ZooEntry:
    """Looks an entry up by name.

    Raises:
        ValueError: no entry has this name; the message offers the nearest ones.
    """
    by_name = {entry.name: entry for entry in entries()}
    if name not in by_name:
        raise ValueError(f"The zoo has no {name!r}. {nearest(name, by_name)} See `explorer zoo list`.")
    return by_name[name]


def variant_of(entry: ZooEntry) -> str:
    """The name in `explorer.backbones` of an entry's VoVNet-V2 or MobileNetV2; empty for other backbones."""
    if "Mv2" in entry.name or entry.backbone == "MobileNetV2":
        return "MobileNetV2"
    depth = re.search(r"(?:^|[_/])V[_-](\d+)", entry.name)
    parts = [f"-{part}" for part in ("slim", "dw") if part in entry.name]
    return f"V-{depth[1]}{''.join(parts)}-eSE" if depth else ""


def nearest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Says which of the `known` names look like `name`: "Did you mean …?", or nothing."""
    lowered = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(lowered[match] for match in matches)}?" if matches else ""


def bundled_file(name: str) -> Path:
    """Where the package ships the weights of `demo/<name>`; the card has the same name and ends in `.json`."""
    return WEIGHTS / name / f"{name}.safetensors"


def count_parameters(shapes: Mapping[str, Sequence[int]], prefix: str = "") -> int:
    """Counts the parameters below `prefix` in a state dict given as `{tensor name: shape}`.

    Norms with running statistics are frozen in detectron2 and hold constants, not parameters: they do not count.
    """
    norms = {name.rpartition(".")[0] for name in shapes if name.endswith(".running_var")}
    return sum(
        prod(shape)
        for name, shape in shapes.items()
        if name.startswith(prefix) and name.rpartition(".")[0] not in norms
    )


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Reads tensor names and shapes from the heads of a safetensors file that the package ships, and of its rest."""
    head = {name: tensor for file in _parts(path) for name, tensor in _head(file).items()}
    names = (name for name in head if name != "__metadata__" and not name.endswith(BYTE_SCALE))
    return {name: tuple(head[name]["shape"]) for name in names}


def _head(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return head


def _parts(path: Path) -> list[Path]:
    rest = _head(path).get("__metadata__", {}).get(CONTINUED)
    return [path, *([path.with_name(rest)] if rest else [])]


def _demos() -> list[ZooEntry]:
    return [_demo(path) for stem in _DEMOS if (path := bundled_file(stem)).is_file()]


@cache
def _demo(path: Path) -> ZooEntry:
    card = read_card(path.with_suffix(".json"))
    detector, backbone_fpn = _counted(path)
    return ZooEntry(
        f"demo/{path.stem}",
        "Demo",
        card.backbone,
        card.config,
        card.licence,
        bundled=path,
        sha256=card.sha256,
        params_m=detector,
        backbone_fpn_params_m=backbone_fpn,
        note=card.note,
        card=card,
    )


def _counted(path: Path) -> tuple[float, float]:
    shapes = safetensors_shapes(path)
    return _millions(count_parameters(shapes)), _millions(count_parameters(shapes, "backbone."))


def _millions(count: int) -> float:
    return round(count / 1e6, 1)


@cache
def _released() -> tuple[ZooEntry, ...]:
    return tuple(_released_entry(row, folder) for table, folder in _TABLES.items() for row in _data(table)["detectors"])


def remarks() -> tuple[str, ...]:
    """What a reader of the releases' tables has to know: what is missing in them, and what is printed wrongly."""
    return tuple(remark for table in _TABLES for remark in _data(table).get("remarks", ()))


def _released_entry(row: Mapping[str, Any], folder: str) -> ZooEntry:
    released: Mapping[str, Any] = MappingProxyType(row["released"])
    url = row.get("weights", released["model_url"])
    from_detectron2 = "fbaipublicfiles" in url
    note = row.get("note", "")
    if "weights" in row:
        note = (
            f"The release's table links Mask R-CNN's weights here ({PurePosixPath(released['model_url']).name}); "
            "its numbers are those of detectron2's own Faster R-CNN weights, which this entry takes."
        )
    return ZooEntry(
        name=row["name"],
        task=released["task"],
        backbone=released["backbone"],
        config=f"{folder}{row['name']}.yaml",
        licence=_DETECTRON2_LICENCE if from_detectron2 else _RELEASE_LICENCE,
        weights=_mirrors(url),
        params_m=_millions(row["detector_params"]),
        backbone_fpn_params_m=_millions(row["backbone_fpn_params"]),
        released=released,
        note=note,
    )


@cache
def _imagenet() -> tuple[ZooEntry, ...]:
    found = [
        ZooEntry(f"imagenet/{backbone}", IMAGENET_TASK, backbone, None, _RELEASE_LICENCE, weights=_mirrors(url))
        for backbone, url in _data("released.json")["imagenet_backbones"].items()
    ]
    for name, backbone, (mean, std), ese in _TIMM:
        pixels = ("INPUT.FORMAT", "RGB", "MODEL.PIXEL_MEAN", mean, "MODEL.PIXEL_STD", std)
        urls = (f"https://huggingface.co/{name}/resolve/main/model.safetensors",)
        found.append(ZooEntry(name, IMAGENET_TASK, backbone, None, _OPEN_LICENCE, weights=urls, overrides=pixels + ese))
    return tuple(found)


def _mirrors(url: str) -> tuple[str, ...]:
    """The released link, then the other hosts under which Dropbox serves the same file."""
    parts = urlsplit(url)
    if not parts.netloc.endswith("dropbox.com"):
        return (url,)
    others = (f"https://www.dropbox.com{parts.path}?dl=1", f"https://dl.dropboxusercontent.com{parts.path}")
    return tuple(dict.fromkeys((url, *others)))


@cache
def _data(table: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((files("explorer.zoo") / table).read_text(encoding="utf-8"))
    return data

"""A detector's trunk written for other engines, and compared with the model on a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import Model, as_detector
from explorer.data.images import read_image
from explorer.engine.fast.calibration import calibration_photos
from explorer.engine.fast.export import FILES
from explorer.engine.fast.export import export as write
from explorer.engine.speed.modes import scene
from explorer.text import legible
from explorer.types import Pixels
from explorer.writing import plain

if TYPE_CHECKING:
    from explorer.engine.fast.export import Format

_PHOTO_SIZE = 480, 640


@dataclass(frozen=True, eq=False)
class Exported:
    """A folder with an exported detector. `load_detector` reads it, except for TorchScript, which is code.

    Attributes:
        folder: contains the trunk's file, the remaining weights, the config and `export.json`.
        record: content of `export.json`: the model, the format, the names of the trunk's outputs, and
            `max_rel_error`, the largest difference from the model's outputs on the photo relative to their maximum.
    """

    folder: Path
    record: Mapping[str, Any]

    @property
    def size_mb(self) -> float:
        """Size of the trunk's files in 10⁶ bytes."""
        stem = Path(FILES[self.record["format"]]).stem
        return sum(file.stat().st_size for file in self.folder.glob(f"{stem}.*")) / 1e6

    def __str__(self) -> str:
        kind = f"{self.record['format']} in int8" if self.record["dtype"] == "int8" else self.record["format"]
        return legible(
            f"{self.record['model']} as {kind}, {self.size_mb:.1f} MB, equal to the model within "
            f"{self.record['max_rel_error']:.0e} -> {self.folder}"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer export --json`, which is the content of `export.json`."""
        return plain(dict(self.record))  # type: ignore[no-any-return]


def export(
    model: Model,
    out: str | Path,
    format: Format = "onnx",  # noqa: A002
    *,
    photo: Pixels | str | Path | None = None,
    int8: bool = False,
    calibrate: str | Path | None = None,
) -> Exported:
    """Writes backbone, FPN and dense heads for another engine, and keeps the file if its outputs equal the model's.

    Args:
        model: a `Detector` on the CPU, or what `load_detector` takes.
        out: folder for the files; it must not contain an export in another format.
        format: `onnx`, `openvino` or `torchscript`.
        photo: image on which outputs are compared, `(height, width, 3)` uint8 in BGR, or a file; None for an aerial
            scene.
        int8: quantise to 8-bit integers, with `format="openvino"` only; the file is then kept whatever it differs by.
        calibrate: photos that set the ranges of int8: a folder, or `PATH[:SPLIT]` of a data set; None for the ranges
            that are cached for this model, or aerial scenes where the model has their classes.

    Raises:
        ValueError: the format does not exist or does not support int8, a package that it needs is not installed, or
            `calibrate` is given without `int8`.
        ImageError: the photo cannot be read.
        ExportError: the format does not support the model, or the outputs differ.
        DownloadError: the model's weights cannot be downloaded.
        OSError: the folder cannot be written to, or another process writes to it.
    """
    if calibrate and not int8:
        raise ValueError(
            "`calibrate` sets the ranges of 8-bit integers, and `int8` is off: set int8=True (--int8), or leave out "
            "calibrate (--calibrate)."
        )
    if photo is None:
        photo = scene(_PHOTO_SIZE)
    image = read_image(photo) if isinstance(photo, (str, Path)) else photo
    detector = as_detector(model, device="cpu", exact=True, bare=True)
    photos = calibration_photos(detector, calibrate) if int8 else None
    return Exported(Path(out), write(detector, image, Path(out), format, int8=int8, photos=photos))

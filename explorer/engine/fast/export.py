"""A detector's trunk as a file for other engines, checked against the model, and read again as data alone.

An export is a folder: the trunk (backbone, FPN and dense heads, most of the work) as ONNX, OpenVINO or TorchScript;
`weights.safetensors` and `config.yaml` for the rest; `export.json` on where it comes from.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from explorer.engine.artifacts import provenance
from explorer.engine.building import make_detector
from explorer.engine.detector import Detector
from explorer.engine.fast.folding import fold_norms
from explorer.engine.fast.hardware import DtypeName
from explorer.engine.fast.int8 import int8_trunk
from explorer.engine.fast.model import TOLERANCE, FastModel, relative_error
from explorer.engine.fast.networks import (
    Network,
    onnx_network,
    openvino_core,
    openvino_model,
    openvino_network,
    traced,
)
from explorer.engine.fast.photos import CalibrationPhotos
from explorer.engine.fast.trunk import Trunk
from explorer.engine.pretrained import portable_config
from explorer.reading import read_json
from explorer.types import Pixels
from explorer.writing import alone_in, replacing, replacing_together, write_json
from explorer.zoo.checkpoints import save_safetensors
from explorer.zoo.downloads import sha256_of
from explorer.zoo.trained import CONFIG, EXPORT, EXPORTED_WEIGHTS

Format = Literal["onnx", "openvino", "torchscript"]
FORMATS: tuple[Format, ...] = get_args(Format)
FILES: dict[Format, str] = {"onnx": "trunk.onnx", "openvino": "trunk.xml", "torchscript": "trunk.pt"}
DTYPES: tuple[DtypeName, DtypeName] = ("float32", "int8")
"""What an export computes in: as the model does, or in 8-bit integers."""
_NEEDED: dict[Format, tuple[str, ...]] = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",), "torchscript": ()}
"""Packages that write and run each format."""
_OPSET = 17


class ExportError(RuntimeError):
    """A model cannot be written in a format, or the file says other things than the model."""


def export(
    detector: Detector,
    image_bgr: Pixels,
    out: Path,
    format: Format,  # noqa: A002
    *,
    int8: bool = False,
    photos: CalibrationPhotos | None = None,
) -> dict[str, Any]:
    """Writes a detector's trunk in a format, compares it with the model on a photo, and keeps it if they agree.

    In 8-bit integers it is kept however much it differs on single cells: `max_rel_error` says how much.

    Args:
        detector: on the CPU.
        image_bgr: the photo, `(height, width, 3)` uint8, BGR.
        out: the folder; it must not hold another export's files in other formats.
        format: what to write.
        int8: write it in 8-bit integers, as OpenVINO.
        photos: those that set their ranges; None for the ranges that are kept.

    Returns:
        What `export.json` says.

    Raises:
        ExportError: the format cannot hold the model, or its maps differ.
        OSError: the folder cannot be written to, or another process writes there.
        ValueError: there is no such format, not in integers, they lack something, a package of the format is missing,
            or the config cannot be written down.
    """
    if format not in FORMATS:
        raise ValueError(f"There is no format {format!r}: choose one of {', '.join(FORMATS)}.")
    if int8 and format != "openvino":
        raise ValueError(f"8-bit integers are written as OpenVINO, and the format is {format}: take --format openvino.")
    _require(format)
    portable_config(detector)  # refuses a LazyConfig before any work is done
    known: Any = detector.model
    trunk = Trunk(detector.model)
    images: Tensor = known.preprocess_image([detector.model_input(image_bgr)]).tensor
    with torch.no_grad():
        wanted = trunk(images)
    with alone_in(out), replacing_together(out, EXPORT) as scratch:
        file = scratch / FILES[format]
        if int8:
            write_int8(detector, file, photos)
        else:
            write_trunk(trunk, file, format)
        error = relative_error(read_trunk(file, format)(images), wanted)
        if not error <= TOLERANCE[torch.int8 if int8 else torch.float32]:
            raise ExportError(f"{file.name} differs from the model by {error:.1e} on the photo: it is not kept.")
        return _completed(detector, scratch, format, trunk, {"dtype": DTYPES[int8], "max_rel_error": error})


def _completed(
    detector: Detector,
    out: Path,
    format: Format,  # noqa: A002
    trunk: Trunk,
    measured: dict[str, Any],
) -> dict[str, Any]:
    """Writes all but the trunk, and returns what `export.json` says."""
    known: Any = detector.model
    save_safetensors(known.state_dict(), out / EXPORTED_WEIGHTS, half=False)
    with replacing(out / CONFIG) as scratch:
        scratch.write_text(portable_config(detector), encoding="utf-8")
    record = {
        **detector.origin,
        "format": format,
        "outputs": [*trunk.levels, *(f"dense head {i}" for i in range(trunk.outputs * len(trunk.levels_seen)))]
        + ["semantic head"] * trunk.semantic,
        **measured,
        "class_names": list(detector.class_names),
        "stuff_class_names": list(detector.stuff_class_names),
        "sha256": {path.name: sha256_of(path) for path in _files(out, format)},
        **provenance(),
    }
    write_json(record, out / EXPORT, indent=2)
    return record


def is_export(folder: str | Path) -> bool:
    """Says whether a MODEL argument is an export's folder."""
    return (Path(folder) / EXPORT).is_file()


def load_export(folder: Path) -> Detector:
    """Reads an export: the trunk runs in its own engine, the rest as `explorer.engine.fast` has it, all on the CPU.

    Nothing in the folder is run as code. TorchScript, which is code, is written for use elsewhere and not read.

    Raises:
        ValueError: it is no export, damaged, in TorchScript, its ONNX asks for more than standard operators, or a
            package of the format is missing.
    """
    from explorer.config import load_config

    try:
        record = read_json(folder / EXPORT)
        format, sums = record["format"], dict(record["sha256"])  # noqa: A001
        dtype: DtypeName = record.get("dtype", DTYPES[0])
        names = [tuple(map(str, record[key])) for key in ("class_names", "stuff_class_names")]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is not an exported model: its {EXPORT} cannot be read ({error}).") from error
    if format not in FORMATS or format == "torchscript":
        raise ValueError(
            f"{folder} holds {format}, which is not read here: TorchScript is code. Export to onnx or openvino."
        )
    _require(format)
    if dtype not in DTYPES:
        raise ValueError(f"{folder} was exported in {dtype}, which is not read here: export again.")
    for path in _files(folder, format):
        if not path.is_file() or sha256_of(path) != sums.get(path.name):
            raise ValueError(f"{path} is not the file that was exported: export again.")
    file = folder / FILES[format]
    plain = make_detector(
        load_config(folder / CONFIG), str(record["model"]), weights=folder / EXPORTED_WEIGHTS, device="cpu"
    )
    engine: Literal["openvino", "torch"] = "openvino" if format == "openvino" else "torch"
    network = read_trunk(file, format)
    quick = FastModel(plain.model, dtype, engine, network, emulate=True)
    caveat = str(record.get("note", ""))
    return replace(plain, class_names=names[0], stuff_class_names=names[1], caveat=caveat, fast=quick)


def _require(format: Format) -> None:  # noqa: A002
    """Refuses a format whose packages are not installed."""
    if missing := [name for name in _NEEDED[format] if find_spec(name) is None]:
        raise ValueError(
            f"{format} needs {' and '.join(missing)}, which is not installed: pip install 'vovnet-explorer[export]'."
        )


def write_trunk(trunk: Trunk, file: Path, format: Format) -> None:  # noqa: A002
    """Writes a trunk, whose normalisation is folded into its convolutions, for any batch and image size.

    Raises:
        ExportError: the format cannot hold it.
    """
    fold_norms(trunk)
    _WRITERS[format](trunk, file)


def write_int8(detector: Detector, file: Path, photos: CalibrationPhotos | None, *, heads: bool = True) -> None:
    """Writes a detector's trunk in 8-bit integers, as OpenVINO.

    Args:
        detector: on the CPU.
        file: ends in `.xml`; the weights lie in a `.bin` beside it.
        photos: those that set the ranges; None for the ranges that are kept.
        heads: whether dense heads belong to it, or backbone and FPN alone.

    Raises:
        ImageError: a photo cannot be read.
        NotFastError: the trunk cannot be quantised.
        ValueError: there are no ranges and no photos, or NNCF is not installed.
    """
    _save_openvino(int8_trunk(detector.model, photos, heads=heads)[0], file)


def _write_onnx(trunk: Trunk, file: Path) -> None:
    sample = trunk.sample()
    with torch.no_grad():
        count = len(trunk(sample))
    names = ["image", *(f"map_{i}" for i in range(count))]
    free = {name: {0: "batch", 2: f"{name}_height", 3: f"{name}_width"} for name in names}
    try:
        with warnings.catch_warnings(), replacing(file) as scratch:
            warnings.simplefilter("ignore")
            torch.onnx.export(
                trunk, (sample,), str(scratch), dynamo=False, opset_version=_OPSET,
                input_names=names[:1], output_names=names[1:], dynamic_axes=free,
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"ONNX cannot represent this model ({type(error).__name__}: {error})") from error


def _write_openvino(trunk: Trunk, file: Path) -> None:
    _save_openvino(openvino_model(trunk, trunk.sample()), file)


def _save_openvino(model: Any, file: Path) -> None:
    import openvino

    openvino.save_model(model, file, compress_to_fp16=False)


def _write_torchscript(trunk: Trunk, file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(traced(trunk, trunk.sample()), str(file))  # which keeps the file's name in the file


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino, "torchscript": _write_torchscript}


def _files(folder: Path, format: Format) -> list[Path]:  # noqa: A002
    trunk = folder / FILES[format]
    weights = [trunk.with_suffix(".bin")] if format == "openvino" else []
    return [trunk, *weights, folder / CONFIG, folder / EXPORTED_WEIGHTS]


def read_trunk(file: Path, format: Format) -> Network:  # noqa: A002
    """Makes a trunk's file ready to run; TorchScript only right after it was written here."""
    if format == "onnx":
        return onnx_network(check_onnx(file))
    if format == "openvino":
        return openvino_network(openvino_core().read_model(file), torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script: Any = torch.jit.load(str(file))  # type: ignore[no-untyped-call]

    def run(images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(script(images))

    return run


def check_onnx(file: Path) -> bytes:
    """Refuses an ONNX file that names other files or operators from elsewhere.

    Returns:
        The model that was checked, for the program that runs it: it gets no file, which it might read in another way.

    Raises:
        ValueError: it does, or is no ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(file), load_external_data=False)
    except DecodeError as error:
        raise ValueError(f"{file} is not an ONNX file ({type(error).__name__}).") from error
    foreign = sorted({entry.domain for entry in model.opset_import} - {"", "ai.onnx"})
    if foreign or model.functions:
        raise ValueError(f"{file} asks for operators of {', '.join(foreign) or 'its own'}: only ONNX's own are run.")
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ValueError(f"{file} takes its weights from other files ({tensor.name}), which are not opened.")
    checked: bytes = model.SerializeToString()
    return checked


def _tensors(graph: Any) -> list[Any]:
    """All tensors of a graph, those of graphs inside it too."""
    found = list(graph.initializer) + [
        part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices)
    ]
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    found += _tensors(inner)
    return found

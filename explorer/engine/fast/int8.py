"""A trunk in 8-bit integers: its ranges set by NNCF on photos, and kept in the cache for the weights they belong to.

Weights are quantised symmetrically by output channel, activations by tensor between the ends that the photos reach;
biases are corrected for the mean error. Where integers cost most and gain least, floating point stays: in the first
convolution, in squeeze-excitation's gates and in what the dense heads say. For a model's weights one set of ranges is
kept: that of its last calibration.

Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
(arXiv 1712.05877); NNCF 3.4, `nncf.quantize` with its preset "mixed".
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import nn

from explorer.engine.artifacts import provenance
from explorer.engine.fast.folding import fold_norms
from explorer.engine.fast.networks import OPENVINO_SAYS, NotFastError, openvino_core, openvino_model
from explorer.engine.fast.photos import CalibrationPhotos
from explorer.engine.fast.trunk import Trunk
from explorer.reading import read_json
from explorer.receptive_field.effective import fingerprint
from explorer.text import logger_of
from explorer.writing import alone_in, replacing_together, write_json
from explorer.zoo.downloads import cache_dir, sha256_of

logger = logger_of(__name__)
RECORD, TRUNK = "int8.json", "trunk.xml"
_CONVOLUTION = "Convolution"
_RECIPE = 1
"""To be raised where the same photos would give other ranges."""
_TELEMETRY = "NNCF_CI"
"""Set in the environment, it keeps NNCF from reporting to its makers that it was used."""


def missing(model: nn.Module, given: CalibrationPhotos | None) -> str:
    """Says what keeps a detector from running in integers; empty where nothing does."""
    if (given and _has_nncf()) or _kept(_folder(Trunk(model)), given):
        return ""
    if not given:
        return "its ranges are not known: give photos like those that the model will see (--calibrate FOLDER)"
    return "setting its ranges needs NNCF: pip install 'vovnet-explorer[export]'"


def _has_nncf() -> bool:
    return importlib.util.find_spec("nncf") is not None


def int8_trunk(model: Any, given: CalibrationPhotos | None, *, heads: bool = True) -> tuple[Any, dict[str, Any]]:
    """Returns a detector's trunk in integers: the one that is kept, else one calibrated now, in a minute or so.

    Args:
        model: a detectron2 detector on the CPU, in evaluation mode.
        given: the photos; None for ranges that are kept, whatever photos they are from.
        heads: whether dense heads belong to it.

    Returns:
        An OpenVINO model, and what is kept beside it: photos, weights, versions.

    Raises:
        ValueError: nothing is kept, and there are no photos, or NNCF is not installed.
        ImageError: a photo cannot be read.
        NotFastError: NNCF or OpenVINO cannot take the trunk.
    """
    trunk = Trunk(model, heads=heads)
    folder = _folder(trunk)
    with _alone_with(folder) if given is None or given.keep else nullcontext():
        if found := _kept(folder, given):
            return found
        if why := missing(model, given):
            raise ValueError(f"{why[0].upper()}{why[1:]}.")
        assert given is not None
        quantised, record = _calibrated(trunk, model, given)
        if given.keep:
            _keep(folder, quantised, record)
    return quantised, record


def _calibrated(trunk: Trunk, model: Any, given: CalibrationPhotos) -> tuple[Any, dict[str, Any]]:
    logger.info("int8: setting ranges on %s", given.source)
    weights = fingerprint(trunk)
    fold_norms(trunk)
    plain = openvino_model(trunk, trunk.sample())
    in_float = left_in_float(plain, len(trunk.levels))
    with _quiet_nncf() as nncf:

        def prepared(read: Callable[[], dict[str, Any]]) -> Any:
            return model.preprocess_image([read()]).tensor.numpy()

        photos = nncf.Dataset(given.photos, prepared)
        try:
            quantised = nncf.quantize(
                plain,
                photos,
                subset_size=len(given.photos),
                preset=nncf.QuantizationPreset.MIXED,
                ignored_scope=nncf.IgnoredScope(names=in_float),
            )
        except (
            RuntimeError,
            nncf.InternalError,
            nncf.UnsupportedModelError,
            nncf.UnsupportedVersionError,
            nncf.ValidationError,
        ) as error:
            if isinstance(error, RuntimeError) and not str(error).startswith(OPENVINO_SAYS):
                raise
            raise NotFastError(f"NNCF cannot quantise it ({type(error).__name__}: {error})") from error
    record = {
        "recipe": _RECIPE,
        "weights_sha256": weights,
        "photos": {"source": given.source, "key": given.key},
        "left_in_float": in_float,
        "nncf": version("nncf"),
        "openvino": version("openvino"),
        **provenance(),
    }
    return quantised, record


def left_in_float(model: Any, levels: int) -> list[str]:
    """Returns the names of the convolutions of an OpenVINO trunk that integers would cost more than they gain.

    Args:
        model: a trunk's.
        levels: how many of its outputs are feature maps, which come first; the others are the dense heads'.
    """
    convolutions = [node for node in model.get_ordered_ops() if node.get_type_name() == _CONVOLUTION]
    gates = [
        node for node in convolutions if [str(side) for side in list(node.output(0).partial_shape)[2:]] == ["1", "1"]
    ]
    said = [_convolution_before(result) for result in model.get_results()[levels:]]
    chosen = [*convolutions[:1], *gates, *(node for node in said if node is not None)]
    return list(dict.fromkeys(node.get_friendly_name() for node in chosen))


def _convolution_before(node: Any) -> Any | None:
    """The convolution whose output a node gets, perhaps with a bias, scaled or cut off."""
    while node.get_type_name() != _CONVOLUTION:
        if not node.get_input_size():
            return None
        node = node.input_value(0).get_node()
    return node


@contextmanager
def _quiet_nncf() -> Iterator[Any]:
    """Yields NNCF, which reports nothing to its makers and prints nothing while the block runs."""
    before = os.environ.get(_TELEMETRY)
    torch_says = logging.getLogger("torch.utils.cpp_extension")  # that there is no CUDA
    level = torch_says.level
    os.environ[_TELEMETRY] = "1"
    try:
        torch_says.setLevel(logging.ERROR)
        import nncf

        nncf.set_log_level(logging.ERROR)
        with redirect_stdout(io.StringIO()):
            yield nncf
    finally:
        torch_says.setLevel(level)
        if before is None:
            del os.environ[_TELEMETRY]
        else:
            os.environ[_TELEMETRY] = before


def _folder(trunk: Trunk) -> Path:
    return cache_dir() / "int8" / fingerprint(trunk)[:32]


@contextmanager
def _alone_with(folder: Path) -> Iterator[None]:
    """Waits until no other process calibrates the same model; does not where the cache cannot be written to."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock"))
        lock.acquire()
    except OSError:
        yield
        return
    with lock:
        lock.release()
        yield


def _kept(folder: Path, given: CalibrationPhotos | None) -> tuple[Any, dict[str, Any]] | None:
    """Reads what is kept, if it is whole and from the photos that are given."""
    try:
        record = read_json(folder / RECORD)
        match record:
            case {"recipe": recipe, "photos": {"key": key}, "sha256": {**digests}} if recipe == _RECIPE:
                same = given is None or key == given.key
                whole = same and all(sha256_of(folder / str(name)) == digest for name, digest in digests.items())
            case _:
                whole = False
        return (openvino_core().read_model(folder / TRUNK), record) if whole else None
    except (OSError, ValueError):  # there is none, or it is damaged
        return None
    except RuntimeError as error:
        if not str(error).startswith(OPENVINO_SAYS):
            raise
        return None


def _keep(folder: Path, quantised: Any, record: dict[str, Any]) -> None:
    import openvino

    try:
        with alone_in(folder), replacing_together(folder, RECORD) as scratch:
            openvino.save_model(quantised, scratch / TRUNK, compress_to_fp16=False)
            digests = {file.name: sha256_of(file) for file in scratch.iterdir()}
            write_json(record | {"sha256": digests}, scratch / RECORD, indent=2)
    except OSError as error:  # a full disk or a read-only cache: it runs all the same
        logger.warning("int8: the ranges are not kept: %s", error)

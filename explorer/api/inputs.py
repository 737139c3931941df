"""What stands for a model, for a data set and for a run, wherever `explorer` takes one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from explorer.scoring.columns import Run, Truth
from explorer.scoring.runs import load_run, read_truth

if TYPE_CHECKING:
    from explorer.engine.detector import Detector

Done = TypeVar("Done")


class Loader(Protocol):
    """Loads a detector when it is needed; whoever writes one decides how, as the command line does by its options."""

    def __call__(self, **options: Any) -> Detector:
        """Loads the detector with options of `explorer.load_detector`, `device` among them."""
        ...


Model: TypeAlias = "Detector | str | Path | Loader"
"""A detector, or what `explorer.load_detector` takes: a zoo name, a config file, a run's folder, a checkpoint file; or
a function that loads one."""
Data = Truth | str | Path
"""Annotations, or what `explorer.read_truth` takes: `PATH[:SPLIT]` of a data set."""
RunLike = Run | str | Path
"""A run, or what `explorer.load_run` takes: a folder that an evaluation wrote, or a file of detections."""


def as_detector(model: Model, **options: Any) -> Detector:
    """Returns the detector that is given, or loads it with `options` of `explorer.load_detector`.

    A backbone alone is refused unless `bare` is among the options.

    Raises:
        ValueError: there is no such model, or it is a backbone alone.
        DownloadError: its weights cannot be downloaded.
    """
    from explorer.engine.detector import Detector
    from explorer.engine.loading import load_detector

    if isinstance(model, Detector):
        if not options.get("bare"):
            model.check_finds_objects()
        return model
    if callable(model):
        return model(**options)
    return load_detector(_named(model, "model", "a Detector or the name or path of a model"), **options)


def on_device(model: Model, work: Callable[[Detector], Done], device: str = "auto", **options: Any) -> Done:
    """Does work with a detector; a model that is loaded here starts again on the CPU where the GPU of `auto` fails.

    Args:
        model: a `Detector` stays on its device.
        work: what to do with the detector.
        device: of a model that is loaded here: `auto`, `cpu`, `cuda` or `cuda:N`.
        options: further ones of `explorer.load_detector`.

    Raises:
        ValueError: as of `as_detector`.
        DownloadError: the model's weights cannot be downloaded.
        DeviceError: the GPU fails, and it was asked for by name or the detector is on it.
    """
    from explorer.engine.detector import Detector
    from explorer.engine.devices import cpu_behind

    if isinstance(model, Detector):
        return work(as_detector(model, **options))
    return cpu_behind(device, lambda place: work(as_detector(model, device=place, **options)))


def as_truth(data: Data, limit: int | None = None) -> Truth:
    """Returns the annotations that are given, or reads them; only the first `limit` images where it is set.

    Raises:
        ValueError: there is no such data set.
    """
    what = "a Truth or the path of a data set, PATH[:SPLIT]"
    truth = data if isinstance(data, Truth) else read_truth(str(_named(data, "data", what)))
    return truth if limit is None else truth.of_images(truth.image_ids[:limit].tolist())


def named(data: Data | None) -> str | None:
    """Returns what names a data set; None for annotations that are given."""
    return None if data is None or isinstance(data, Truth) else str(data)


def as_run(run: RunLike, data: str | None = None) -> Run:
    """Returns the run that is given, or reads it, with the data set that it names unless another is given.

    Raises:
        ValueError: there is no such run.
    """
    allowed = "a Run or the path of its folder or file"
    return run if isinstance(run, Run) else load_run(_named(run, "run", allowed), data)


def _named(given: Any, what: str, allowed: str) -> str | Path:
    if isinstance(given, (str, Path)):
        return given
    raise TypeError(f"{what} is a {type(given).__name__}; give {allowed}.")

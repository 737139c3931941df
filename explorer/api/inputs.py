"""What stands for a model, for a data set and for a run, wherever `explorer` takes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from explorer.scoring.columns import Run, Truth
from explorer.scoring.runs import load_run, read_truth

if TYPE_CHECKING:
    from explorer.engine.detector import Detector

Model: TypeAlias = "Detector | str | Path"
"""A detector, or what `explorer.load_detector` takes: a zoo name, a config file, a run's folder, a checkpoint file."""
Data = Truth | str | Path
"""Annotations, or what `explorer.read_truth` takes: `PATH[:SPLIT]` of a data set."""
RunLike = Run | str | Path
"""A run, or what `explorer.load_run` takes: a folder that an evaluation wrote, or a file of detections."""


def as_detector(model: Model, **options: Any) -> Detector:
    """Returns the detector that is given, or loads it with `options` of `explorer.load_detector`.

    Raises:
        ValueError: there is no such model, or it is a backbone alone.
        DownloadError: its weights cannot be downloaded.
    """
    from explorer.engine.detector import Detector
    from explorer.engine.loading import load_detector

    if isinstance(model, Detector):
        model.check_finds_objects()
        return model
    return load_detector(_named(model, "model", "a Detector or the name or path of a model"), **options)


def as_truth(data: Data, limit: int | None = None) -> Truth:
    """Returns the annotations that are given, or reads them; only the first `limit` images where it is set.

    Raises:
        ValueError: there is no such data set.
    """
    what = "a Truth or the path of a data set, PATH[:SPLIT]"
    truth = data if isinstance(data, Truth) else read_truth(str(_named(data, "data", what)))
    return truth if limit is None else truth.of_images(truth.image_ids[:limit].tolist())


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

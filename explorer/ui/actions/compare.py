"""Several models run on one photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.text import legible
from explorer.types import Pixels, Progress
from explorer.ui.actions.comparison import LETTERS, PhotoComparison, Seen
from explorer.ui.actions.models import Models, chosen, trained_on
from explorer.ui.actions.number_format import number_format
from explorer.ui.actions.photos import read_photo
from explorer.ui.actions.progress import ProgressBar, Stopped, part_of
from explorer.ui.actions.tiles import advice, in_tiles
from explorer.ui.examples import annotated_in

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.ui.actions.dataset import DataSet

_LONGEST_REASON = 300
_RUNS, _TIMED_S = 3, 0.6


def compare(
    models: Models,
    names: Sequence[str],
    photo: str | Path | None,
    progress: ProgressBar | None = None,
    *,
    timed: bool = True,
    tiles: bool = False,
    even_none: bool = False,
    more_data: Sequence[DataSet] = (),
) -> PhotoComparison:
    """Runs each model on one photo; files of results have what they found there before.

    Fast ones run up to three times, so that the spread of their times is known.

    Args:
        models: where detectors are kept.
        names: one to four model names; a name given twice is run once.
        photo: an image file, as `explorer.data.images` reads them.
        progress: called with the share that is done and what is being done.
        timed: repeat runs for times; without it each model runs once.
        tiles: look at a large photo in overlapping tiles.
        even_none: where no model can be used, return a comparison that says why of each, instead of an error.
        more_data: data sets beside that of `models`, in which the photo is looked up, too.

    Raises:
        ValueError: no photo, one that cannot be read, no model or too many, or no model that can be used.
        DownloadError: no model's weights can be downloaded.
        DeviceError: no model can be run, since a GPU fails.
    """
    from explorer.engine.devices import DeviceError, cpu_behind, fallbacks
    from explorer.zoo.downloads import DownloadError

    wanted, image_bgr, path = chosen(names), read_photo(photo), Path(str(photo))
    answers: list[_Answer] = []
    failures: dict[str, ValueError | DownloadError | DeviceError] = {}
    told: list[str] = []
    for place, name in enumerate(wanted):
        own = part_of(progress, place, len(wanted), name)
        ask = partial(_ask, models, name, path, image_bgr, progress=own, runs=_RUNS if timed else 1, tiles=tiles)
        try:
            with fallbacks(told):
                answers.append(cpu_behind("auto", ask))
        except Stopped:
            raise
        except (ValueError, DownloadError, DeviceError) as error:
            failures[name] = error
    if not answers and not even_none:
        raise next(iter(failures.values()))
    scales = dict(zip(LETTERS, (one.scale for one in answers if one.scale is not None), strict=False))
    suggestion = _has_seen_such(models, wanted, image_bgr) if any(one.strange for one in answers) else ""
    truth = annotated_in(image_bgr)
    for data in (*((models.data,) if models.data else ()), *more_data):
        truth = data.annotated(path, image_bgr) if truth is None else truth
    return PhotoComparison(
        path,
        {one.name: one.seen for one in answers},
        {name: _one_line(error) for name, error in failures.items()},
        {one.name: one.times_s for one in answers if one.times_s},
        truth,
        {one.name: one.strange for one in answers if one.strange},
        " ".join(filter(None, (suggestion, advice(scales, image_bgr.shape[:2], tiles=tiles)))),
        models.protocol,
        frozenset(one.name for one in answers if models.is_file(one.name)),
        told,
        {one.name: one.number_format for one in answers if one.number_format},
    )


@dataclass(frozen=True)
class _Answer:
    """What a model or a file of results has on the photo.

    Attributes:
        name: of the model with its caveat, or of the file.
        seen: the detections.
        times_s: seconds of each run of a model.
        strange: a warning where a model was trained on other photographs.
        scale: pixels of a model's input per pixel of the photo, along a side.
        number_format: what a model computes in and why, where it is to be said.
    """

    name: str
    seen: Seen
    times_s: Sequence[float] = ()
    strange: str = ""
    scale: float | None = None
    number_format: str = ""


def _ask(
    models: Models,
    name: str,
    photo: Path,
    image_bgr: Pixels,
    device: str,
    *,
    progress: Progress,
    runs: int,
    tiles: bool,
) -> _Answer:
    """Runs one model on the photo, or looks it up in a file of results."""
    from explorer.engine.familiar import unfamiliar
    from explorer.engine.scales import scale_of

    if models.data and models.is_file(name):
        return _Answer(name, models.data.found(name, photo, image_bgr))
    detector = models.get(name, progress, device)
    detector = in_tiles(detector) if tiles else detector
    first = detector.detect(image_bgr)
    times_s = _times(detector, image_bgr, first.timing.total_s, runs)
    scale = scale_of(detector.model_input, detector.cut, *image_bgr.shape[:2])
    return _Answer(detector.name, first, times_s, unfamiliar(detector, image_bgr), scale, number_format(detector))


def _has_seen_such(models: Models, asked: Sequence[str], image_bgr: Pixels) -> str:
    """Names a bundled model that was trained on such photographs where one asked for was not; empty if none was."""
    from explorer.engine.familiar import unfamiliar, with_photographs

    known = with_photographs()
    tried = {trained_on(entry) for entry in known if entry.name in asked}
    for entry in known:
        if (kind := trained_on(entry)) not in tried:
            tried.add(kind)
            if not unfamiliar(models.get(entry.name), image_bgr):
                return f"{entry.name} was trained on such photographs ({kind}): add it under “Models”."
    return ""


def _times(detector: Detector, image_bgr: Pixels, first_s: float, most: int) -> list[float]:
    """Times a detector until it has run often enough, or long enough."""
    times_s = [first_s]
    while len(times_s) < most and sum(times_s) < _TIMED_S:
        times_s.append(detector.detect(image_bgr).timing.total_s)
    return times_s


def _one_line(error: Exception) -> str:
    """The first sentence of what an error says."""
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return f"{legible(first, _LONGEST_REASON).removesuffix(':').removesuffix('.')}."

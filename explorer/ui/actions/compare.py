"""Several models run on one photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.text import legible
from explorer.types import Pixels
from explorer.ui.actions.comparison import LETTERS, PhotoComparison, Seen
from explorer.ui.actions.models import Models, chosen
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
    from explorer.engine.familiar import unfamiliar
    from explorer.engine.scales import scale_of
    from explorer.zoo.downloads import DownloadError

    wanted, image_bgr, data = chosen(names), read_photo(photo), models.data
    path, (height, width) = Path(str(photo)), image_bgr.shape[:2]
    predictions: dict[str, Seen] = {}
    times_s: dict[str, Sequence[float]] = {}
    strange: dict[str, str] = {}
    scales: dict[str, float] = {}
    failures: dict[str, ValueError | DownloadError | DeviceError] = {}
    told: list[str] = []
    for place, name in enumerate(wanted):

        def run(device: str, name: str = name, place: int = place) -> None:
            if data and models.is_file(name):
                predictions[name] = data.found(name, path, image_bgr)
                return
            detector = models.get(name, part_of(progress, place, len(wanted), name), device)
            detector = in_tiles(detector) if tiles else detector
            first = detector.detect(image_bgr)
            times_s[detector.name] = _times(detector, image_bgr, first.timing.total_s, _RUNS if timed else 1)
            predictions[detector.name] = first
            scales[LETTERS[len(scales)]] = scale_of(detector.model_input, detector.cut, height, width)
            if words := unfamiliar(detector, image_bgr):
                strange[detector.name] = words

        try:
            with fallbacks(told):
                cpu_behind("auto", run)
        except Stopped:
            raise
        except (ValueError, DownloadError, DeviceError) as error:
            failures[name] = error
    if not predictions and not even_none:
        raise next(iter(failures.values()))
    reasons = {name: _one_line(error) for name, error in failures.items()}
    said = advice(scales, (height, width), tiles=tiles)
    truth = annotated_in(image_bgr)
    for own in (*((data,) if data else ()), *more_data):
        truth = own.annotated(path, image_bgr) if truth is None else truth
    files = frozenset(filter(models.is_file, predictions))
    return PhotoComparison(path, predictions, reasons, times_s, truth, strange, said, models.protocol, files, told)


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

"""What the user names to browse: runs that are there, or models, which are run and their runs kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.scoring.protocols import COCO, Protocol
from explorer.scoring.results_file import RESULTS_FILE
from explorer.types import Progress


def as_runs(given: Sequence[str], data: str, **options: Any) -> list[Path]:
    """Returns the folder or file of each run; models are run unless their run on this data is kept already.

    Args:
        given: folders of `explorer evaluate --out`, results files, or models as `load_detector` takes them.
        data: what models are run on.
        options: how, as `run_model` takes them.

    Raises:
        ValueError: it is neither a run nor a model, or the model does not fit the data.
    """
    return [Path(text) if _is_run(Path(text)) else run_model(text, data, **options) for text in given]


def run_model(
    model: str,
    data: str,
    *,
    device: str = "auto",
    tile: int | None = None,
    overlap: float = 0.2,
    protocol: Protocol = COCO,
    progress: Progress | None = None,
) -> Path:
    """Runs a model over a data set as `explorer evaluate --out` does, and returns the folder, in the cache.

    A run is kept for what decides it: annotations, config, weights and tiles.

    Args:
        model: as `load_detector` takes it.
        data: `PATH[:SPLIT]`.
        device: as `load_detector` takes it.
        tile: see `Detector.with_tiles`; None as the config has it.
        overlap: of the tiles.
        protocol: by which it is scored; its limit decides how many objects the model returns.
        progress: called after each image.

    Raises:
        ValueError: there is no such model, or it does not fit the data.
    """
    from explorer.browser.state import fingerprint_of
    from explorer.data.sources import annotation_files
    from explorer.engine.devices import cpu_behind
    from explorer.engine.evaluation.evaluate import evaluate
    from explorer.engine.loading import load_detector
    from explorer.zoo.downloads import cache_dir
    from explorer.zoo.resolve import resolve

    _, files = annotation_files(data)
    name = re.sub(r"[^\w.]+", "-", model).strip("-")
    found = resolve(model)  # another checkpoint of the same name is another run
    decides = [*files, found.config, *([found.weights] if found.weights else [])]
    tiles = "" if tile is None else f"-tile{tile}-{overlap:g}"
    sizes = re.sub(r"[^\w.]+", "-", protocol.name)
    rules = "" if protocol == COCO else f"-{sizes}-{protocol.max_detections[-1]}"
    folder = cache_dir() / "runs" / f"{name}-{fingerprint_of(decides)[:12]}{tiles}{rules}"
    if (folder / RESULTS_FILE).is_file() and (folder / "run.json").is_file():  # written last
        return folder

    def run(place: str) -> None:
        detector = load_detector(model, device=place)
        detector = detector if tile is None else detector.with_tiles(tile, overlap)
        evaluate(detector, data, out=folder, protocol=protocol, progress=progress)

    cpu_behind(device, run)
    return folder


def _is_run(path: Path) -> bool:
    """Whether it holds detections already."""
    return (path / RESULTS_FILE).is_file() or (path.is_file() and path.suffix == ".json")

"""A detector as two files that hold data alone, its config and its weights, to be passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer.engine.detector import Detector
from explorer.engine.windows import Tiles
from explorer.writing import replacing
from explorer.zoo.checkpoints import save_safetensors
from explorer.zoo.trained import CONFIG, SAVED


def write_pretrained(detector: Detector, folder: Path) -> None:
    """Writes `config.yaml` and `model.safetensors` into a folder, which then is a MODEL; numbers keep their type.

    Raises:
        ValueError: the detector has a LazyConfig, or weights that are random or partly so.
    """
    if detector.caveat or detector.weights is None:
        raise ValueError(f"{detector.name} has {detector.caveat or 'no weights'}: there is nothing to pass on.")
    text = portable_config(detector)
    known: Any = detector.model
    save_safetensors(known.state_dict(), folder / SAVED, {"format": "pt"}, half=False)
    with replacing(folder / CONFIG) as scratch:
        scratch.write_text(text, encoding="utf-8")


def portable_config(detector: Detector) -> str:
    """Returns a detector's config as YAML with its classes' names and tiles, without paths of the machine it is from.

    Raises:
        ValueError: it has a LazyConfig.
    """
    if not hasattr(detector.cfg, "dump"):
        raise ValueError(f"{detector.name} has a LazyConfig, which is code and cannot be passed on.")
    cfg = detector.cfg.clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR = "", "./output"
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ()
    cfg.SOLVER.TEACHER.NAME = cfg.SOLVER.TEACHER.WEIGHTS = cfg.EXPLORER.LOGGER = ""
    cfg.TEST.TILES.SIZE = detector.cut.size if isinstance(detector.cut, Tiles) else 0
    cfg.TEST.TILES.OVERLAP = detector.cut.overlap if isinstance(detector.cut, Tiles) else cfg.TEST.TILES.OVERLAP
    cfg.EXPLORER.CLASS_NAMES = list(detector.class_names)
    cfg.EXPLORER.STUFF_CLASS_NAMES = list(detector.stuff_class_names)
    text: str = cfg.dump()
    return text

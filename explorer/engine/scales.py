"""At which scale a model was trained and at which it is tested: a detector finds objects of the sizes it learnt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from explorer.engine.config_facts import Config, ModelInput, yaml_input
from explorer.engine.windows import Cut

TOLERATED = 1.5
"""Scales that differ by less are taken as alike."""

TILE_FROM = 2048
"""Longest side in pixels up to which a training tests its photographs in one piece."""
Sizes = Iterable[tuple[int, int]]
"""`(height, width)` of photographs, in pixels."""


@dataclass(frozen=True)
class Scales:
    """Pixels that a model gets per pixel of the photographs, along a side.

    Attributes:
        low: the smallest one in training.
        high: the largest one in training.
        test: the one in testing.
    """

    low: float
    high: float
    test: float

    @property
    def apart(self) -> float:
        """How many times as small (below 1) or as large (above 1) objects are in testing; 1 within what was trained."""
        if self.test < self.low:
            return self.test / self.low
        return max(1.0, self.test / self.high)

    def line(self) -> str:
        """Says both scales in one line."""
        trained = f"{self.low:.2g}" if self.low == self.high else f"{self.low:.2g} to {self.high:.2g}"
        return f"Photographs are scaled by {trained} in training and by {self.test:.2g} in testing"

    def note(self) -> str:
        """Says in one line that the scales differ, and what to do; empty where they do not."""
        if 1 / TOLERATED <= self.apart <= TOLERATED:
            return ""
        how = f"{self.apart:.1f} times as large" if self.apart > 1 else f"{1 / self.apart:.1f} times as small"
        return (
            f"{self.line()}: objects appear {how} as in training, and fewer are found. INPUT.MIN_SIZE_TEST 0 tests "
            "photographs at their own size."
        )


def scales(cfg: Config, model_input: ModelInput, cut: Cut | None, tested: Sizes) -> Scales | None:
    """Compares the scale of training with that of testing.

    Args:
        cfg: of the model.
        model_input: how photographs are prepared.
        cut: how they are cut, if they are.
        tested: sizes of the photographs it is tested on; the median counts.

    Returns:
        The scales; None where the config does not tell that of training, which only crops of fixed sizes do.
    """
    if not isinstance(cfg, CfgNode) or not (cfg.INPUT.CROP.ENABLED and cfg.INPUT.CROP.TYPE == "absolute"):
        return None
    sizes = list(tested)
    if not sizes:
        return None
    crop, resized = min(cfg.INPUT.CROP.SIZE), cfg.INPUT.MIN_SIZE_TRAIN
    smallest, largest = (1.0, 1.0) if min(resized) == 0 else (min(resized) / crop, max(resized) / crop)
    zoom = cfg.INPUT.CROP.get("ZOOM", (1.0, 1.0)) if cfg.INPUT.CROP.get("AROUND_OBJECT") else (1.0, 1.0)
    test = float(np.median([scale_of(model_input, cut, height, width) for height, width in sizes]))
    return Scales(smallest * zoom[0], largest * zoom[1], test)


def follow_photographs(cfg: CfgNode, tested: Sizes) -> None:
    """Has a training test its photographs at their own size where the config's test size would shrink or enlarge them.

    Larger ones than `TILE_FROM` are then tested in tiles. Crops of fixed sizes are trained at full resolution, and a
    detector that has never seen objects at the scale of the test gives figures that say nothing of it.

    Args:
        cfg: changed in place.
        tested: sizes of the photographs to test on.
    """
    size = yaml_input(cfg)
    found = scales(cfg, size, None, tested)
    if found and found.note():
        cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.TILES.SIZE = 0, cfg.TEST.TILES.SIZE or TILE_FROM


def image_sizes(names: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yields `(height, width)` of the photographs of registered data sets."""
    for name in names:
        yield from ((record["height"], record["width"]) for record in DatasetCatalog.get(name))


def scale_of(model_input: ModelInput, cut: Cut | None, height: int, width: int) -> float:
    """Pixels that a model gets per pixel of a photograph, or of its tiles, along a side."""
    windows = cut.windows(height, width) if cut else []
    if windows:
        top, left, bottom, right = windows[0]
        height, width = bottom - top, right - left
    return model_input.size_for(height, width)[0] / height

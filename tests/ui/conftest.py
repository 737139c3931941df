"""Detectors that answer from a list, so that actions are tried without waiting for networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from torch import nn

from explorer.engine.detector import Prediction
from explorer.types import Detections, Timing
from explorer.ui.actions.models import Models

CLASSES = ("car", "plane")


@dataclass
class FakeDetector:
    """Reports the same boxes for every photo.

    Attributes:
        found: rows of score, class index and box.
        megabytes: what its weights take.
        images: the photos that it was asked about.
    """

    found: list[tuple[float, int, tuple[int, int, int, int]]]
    megabytes: float = 1
    images: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = nn.Linear(round(self.megabytes * 250_000), 1, bias=False)

    def detect(self, image_bgr: npt.NDArray[np.uint8]) -> Prediction:
        self.images.append(image_bgr)
        detections = Detections(
            np.array([box for _, _, box in self.found], np.float32).reshape(-1, 4),
            np.array([score for score, _, _ in self.found], np.float32),
            np.array([index for _, index, _ in self.found], np.int64),
            CLASSES,
            (image_bgr.shape[0], image_bgr.shape[1]),
        )
        return Prediction(detections, None, Timing({"preprocess": 0.01, "model": 0.2, "postprocess": 0.003}))


@dataclass
class Zoo:
    """Models by name, and what was loaded of them."""

    models: Models
    fakes: dict[str, FakeDetector]
    loaded: list[tuple[str, float]]


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """A finds a sure small car, a medium plane and a doubtful car; B the same plane and a large one; C nothing."""
    fakes = {
        "A": FakeDetector([(0.9, 0, (10, 10, 20, 20)), (0.6, 1, (40, 40, 90, 90)), (0.1, 0, (5, 60, 15, 70))]),
        "B": FakeDetector([(0.7, 1, (42, 40, 92, 90)), (0.55, 1, (0, 0, 120, 100))]),
        "C": FakeDetector([]),
    }
    loaded: list[tuple[str, float]] = []

    def load(name: str, *, lowest_score: float, progress: object) -> FakeDetector:
        loaded.append((name, lowest_score))
        return fakes[name]

    monkeypatch.setattr("explorer.engine.detector.load_detector", load)
    return Zoo(Models(memory_mb=2.5, extra=["A", "B", "C"]), fakes, loaded)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of one colour, 120 × 100 px."""
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((100, 120, 3), (30, 20, 10), np.uint8))
    return path

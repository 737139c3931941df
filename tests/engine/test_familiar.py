"""A model knows photographs of the kind it was trained on, and says of others that it has not seen such."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explorer.data.images import read_image
from explorer.engine.detector import Detector
from explorer.engine.familiar import Familiar, familiar_of, learn, statistics_of, unfamiliar
from explorer.engine.loading import load_detector
from explorer.scoring.runs import read_truth


def grey(seed: int, level: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(level, level + 40, (96, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def small(tiny: Callable[..., Detector]) -> Detector:
    return tiny("faster_rcnn_V_39_FPN_3x")


def test_statistics_are_the_channels_means_and_deviations(small: Detector) -> None:
    found = statistics_of(small, grey(0, 60))
    maps = {}
    hook = small.model.backbone.register_forward_hook(lambda _, __, out: maps.update(out))  # type: ignore[union-attr]
    statistics_of(small, grey(0, 60))
    hook.remove()
    values = maps["p3"][0].double().numpy()
    channels = values.shape[0]
    np.testing.assert_allclose(found[2 * channels : 3 * channels], values.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[3 * channels : 4 * channels], values.std((1, 2)), rtol=1e-5)
    assert len(found) == 4 * 2 * channels


def test_others_of_the_kind_are_within_the_limit_and_strangers_beyond(small: Detector, tmp_path: Path) -> None:
    known = learn(small, [grey(seed, 60) for seed in range(8)], [str(seed // 2) for seed in range(8)])
    assert known.photographs == 8
    assert known.distance(statistics_of(small, grey(99, 60))) < known.limit
    assert known.distance(statistics_of(small, grey(99, 200))) > known.limit
    known.write(tmp_path)
    assert (tmp_path / "familiar.json").stat().st_size < 100_000
    with pytest.raises(ValueError, match="of 1 scenes"):
        learn(small, [grey(0, 60)], ["a street"])


def test_distance_is_in_deviations() -> None:
    known = Familiar(np.array([1.0, 2.0]), np.array([0.5, 2.0]), 3.0, 10)
    assert known.distance(np.array([1.5, 0.0])) == pytest.approx(1)
    assert known.distance(np.array([1.0, 2.0])) == 0


def test_models_without_figures_say_nothing(small: Detector) -> None:
    assert familiar_of(small) is None
    assert unfamiliar(small, grey(0, 60)) == ""


@pytest.mark.parametrize(
    ("model", "own"),
    [
        ("demo/V-19-slim-dw-aerial-real", "aerial-real:test"),
        ("demo/MobileNetV2-aerial-real", "aerial-real:test"),
        ("demo/V-19-slim-dw-bccd", "bccd:test"),
        ("demo/MobileNetV2-bccd", "bccd:test"),
    ],
)
def test_bundled_models_know_their_kind(model: str, own: str, shared: Path) -> None:
    detector = load_detector(model, device="cpu", exact=True)
    files = read_truth(f"{shared}/data/{own}").file_names
    assert not any(unfamiliar(detector, read_image(file)) for file in files[:: len(files) // 3])
    everyday = min((shared / "data/coco-tiny").rglob("*.jpg"))
    words = unfamiliar(detector, read_image(everyday))
    assert words.startswith(f"{model} has not seen such photographs: this one lies ")

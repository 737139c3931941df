"""The weights that come with the package: small, half precision, complete, and as good as their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.config import CONFIGS
from explorer.data.aerial import make_aerial
from explorer.data.coco import register_coco
from explorer.engine.detector import load_detector
from explorer.engine.evaluate import evaluate
from explorer.zoo.downloads import sha256_of
from explorer.zoo.registry import WEIGHTS, ZooEntry, entries

DEMOS = [entry for entry in entries() if entry.status == "bundled"]
ON_SCENES = [entry for entry in DEMOS if entry.card and "scenes" in entry.card["measured"]]
POINTS = 0.2
"""By how much AP may differ from a card's, in points."""


def test_the_demos_are_listed_first() -> None:
    names = ["demo/V-19-slim-dw", "demo/MobileNetV2", "demo/V-19-slim-dw-bccd"]
    assert [entry.name for entry in entries()[:3]] == names
    assert list(entries()[:3]) == DEMOS


@pytest.mark.parametrize("entry", DEMOS, ids=lambda entry: entry.name)
def test_they_are_small_and_what_their_cards_are_of(entry: ZooEntry) -> None:
    from safetensors import safe_open

    assert entry.bundled
    assert entry.card
    assert entry.config
    assert entry.bundled.stat().st_size < 8e6
    assert sha256_of(entry.bundled) == entry.sha256
    assert (CONFIGS / entry.config).is_file()
    with safe_open(str(entry.bundled), "pt") as file:
        assert "iterations" in file.metadata()["training"]
        kinds = {file.get_slice(name).get_dtype() for name in file.offset_keys() if "conv" in name and "weight" in name}
    assert kinds & {"F16", "I8"}
    for value, low, high in entry.card["measured"]["box"].values():
        assert low < value < high


def test_all_together_stay_small() -> None:
    sizes = [path.stat().st_size for path in WEIGHTS.glob("*.safetensors")]
    assert max(sizes) < 8e6
    assert sum(sizes) < 40e6


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The scenes that the aerial cards were measured on."""
    folder = tmp_path_factory.mktemp("scenes") / "aerial"
    (wanted,) = {tuple(sorted(entry.card["measured"]["scenes"].items())) for entry in ON_SCENES if entry.card}
    make_aerial(folder, **dict(wanted))
    return register_coco(str(folder))


@pytest.mark.parametrize("entry", ON_SCENES, ids=lambda entry: entry.name)
def test_they_have_their_cards_ap_on_scenes(entry: ZooEntry, scenes: str) -> None:
    assert entry.card
    detector = load_detector(entry.name)
    metrics = evaluate(detector.runner, detector.cfg, scenes)
    assert metrics.images == entry.card["measured"]["images"]
    assert metrics.values["bbox"]["AP"] == pytest.approx(entry.card["measured"]["box"]["AP"][0], abs=POINTS)


def test_the_blood_cell_detector_has_its_cards_ap(shared: Path) -> None:
    (entry,) = (entry for entry in DEMOS if entry.name == "demo/V-19-slim-dw-bccd")
    assert entry.card
    detector = load_detector(entry.name)
    metrics = evaluate(detector.runner, detector.cfg, register_coco(f"{shared}/data/bccd:test"))
    assert metrics.images == entry.card["measured"]["images"]
    assert metrics.values["bbox"]["AP"] == pytest.approx(entry.card["measured"]["box"]["AP"][0], abs=POINTS)
    assert metrics.values["bbox"]["AP"] > 59
    assert metrics.values["bbox"]["AP50"] > 90

"""The weights that come with the package: small, half precision, complete, and they find things."""

import warnings

import pytest

from explorer.data.aerial import make_aerial
from explorer.data.coco import register_coco
from explorer.engine.detector import load_detector
from explorer.engine.evaluate import evaluate
from explorer.zoo.registry import entries

DEMOS = [entry for entry in entries() if entry.status == "bundled"]


def test_the_demos_are_listed_first():
    assert [entry.name for entry in entries()[:2]] == ["demo/V-19-slim-dw", "demo/MobileNetV2"]
    assert list(entries()[:2]) == DEMOS


@pytest.mark.parametrize("entry", DEMOS, ids=lambda entry: entry.name)
def test_they_are_small_and_say_how_they_were_trained(entry):
    from safetensors import safe_open

    assert entry.bundled.stat().st_size < 8e6
    with safe_open(str(entry.bundled), "pt") as file:
        assert "1,600 aerial scenes" in file.metadata()["training"]
        kinds = {file.get_slice(name).get_dtype() for name in file.offset_keys() if "conv" in name and "weight" in name}
    assert "F16" in kinds


@pytest.mark.parametrize(("name", "least_ap50"), [("demo/V-19-slim-dw", 40.0), ("demo/MobileNetV2", 15.0)])
def test_they_find_objects_in_scenes_they_have_not_seen(name, least_ap50, tmp_path):
    make_aerial(tmp_path / "aerial", images=24, seed=11, workers=1)
    dataset = register_coco(str(tmp_path / "aerial"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".torch\.jit\.script. is deprecated")
        detector = load_detector(name)
    assert evaluate(detector.model, detector.cfg, dataset).values["bbox"]["AP50"] > least_ap50

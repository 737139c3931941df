"""Recording leaves a model as it was, however it ends, and keeps what was asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explorer.data.aerial import render_scene
from explorer.engine.detector import Detector
from explorer.engine.loading import fast, load_detector
from explorer.features.capture import feature_maps
from explorer.features.hooks import FeatureRecorder, is_recorded
from explorer.features.layers import find_layers


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo/V-19-slim-dw", device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "128"])


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return render_scene(3, size=(128, 160)).image


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 2, 3, padding=1)
        self.unused = nn.Conv2d(1, 1, 1)
        self.second.eval()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        hidden = self.act(self.first(image))
        return {"out": self.second(hidden), "hidden": hidden}


IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def state(model: nn.Module) -> list[tuple[bool, int]]:
    return [(module.training, len(module._forward_hooks)) for module in model.modules()]


@pytest.mark.parametrize("ending", [None, RuntimeError, KeyboardInterrupt, SystemExit])
def test_hooks_and_modes_are_as_before_however_it_ends(ending: type[BaseException] | None) -> None:
    net = Net().train()
    net.second.eval()
    before = state(net)
    expected = pytest.raises(ending) if ending else torch.no_grad()
    with expected, FeatureRecorder(net, ["first", "second"]) as recorder:
        assert not any(module.training for module in net.modules())
        recorder.model(IMAGE)
        if ending:
            raise ending
    assert state(net) == before


def test_an_error_in_the_model_leaves_nothing_behind() -> None:
    net = Net()
    before = state(net)
    with pytest.raises(RuntimeError), FeatureRecorder(net, ["first"]) as recorder:
        recorder.model(torch.zeros(1, 5, 8, 8))
    assert state(net) == before


def test_what_is_recorded_is_what_the_layer_gave() -> None:
    net = Net().eval()
    with FeatureRecorder(net, ["first", "second"]) as recorder, torch.no_grad():
        output = net(IMAGE)
    torch.testing.assert_close(recorder["first"], net.first(IMAGE))
    torch.testing.assert_close(recorder["second"], output["out"])
    assert [record.name for record in recorder.records] == ["first", "second"]


def test_copies_stay_and_references_that_are_overwritten_are_refused() -> None:
    net = Net().eval()
    with FeatureRecorder(net, ["first"]) as recorder:
        net(IMAGE)
    assert recorder["first"].min() < 0
    assert not recorder["first"].requires_grad
    with FeatureRecorder(net, ["first"], copy=False) as recorder, torch.no_grad():
        net(IMAGE)
    with pytest.raises(ValueError, match="first was overwritten in place by a later layer"):
        recorder["first"]
    with FeatureRecorder(net, ["second"], copy=False) as recorder:
        output = net(IMAGE)
    assert recorder["second"] is output["out"]
    assert recorder["second"].requires_grad


def test_a_memory_limit_names_the_largest_maps() -> None:
    net = Net()
    before = state(net)
    words = pytest.raises(ValueError, match=r"above limit_mb=0\.001.*first \(1×4×8×8, 0\.0 MB\)")
    with words, FeatureRecorder(net, ["first", "second"], limit_mb=0.001) as recorder:
        recorder.model(IMAGE)
    assert state(net) == before
    with pytest.raises(ValueError, match="above 0"):
        FeatureRecorder(net, ["first"], limit_mb=0)


def test_layers_that_do_not_run_or_are_not_there_are_named() -> None:
    net = Net()
    with FeatureRecorder(net, ["first", "unused"]) as recorder:
        net(IMAGE)
    with pytest.raises(ValueError, match="unused did not run"):
        recorder["unused"]
    with pytest.raises(ValueError, match="second is not recorded; recorded are first, unused"):
        recorder["second"]
    for wanted, words in [(["frist"], "first"), ([], "No layers were named"), ("first", r"Write \['first'\]")]:
        with pytest.raises(ValueError, match=words):
            FeatureRecorder(net, wanted)


def test_a_recorder_is_for_one_block_at_a_time() -> None:
    recorder = FeatureRecorder(Net(), ["first"])
    with recorder, pytest.raises(RuntimeError, match="already active"), recorder:
        pass
    with recorder:
        recorder.model(IMAGE)
    assert len(recorder.records) == 1


def test_a_compiled_model_is_recorded_eagerly() -> None:
    net = Net().eval()
    compiled = torch.compile(net, backend="eager")
    compiled(IMAGE)  # compiled before the hooks came
    with FeatureRecorder(compiled, ["first"]) as recorder, torch.no_grad():
        compiled(IMAGE)
    torch.testing.assert_close(recorder["first"], net.first(IMAGE))


def test_a_detector_with_its_fast_way_on_is_recorded_too(demo: Detector, scene: np.ndarray) -> None:
    """Its engine runs no layer of the model: a recorder around `detect` would be left with nothing."""
    exact, quick = replace(demo, fast=None), fast(demo, "float32", "torch")
    with FeatureRecorder(exact.model, ["p2", "stage3"]) as plain:
        exact.detect(scene)
    with FeatureRecorder(quick.model, ["p2", "stage3"]) as recorder:
        quick.detect(scene)
        with ThreadPoolExecutor(1) as others:  # who looks at the same model meanwhile, and records nothing
            assert not others.submit(is_recorded, quick.model).result()
    assert torch.equal(recorder["p2"], plain["p2"])
    assert torch.equal(recorder["stage3"], plain["stage3"])
    assert not is_recorded(quick.model)
    with pytest.raises(RuntimeError, match="stops"), FeatureRecorder(quick.model, ["p2"]):
        raise RuntimeError("stops")
    assert not is_recorded(quick.model)


def test_names_globs_and_short_names(demo: Detector) -> None:
    def names(*wanted: str) -> list[str]:
        return [layer.name for layer in find_layers(demo.model, wanted)]

    assert names("p2") == ["p2"]
    assert names("p*") == ["p2", "p3", "p4", "p5", "p6"]
    assert names("stage4") == ["stage4"]
    assert names("backbone.bottom_up.stage4.*") == [
        "backbone.bottom_up.stage4.Pooling",
        "backbone.bottom_up.stage4.OSA4_1",
    ]
    assert len(names("backbone.bottom_up.stage4.**")) > 10
    assert names("rpn_head.conv") == ["proposal_generator.rpn_head.conv"]
    assert names("p2", "p2") == ["p2"]
    with pytest.raises(ValueError, match="p2"):
        names("p22")


def test_maps_of_a_detector_know_where_they_lie(demo: Detector, scene: np.ndarray) -> None:
    maps = feature_maps(demo.model, demo.model_input(scene), ["p2", "p4", "stage3"])
    assert {name: feature.values.shape[1:] for name, feature in maps.items()} == {
        "p2": (32, 40),
        "p4": (8, 10),
        "stage3": (16, 20),
    }
    assert {feature.frame.stride_yx for feature in maps.values()} == {(4, 4), (8, 8), (16, 16)}
    with torch.no_grad():
        images = demo.model.preprocess_image([demo.model_input(scene)])  # type: ignore[operator]
        plain = demo.model.backbone(images.tensor)  # type: ignore[operator]
    np.testing.assert_array_equal(maps["p2"].values, plain["p2"][0].numpy())


def test_a_layer_that_runs_several_times_has_a_map_for_each(demo: Detector, scene: np.ndarray) -> None:
    maps = feature_maps(demo.model, demo.model_input(scene), ["rpn_head.conv"])
    assert [name.partition("#")[2] for name in maps] == ["0", "1", "2", "3", "4"]


def test_timm_models_and_plain_modules() -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet10t", features_only=True)
    maps = feature_maps(model, torch.zeros(1, 3, 64, 64), ["layer1", "layer3"])
    assert [feature.values.shape[1:] for feature in maps.values()] == [(16, 16), (4, 4)]
    maps = feature_maps(Net(), torch.zeros(1, 3, 8, 8), ["second"])
    assert maps["second"].values.shape == (2, 8, 8)

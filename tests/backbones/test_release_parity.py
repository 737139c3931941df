"""The release's detectors: same tensor names, same shapes, same features (golden numbers recorded on the release)."""

import json
from functools import cache
from types import ModuleType

import pytest
import torch
from detectron2.modeling import build_backbone, build_model

import explorer.backbones  # noqa: F401 (registers the builders)
from explorer.config import load_config

RELEASE_CONFIGS = [
    "faster_rcnn_Mv2_FPNLite_3x.yaml",
    "faster_rcnn_V_19_FPNLite_3x.yaml",
    "faster_rcnn_V_19_FPN_3x.yaml",
    "faster_rcnn_V_19_dw_FPNLite_3x.yaml",
    "faster_rcnn_V_19_slim_FPNLite_3x.yaml",
    "faster_rcnn_V_19_slim_dw_FPNLite_3x.yaml",
    "faster_rcnn_V_39_FPN_3x.yaml",
    "faster_rcnn_V_57_FPN_3x.yaml",
    "faster_rcnn_V_99_FPN_3x.yaml",
    "mask_rcnn_V_19_FPNLite_3x.yaml",
    "mask_rcnn_V_19_FPN_3x.yaml",
    "mask_rcnn_V_39_FPN_3x.yaml",
    "mask_rcnn_V_57_FPN_3x.yaml",
    "mask_rcnn_V_99_FPN_3x.yaml",
    "panoptic_fpn_V_39_FPN_3x.yaml",
    "panoptic_fpn_V_57_FPN_3x.yaml",
]


@pytest.fixture(scope="module")
def golden(shared):
    def read(name):
        return json.loads((shared / "golden" / name).read_text())

    return {"state_dict": read("upstream_state_dict.json"), "features": read("upstream_features.json")}


def test_every_recorded_config_is_tested(golden):
    assert sorted(golden["state_dict"]) == sorted(golden["features"]) == sorted(RELEASE_CONFIGS)


@pytest.mark.parametrize("name", RELEASE_CONFIGS)
def test_state_dict_has_the_release_names_and_shapes(name, golden):
    cfg = load_config(name, ["MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        ours = {key: list(tensor.shape) for key, tensor in build_model(cfg).state_dict().items()}
    assert ours == golden["state_dict"][name]


@cache
def _features(body: str, fpn_channels: int, size: str, weights: ModuleType) -> dict[str, torch.Tensor]:
    """Maps of one backbone under the deterministic weights; several configs share a backbone."""
    name = next(n for n in RELEASE_CONFIGS if _key(n) == (body, fpn_channels))
    cfg = load_config(name, ["MODEL.DEVICE", "cpu"])
    backbone = weights.fill_(build_backbone(cfg).eval())
    image = weights.reference_image(*map(int, size.split("x")))
    with torch.no_grad():
        return {**backbone.bottom_up(image), **backbone(image)}


@cache
def _key(name: str) -> tuple[str, int]:
    cfg = load_config(name)
    body = "MobileNetV2" if "mobilenet" in cfg.MODEL.BACKBONE.NAME else cfg.MODEL.VOVNET.CONV_BODY
    return body, cfg.MODEL.FPN.OUT_CHANNELS


@pytest.mark.parametrize("name", RELEASE_CONFIGS)
def test_features_equal_the_release(name, golden, deterministic_weights):
    for size, recorded in golden["features"][name].items():
        ours = _features(*_key(name), size, deterministic_weights)
        assert set(recorded) == set(ours)
        for feature, values in recorded.items():
            tensor = ours[feature].double()
            assert list(tensor.shape) == values["shape"]
            samples = tensor.flatten()[torch.linspace(0, tensor.numel() - 1, 16).long()]
            tolerance = 1e-4 * values["abs_max"]
            torch.testing.assert_close(samples, torch.tensor(values["samples"]).double(), rtol=0, atol=tolerance)
            for statistic, value in (
                ("mean", tensor.mean()),
                ("std", tensor.std()),
                ("abs_max", tensor.abs().max()),
            ):
                assert value.item() == pytest.approx(values[statistic], rel=1e-4, abs=tolerance), (
                    feature,
                    statistic,
                )

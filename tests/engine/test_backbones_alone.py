"""Backbones without a detector: features, fields, times and exports, from whatever file their weights are in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import explorer
from explorer.cli import app
from explorer.data.aerial import render_scene
from explorer.engine.loading import load_backbone, load_detector, load_or_random
from explorer.engine.speed import machine
from explorer.features.capture import feature_maps
from explorer.zoo.identify.convert import convert
from tests.fixtures.wild import SMALL, WILD, network, toolbox, toolbox_maps, under

run = CliRunner().invoke


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "scene.png"
    Image.fromarray(render_scene(3, size=(96, 160)).image[:, :, ::-1]).save(path)
    return path


@pytest.mark.parametrize("kind", ["streampetr.pth", "planner.ckpt", "planner.safetensors", "vovnet27-slim.pt"])
def test_a_wild_file_is_a_backbone_by_itself(kind: str, tmp_path: Path) -> None:
    net = WILD[kind](tmp_path / kind)
    model = load_backbone(tmp_path / kind, device="cpu")
    assert (model.name, model.caveat) == (f"backbone:{kind}", "")
    loaded = model.model.backbone.state_dict()
    assert all(torch.equal(loaded[name], net.state_dict()[name]) for name in loaded)
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 64)
        for ours, theirs in zip(model.model.backbone(image).values(), net(image).values(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_what_a_file_needs_of_the_config_is_set(tmp_path: Path) -> None:
    toolbox(tmp_path / "f.pth")
    by_file = load_backbone(tmp_path / "f.pth", device="cpu")
    by_name = load_backbone("V-27-slim", weights=tmp_path / "f.pth", device="cpu")
    assert by_file.cfg.MODEL.VOVNET.STEM_STRIDES == by_name.cfg.MODEL.VOVNET.STEM_STRIDES == [2, 1, 1]
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = toolbox_maps(torch.load(tmp_path / "f.pth"), image)
        for ours, theirs in zip(by_name.model.backbone(image).values(), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="holds a V-27-slim, not a V-39-eSE: name backbone:V-27-slim"):
        load_backbone("V-39-eSE", weights=tmp_path / "f.pth")


def test_an_unknown_channel_order_is_said_and_a_known_one_is_set(tmp_path: Path) -> None:
    WILD["dd3d.pth"](tmp_path / "f.pth")
    (said,) = load_backbone(tmp_path / "f.pth", device="cpu").remarks[:1]
    assert said == "Whether f.pth takes RGB or BGR is not known; BGR is assumed: set INPUT.FORMAT."
    chosen = load_backbone(tmp_path / "f.pth", device="cpu", overrides=["INPUT.FORMAT", "RGB"])
    assert not any("assumed" in remark for remark in chosen.remarks)
    convert(tmp_path / "f.pth", tmp_path / "f.safetensors", source_order="bgr", channel_order="rgb")
    model = load_backbone(tmp_path / "f.safetensors", device="cpu")
    assert (model.model_input.channel_order, model.remarks) == ("RGB", ())


def test_a_bundled_detectors_backbone_stands_alone() -> None:
    alone = load_backbone(SMALL, weights="demo/V-19-slim-dw", device="cpu").model.backbone.state_dict()
    whole = load_detector("demo/V-19-slim-dw", device="cpu").model.backbone.bottom_up.state_dict()
    assert all(torch.equal(alone[name], whole[name]) for name in alone)


def test_random_ones_say_so_and_any_config_key_changes_them() -> None:
    model = explorer.load_backbone(SMALL, overrides=["MODEL.VOVNET.OUT_FEATURES", "['stage3']"], device="cpu")
    assert model.name == f"backbone:{SMALL} (random weights)"
    assert list(model.model.backbone.output_shape()) == ["stage3"]
    assert load_or_random("backbone:MobileNetV2", random=True).model.backbone.size_divisibility == 32


def test_maps_lie_in_the_photo_and_images_are_normalised_as_the_config_says() -> None:
    model = load_backbone(SMALL, device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "0", "MODEL.PIXEL_STD", "[2, 2, 2]"])
    image = np.full((64, 96, 3), 130, np.uint8)
    found = model.model.preprocess_image([model.model_input(image)] * 6).tensor
    assert found.shape == (6, 3, 64, 96)
    expected = (130 - torch.tensor(model.cfg.MODEL.PIXEL_MEAN)) / 2
    torch.testing.assert_close(found[0, :, 0, 0], expected)
    (maps,) = feature_maps(model.model, model.model_input(image), ["stage4"]).values()
    assert maps.values.shape == (384, 4, 6)
    assert maps.frame.stride_yx == (16, 16)
    assert list(model.model([model.model_input(image)])) == ["stage2", "stage3", "stage4", "stage5"]


@pytest.mark.parametrize("model", [f"backbone:{SMALL}", "run"])
def test_what_wants_objects_refuses_it_in_one_line(model: str, photo: Path, tmp_path: Path) -> None:
    if model == "run":  # its own folder, as an export
        # trained weights, since what engines compute with random ones differs by more than an export may
        state = load_detector("demo/V-19-slim-dw", exact=True, device="cpu").model.backbone.bottom_up.state_dict()
        torch.save({f"backbone.{name}": tensor for name, tensor in state.items()}, tmp_path / "f.pth")
        words = ["export", f"backbone:{tmp_path / 'f.pth'}", "--photo", str(photo)]
        model = str(tmp_path / "export")
        assert run(app, [*words, "--out", model]).exit_code == 0
    done = run(app, ["predict", model, str(photo), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2, done.output
    assert "explorer features, receptive-field, export or benchmark --stage backbone" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    with pytest.raises(ValueError, match="finds no objects"):
        load_detector(model)


def test_in_python_too() -> None:
    bare = load_backbone(SMALL, device="cpu")
    with pytest.raises(ValueError, match="finds no objects"):
        bare.detect(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="finds no objects"):
        explorer.evaluate(bare, "nowhere")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("backbone:V-99-eSe", r"Did you mean backbone:V-99-eSE\?"),
        ("backbone:nowhere.pth", "names neither a backbone nor a file"),
        ("imagenet/V-99-eSE", "--weights imagenet/V-99-eSE. Without a detector it is backbone:V-99-eSE"),
    ],
)
def test_what_there_is_not_is_refused(model: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load_detector(model, bare=True)


def test_weights_that_lack_something_are_refused(tmp_path: Path) -> None:
    state = under("img_backbone.", network())
    del state["img_backbone.stage3.OSA3_1.ese.fc.bias"]
    torch.save(state, tmp_path / "f.pth")
    with pytest.raises(ValueError, match=r"(?s)does not fit.*ese\.fc\.bias"):
        load_backbone(tmp_path / "f.pth", device="cpu")


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wild") / "dd3d.pth"
    WILD["dd3d.pth"](path)
    return path


def document_of(words: list[str]) -> dict[str, Any]:
    done = run(app, [*words, "--json", "-"])
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_features_are_those_of_its_own_outputs(wild: Path, photo: Path, tmp_path: Path) -> None:
    words = ["features", f"backbone:{wild}", str(photo), "--out", str(tmp_path), "INPUT.MIN_SIZE_TEST", "96"]
    document = document_of(words)
    assert list(document["layers"]) == ["stage2", "stage3", "stage4", "stage5"]
    assert document["detections"] == []
    assert (tmp_path / "stage5-energy.png").is_file()


def test_receptive_fields_are_measured_on_noise_of_any_shape(wild: Path) -> None:
    document = document_of(["receptive-field", f"backbone:{wild}", "--inputs", "1", "--size", "64x160"])
    levels = {level["name"]: level for level in document["results"]}
    assert [level["stride_px"] for level in levels.values()] == [4, 8, 16, 32]
    assert levels["stage5"]["effective_px"] > 0
    done = run(app, ["receptive-field", f"backbone:{wild}", "--size", "32x160"])
    assert done.exit_code == 2
    assert "64 pixels or more per side" in done.stderr


def test_six_images_a_call_are_timed(wild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDE", 64)  # of the matrix product that times are held against
    words = ["benchmark", f"backbone:{SMALL}", "--size", "64x160", "--batch", "6", "--rounds", "1", "--modes", "eager"]
    document = document_of([*words, "--weights", str(wild), "--stage", "backbone", "--no-memory"])
    assert document["batch"] == 6
    done = run(app, [*words, "--random"])
    assert done.exit_code == 2
    assert "time it with --stage backbone" in done.stderr


def test_its_maps_are_exported(wild: Path, photo: Path, tmp_path: Path) -> None:
    document = document_of(["export", f"backbone:{wild}", "--out", str(tmp_path), "--photo", str(photo)])
    assert document["outputs"] == ["stage2", "stage3", "stage4", "stage5"]
    assert not load_detector(tmp_path, bare=True).finds_objects

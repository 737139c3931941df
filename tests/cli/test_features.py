"""`explorer features` writes its pictures for every config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from explorer.cli import app
from explorer.data.aerial import render_scene
from explorer.zoo.registry import detectors

run = CliRunner().invoke


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "scene.png"
    Image.fromarray(render_scene(3, size=(128, 160)).image[:, :, ::-1]).save(path)
    return path


@pytest.mark.parametrize("model", ["demo/V-19-slim-dw", "demo/V-19-slim-dw-centermask"])
def test_pictures_and_a_page(model: str, photo: Path, tmp_path: Path) -> None:
    words = [
        "features",
        model,
        str(photo),
        "--out",
        str(tmp_path),
        "--layers",
        "p2",
        "--layers",
        "stage4",
    ]
    done = run(app, [*words, "INPUT.MIN_SIZE_TEST", "128"])
    assert done.exit_code == 0, done.output
    for word in ("p2", "64 × 32 × 40", "effective rank", "is classified from p", "features.html"):
        assert word in done.stdout
    names = {file.name for file in tmp_path.iterdir()}
    kinds = ("energy", "pca", "eigencam", "channels")
    assert names == {f"{layer}-{kind}.png" for layer in ("p2", "stage4") for kind in kinds} | {
        "detection-1-cam.png",
        "features.html",
    }
    with Image.open(tmp_path / "p2-energy.png") as picture:
        assert picture.size == (160, 128)
    assert "Use of OSA layers" in (tmp_path / "features.html").read_text()


@pytest.mark.parametrize("model", ["faster_rcnn_Mv2_FPNLite_3x", "faster_rcnn_V_19_FPN_3x"])
def test_random_weights_are_said(model: str, photo: Path, tmp_path: Path) -> None:
    words = ["features", model, str(photo), "--random", "--layers", "p3", "--out", str(tmp_path), "--json", "-"]
    done = run(app, [*words, "--explain", "0", "INPUT.MIN_SIZE_TEST", "64"])
    assert done.exit_code == 0, done.output
    assert "random weights" in done.stderr
    document = json.loads(done.stdout)
    assert document["random_weights"]
    assert document["layers"]["p3"]["shape"][0] in (128, 256)
    assert bool(document["usage"]) is ("V_19" in model)


@pytest.mark.slow
@pytest.mark.parametrize("model", [entry.name for entry in detectors()])
def test_every_model_of_the_zoo(model: str, photo: Path, tmp_path: Path) -> None:
    words = ["features", model, str(photo), "--random", "--layers", "p3", "--out", str(tmp_path), "--explain", "0"]
    lazy = model.startswith("fcos")  # a LazyConfig has other keys
    done = run(app, words if lazy else [*words, "INPUT.MIN_SIZE_TEST", "64"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "p3-energy.png").is_file()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["demo/V-19-slim-dw", "{photo}", "--layers", "p22"], "p22"),
        (["demo/V-19-slim-dw", "nowhere.jpg"], "nowhere.jpg"),
        (["nonsense", "{photo}"], "not a model of the zoo"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_why(words: list[str], reason: str, photo: Path, tmp_path: Path) -> None:
    done = run(app, ["features", *(word.format(photo=photo) for word in words), "--out", str(tmp_path)])
    assert done.exit_code == 2, done.output
    assert reason in done.stderr

"""Models in repositories of the Hugging Face Hub, over huggingface_hub itself and a stand-in of the hub's API."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load
from typer.testing import CliRunner

import explorer as ex
from explorer.cli.zoo import app
from explorer.config import CONFIGS
from explorer.data.sources import instances_split
from explorer.engine.training.command import job, parse_arguments, read_config
from explorer.scoring.results_file import RESULTS_FILE
from explorer.zoo import registry
from explorer.zoo.downloads import DownloadError
from explorer.zoo.downloads.hub import repository_of
from explorer.zoo.resolve import configured, find_weights, resolve
from tests.fixtures.hub import TOKEN, Hub, opened_hub

huggingface_hub = pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes")  # of its own uploads

MODEL = "demo/V-19-slim-dw-bccd"
FILES = ["README.md", "config.yaml", "model.safetensors"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("EXPLORER_OFFLINE", "EXPLORER_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    settings = {"HF_HUB_CACHE": str(tmp_path / "hub-cache"), "HF_TOKEN_PATH": str(tmp_path / "no-token")}
    settings |= {"HF_HUB_DISABLE_XET": True, "HF_HUB_OFFLINE": False}  # Xet's storage has another protocol
    for name, value in settings.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with opened_hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a saved model holds."""
    folder = ex.load_detector(MODEL, device="cpu", exact=True).save_pretrained(
        tmp_path_factory.mktemp("saved") / "cells"
    )
    assert sorted(path.name for path in folder.iterdir()) == FILES
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_pushed_comes_back_to_the_bit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = ex.load_detector(MODEL, device="cpu", exact=True)
    assert pushed.push_to_hub("me/cells") == f"{hub.url}/me/cells"
    assert sorted(hub.repositories["me/cells"]) == FILES
    assert hub.messages == [f"Add {MODEL}"]
    found = ex.Detector.from_pretrained("me/cells", device="cpu", exact=True)
    assert (found.name, found.source, found.class_names) == ("me/cells", "hf-hub:me/cells", pushed.class_names)
    ours, theirs = found.model.state_dict(), pushed.model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    assert found.detect(image).detections.to_dict() == pushed.detect(image).detections.to_dict()

    asked = len(hub.asked)
    monkeypatch.setenv("EXPLORER_OFFLINE", "1")  # now it is in the cache
    assert resolve("hf-hub:me/cells").weights.name == "model.safetensors"
    assert len(hub.asked) == asked


def test_config_and_card_name_nothing_of_this_machine(files: dict[str, bytes]) -> None:
    for name in ("README.md", "config.yaml"):
        assert str(Path.home()) not in files[name].decode()
        assert str(Path(ex.__file__).parents[1]) not in files[name].decode()
    assert b"pickle" not in files["config.yaml"]


def test_the_card_is_one_that_huggingface_hub_reads(files: dict[str, bytes]) -> None:
    card = huggingface_hub.ModelCard(files["README.md"].decode())
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "object-detection"
    known = {result.metric_name: result.metric_value for result in card.data.eval_results}
    own = json.loads((Path(ex.__file__).parent / "zoo/weights/V-19-slim-dw-bccd/V-19-slim-dw-bccd.json").read_text())
    value, low, high = own["measured"]["box"]["AP"]
    assert known["box AP"] == value
    assert f"{value:.1f} \\[{low:.1f}, {high:.1f}\\]" in card.text
    assert own["training"].split(" crops")[0] in card.text


def test_a_card_has_no_figures_of_other_settings(tmp_path: Path) -> None:
    """Figures in tiles, or at another size, are none of a model that is passed on without."""
    plain = ex.load_detector(MODEL, device="cpu", exact=True)
    scene = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)).save(scene)
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 128, "height": 96}],
        "categories": [{"id": 1, "name": "RBC"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 30, 30], "area": 900, "iscrowd": 0}],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    tiled = plain.with_tiles(64)
    run = ex.evaluate(tiled, f"{tmp_path}/all.json:{tmp_path}")
    with pytest.raises(ValueError, match=r"made with tiles of 64 px, and \S+ is passed on with its config as it is"):
        plain.save_pretrained(tmp_path / "plain", runs=[run])
    folder = tiled.save_pretrained(tmp_path / "tiled", runs=[run])
    again = ex.Detector.from_pretrained(folder, device="cpu", exact=True)
    assert again.cut == tiled.cut
    assert again.with_tiles(0).inference["tiles"] is None
    smaller = ex.load_detector(MODEL, device="cpu", exact=True, overrides=["INPUT.MIN_SIZE_TEST", "64"])
    assert "None were measured." in (smaller.save_pretrained(tmp_path / "smaller") / "README.md").read_text()


def test_a_saved_folder_is_a_model(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mirror/me/cells"
    folder.mkdir(parents=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    assert resolve(folder).weights == folder / "model.safetensors"
    assert configured(folder)[1] == "cells"
    assert ex.Detector.from_pretrained(folder, device="cpu", exact=True).class_names == ("RBC", "WBC", "Platelets")
    monkeypatch.setenv("EXPLORER_MIRROR", str(tmp_path / "mirror"))
    assert resolve("hf-hub:me/cells", offline=True).weights == folder / "model.safetensors"
    (folder / "model.safetensors").unlink()
    with pytest.raises(DownloadError, match=r"me/cells has no model\.safetensors: it is not a model"):
        resolve("hf-hub:me/cells", offline=True)


def test_training_starts_from_a_repository(
    hub: Hub, files: dict[str, bytes], shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MODEL.WEIGHTS hf-hub:user/name: its tensors, by the reader of every checkpoint, and the images that they take."""
    hub.repositories["me/cells"] = files
    config = tmp_path / "mine.yaml"
    config.write_text(f"_BASE_: {CONFIGS / 'bccd/faster_rcnn_V_19_slim_dw.yaml'}\nINPUT:\n  FORMAT: RGB\n")
    words = ["MODEL.WEIGHTS", "hf-hub:me/cells", "OUTPUT_DIR", str(tmp_path / "out")]
    for split in ("TRAIN", "TEST"):
        words += [f"DATASETS.{split}", f"('{shared}/data/bccd:{split.lower()}',)"]
    asked = ["--config-file", str(config), "--num-gpus", "0", *words]
    cfg = read_config(parse_arguments(asked))
    weights = Path(cfg.MODEL.WEIGHTS)
    assert (weights.name, weights.read_bytes()) == ("model.safetensors", files["model.safetensors"])
    assert cfg.INPUT.FORMAT == "BGR"
    assert read_config(parse_arguments([*asked, "INPUT.FORMAT", "RGB"])).INPUT.FORMAT == "RGB"  # who says so, decides
    assert resolve(config, weights="hf-hub:me/cells").weights == weights
    with pytest.raises(DownloadError, match="There is no model me/none"):
        find_weights("hf-hub:me/none")
    monkeypatch.setenv("EXPLORER_OFFLINE", "1")
    assert find_weights("hf-hub:me/cells")[0] == weights


def test_a_training_begins_with_a_repositorys_tensors(
    hub: Hub, files: dict[str, bytes], shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One iteration that changes nothing: the run's final weights are the repository's."""
    for name in ("set_up", "setup_logger"):  # which leave log files open
        monkeypatch.setattr(f"explorer.engine.training.command.{name}", lambda *args, **options: None)
    hub.repositories["me/cells"] = files
    words = ["MODEL.WEIGHTS", "hf-hub:me/cells", "OUTPUT_DIR", str(tmp_path / "out"), "INPUT.MIN_SIZE_TRAIN", "(96,)"]
    words += ["DATASETS.TRAIN", f"('{shared}/data/bccd:train',)", "DATASETS.TEST", "()", "DATALOADER.NUM_WORKERS", "0"]
    words += ["SOLVER.MAX_ITER", "1", "SOLVER.BASE_LR", "1e-30", "SOLVER.IMS_PER_BATCH", "1"]
    job(parse_arguments(["--config-file", "bccd/faster_rcnn_V_19_slim_dw", "--num-gpus", "0", *words]))
    trained = torch.load(tmp_path / "out/model_final.pth", weights_only=True)["model"]
    theirs = load(files["model.safetensors"])
    moving = ("running_mean", "running_var", "num_batches_tracked")
    same = [key for key in theirs if not key.endswith(moving)]
    assert len(same) > 100
    for key in same:
        assert torch.equal(trained[key], theirs[key].to(trained[key].dtype)), key


def test_what_a_hub_refuses_is_one_line(hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories |= {"me/cells": files, "me/gated": files, "me/other": {"pytorch_model.bin": b"x"}}
    hub.gated.add("me/gated")

    def refusal(named: str) -> str:
        with pytest.raises(DownloadError) as caught:
            ex.Detector.from_pretrained(named)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert refusal("me/none").startswith(f"There is no model me/none at {hub.url}, or it is private: look at ")
    assert refusal("me/gated") == (
        f"me/gated is gated: ask for access at {hub.url}/me/gated, then log in with `hf auth login`, or set HF_TOKEN."
    )
    assert refusal("me/cells@v9").startswith("me/cells@v9: there is no such revision; see ")
    assert refusal("me/other").startswith("me/other has no config.yaml and no model.safetensors: ")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert refusal("me/cells").startswith("http://127.0.0.1:9 cannot be reached (")
    monkeypatch.setenv("EXPLORER_OFFLINE", "1")
    assert refusal("me/cells") == "Downloads are disabled, and me/cells is not in the cache of huggingface_hub."


@pytest.mark.parametrize("named", ["hf-hub:cells", "hf-hub:a/b/c", "hf-hub:../x", "hf-hub:me/cells@"])
def test_what_is_no_repository_is_refused(named: str) -> None:
    with pytest.raises(ValueError, match="names no repository: give hf-hub:user/name"):
        repository_of(named)


def push(*words: str | Path):
    return CliRunner().invoke(app, ["push", *map(str, words)])


def test_push_without_a_token_or_a_licence_or_connections_sends_nothing(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
) -> None:
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    without = push(tmp_path, "me/cells")
    assert without.exit_code == 2
    assert "licence of" in without.stderr
    assert "--licence Apache-2.0" in without.stderr
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    wrong = push(tmp_path, "me/cells", "--licence", "MIT")
    assert wrong.exit_code == 1
    assert "log in with `hf auth login`" in wrong.stderr
    monkeypatch.delenv("HF_TOKEN")
    nobody = push(tmp_path, "me/cells", "--licence", "MIT")
    assert (nobody.exit_code, nobody.stderr.count("\n")) == (2, 1)
    assert nobody.stderr.startswith(f"Nobody is logged in to {hub.url}: ")
    monkeypatch.setenv("EXPLORER_OFFLINE", "1")
    assert "nothing was sent to me/cells" in push(tmp_path, "me/cells", "--licence", "MIT").stderr
    assert not hub.repositories


def test_push_takes_the_figures_of_an_evaluation_of_the_same_weights(hub: Hub, tmp_path: Path, shared: Path) -> None:
    """The run finds every second object exactly, so its recall and its AP are known."""
    data, entry = f"{shared}/data/bccd:test", registry.get(MODEL)
    truth = json.loads(instances_split(data).instances.read_text())
    results = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.9}
        for one in truth["annotations"][::2]
    ]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RESULTS_FILE).write_text(json.dumps(results))
    facts = {"model": MODEL, "data": data, "weights": {"path": str(entry.path), "sha256": entry.sha256}}
    (tmp_path / "run/run.json").write_text(json.dumps(facts))
    run = ex.load_run(tmp_path / "run")
    done = push(MODEL, "me/cells", "--run", tmp_path / "run", "--note", "A <b>trial</b>.", "--private")
    assert done.exit_code == 0, done.stderr
    card = huggingface_hub.ModelCard(hub.repositories["me/cells"]["README.md"].decode())
    (value,) = [one.metric_value for one in card.data.eval_results if one.metric_name == "box AP"]
    assert value == pytest.approx(run.metrics.values["bbox"]["AP"], abs=0.005)
    assert value == pytest.approx(50, abs=3)
    assert f"On bccd:test: 72 images, {len(truth['annotations'])} objects" in card.text
    assert "A \\<b\\>trial\\</b\\>." in card.text
    other = push("demo/V-19-slim-dw", "me/other", "--run", tmp_path / "run", "--out", tmp_path / "out")
    assert other.exit_code == 2
    assert "does not say that it was made with these weights" in other.stderr

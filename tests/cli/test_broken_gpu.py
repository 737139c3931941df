"""A GPU that fails in the middle of the work: the CPU does all of it again, or one line says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from explorer.browser.runs import run_model
from explorer.cli import app
from explorer.data.aerial import make_aerial
from explorer.engine import building, devices
from explorer.engine.speed import machine
from explorer.reading import read_json
from explorer.scoring.results_file import RESULTS_FILE

run = CliRunner().invoke
SAID = "CUDA error: an illegal memory access was encountered"
FAILURE = torch.AcceleratorError(f"{SAID}\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.")
SLOW, MODEL = pytest.mark.slow, "demo/V-19-slim-dw"
BACKBONE = ("backbone:V-19-slim-dw-eSE", "--random", "--stage", "backbone", "--size", "64")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aerial")
    make_aerial(folder, images=2, seed=0, size=(64, 96), workers=1)
    truth = json.loads((folder / "annotations/instances_val.json").read_text())
    found = [{key: one[key] for key in ("image_id", "category_id", "bbox")} for one in truth["annotations"]]
    (folder / "found.json").write_text(json.dumps([one | {"score": 0.9} for one in found]))
    return folder


@pytest.fixture(params=["while it computes", "while the model is put there"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a GPU: the CPU, on which models that were asked to be on the GPU fail as it does."""
    build = building.build

    def build_there(cfg: Any, device: str) -> nn.Module:
        network = build(cfg, "cpu")
        if device != "cpu" and request.param == "while the model is put there":
            raise torch.OutOfMemoryError(f"{SAID}. Tried to allocate 20.00 MiB.")
        for module in network.modules() if device != "cpu" else ():
            module.register_forward_pre_hook(fail)
        return network

    def fail(*_: object) -> None:
        raise FAILURE

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(devices, "failure_of", lambda device: "")
    monkeypatch.setattr(building, "build", build_there)
    monkeypatch.setattr(machine, "SIDE", 64)


Call = Callable[[str, Path], Sequence[str]]


@pytest.fixture(
    params=["evaluate", "predict", "benchmark", *(pytest.param(n, marks=SLOW) for n in ("improve", "autopsy"))]
)
def call(request: pytest.FixtureRequest, data: Path) -> Call:
    """A command by device and folder for its results."""
    model = MODEL
    own = {
        "autopsy": (str(data / "found.json"), "--data", f"{data}:val", "--model", model),
        "evaluate": (model, "--data", f"{data}:val", "--exact"),
        "predict": (model, str(data / "val"), "--no-pictures"),
        "improve": (model, f"{data}:val", "--limit", "1"),
        "benchmark": (*BACKBONE, "--modes", "eager", "--rounds", "1", "--no-memory"),
    }[request.param]

    def words(device: str, folder: Path) -> Sequence[str]:
        out = ["--out", str(folder)] if request.param in ("evaluate", "predict", "autopsy") else []
        return [request.param, *own, *out, "--device", device, "--json", str(folder / "said.json")]

    return words


def test_the_cpu_does_all_of_it_again(gpu: None, call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = run(app, call("auto", tmp_path / "gpu"))
    assert done.exit_code == 0, done.output
    (said,) = (message for message in caplog.messages if "GPU" in message)
    assert said.startswith(f"The GPU failed, so everything is computed again on the CPU: {SAID}")
    written = json.loads((tmp_path / "gpu/said.json").read_text())
    assert run(app, call("cpu", tmp_path / "cpu")).exit_code == 0
    expected = json.loads((tmp_path / "cpu/said.json").read_text())
    assert written.keys() == expected.keys()
    for key in ("annotations", "bbox", "metrics"):
        assert written.get(key) == expected.get(key)


def test_a_gpu_that_was_asked_for_is_told_in_one_line(gpu: None, call: Call, tmp_path: Path) -> None:
    done = run(app, call("cuda", tmp_path / "out"))
    assert done.exit_code == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"DeviceError: The GPU failed: {SAID}")
    assert "or use the device cpu." in last
    assert "Traceback" not in done.stderr


def test_a_run_that_browse_makes_is_the_cpus(
    gpu: None, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for device in ("auto", "cpu"):
        monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / device))
        found.append(read_json(run_model(MODEL, f"{data}:val", device=device) / RESULTS_FILE))
    assert found[0] == found[1]
    assert sum("The GPU failed, so everything is computed again on the CPU" in said for said in caplog.messages) == 1


@pytest.mark.parametrize("command", ["features", "receptive-field", pytest.param("export", marks=SLOW)])
def test_these_compute_on_the_cpu(
    gpu: None, command: str, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = {
        "features": (MODEL, str(min((data / "val").iterdir())), "--layers", "p5"),
        "receptive-field": (MODEL, "--inputs", "1", "--size", "64"),
        "export": (MODEL,),
    }[command]
    done = run(app, [command, *words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert not any("GPU" in said for said in caplog.messages)

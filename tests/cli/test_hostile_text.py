"""Every command on data, files and models whose names are markup and control characters: it shows them as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from explorer.cli import app
from explorer.engine.speed import machine
from explorer.text import legible
from tests.fixtures.hostile import CLASSES, HIDDEN, IMAGES, MODEL, Hostile

CPU = ("--device", "cpu")
Run = Callable[..., Result]


def squeezed(text: str) -> str:
    """Without spaces, since tables wrap between words."""
    return "".join(text.split())


def run(*words: str | Path, code: int = 0, shows: tuple[str, ...] = ()) -> Result:
    """Runs a command on a wide terminal and holds what it prints against the names."""
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, list(map(str, words)))
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert not HIDDEN.findall(done.output)
    assert [name for name in shows if squeezed(legible(name)) not in squeezed(done.output)] == []
    return done


@pytest.fixture(scope="module")
def runs(hostile: Hostile, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the hostile model, made by `explorer evaluate --out`."""
    folder = tmp_path_factory.mktemp("runs")
    made = [folder / f"a [red]{MODEL}", folder / f"b{MODEL}"]
    for out in made:
        words = ["evaluate", hostile.model, "--data", hostile.data, "--out", out, *CPU, "--exact"]
        run(*words, shows=(MODEL, hostile.data, "car [parked]", str(out)))
    return made


def test_evaluate(hostile: Hostile, runs: list[Path]) -> None:
    written = json.loads((runs[0] / "report.json").read_text())
    assert tuple(written["by_class"]) == CLASSES
    done = run("evaluate", hostile.model, "--data", hostile.data, *CPU, "--exact", "--json", "-")
    assert json.loads(done.stdout)["data"] == hostile.data


def test_compare(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / MODEL
    run("compare", *runs, "--out", out, "--resamples", "5", shows=(MODEL, str(out)))
    run("compare", f"{runs[0]},{runs[1]}", f"{runs[1]},{runs[0]}", "--out", out, "--resamples", "5", shows=(MODEL,))
    for page in (*(one / "report.html" for one in runs), out / "report.html"):
        text = page.read_text(encoding="utf-8")
        assert not [name for name in (*CLASSES[2:], MODEL, *IMAGES) if name in text]


def test_autopsy(runs: list[Path], tmp_path: Path) -> None:
    run("autopsy", runs[0], "--out", tmp_path / MODEL, *CPU, shows=(MODEL,))
    run("autopsy", runs[0] / f"gone{MODEL}.json", code=2, shows=(f"gone{MODEL}",))


def test_improve(hostile: Hostile) -> None:
    run("improve", hostile.model, hostile.data, "--limit", "1", *CPU, shows=(MODEL, hostile.data))


def test_features(hostile: Hostile, tmp_path: Path) -> None:
    out = tmp_path / MODEL
    photo = hostile.images / IMAGES[0]
    run("features", hostile.model, photo, "--layers", "p2", "--out", out, "--explain", "3", shows=(str(out),))
    assert not [name for name in CLASSES[2:] if name in (out / "features.html").read_text(encoding="utf-8")]
    run("features", hostile.model, hostile.images / f"gone{IMAGES[0]}", code=2, shows=(f"gone{IMAGES[0]}",))


def test_receptive_field(hostile: Hostile, tmp_path: Path) -> None:
    out = tmp_path / MODEL
    run("receptive-field", hostile.model, "--data", hostile.data, "--inputs", "0", "--out", out, shows=(str(out),))


def test_predict(hostile: Hostile, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in IMAGES:
        (tmp_path / "in" / name).write_bytes((hostile.images / name).read_bytes())
    (tmp_path / "in" / f"note{MODEL}.txt").touch()
    (tmp_path / "in" / f"broken{MODEL}.png").touch()
    odd = Path("\udcff.png")  # a name that is not UTF-8
    (tmp_path / "in" / odd).write_bytes((hostile.images / IMAGES[0]).read_bytes())
    out = tmp_path / MODEL
    shows = (*IMAGES, f"note{MODEL}.txt", f"broken{MODEL}.png", str(odd), str(out))
    run("predict", hostile.model, tmp_path / "in", "--out", out, *CPU, "--exact", code=1, shows=shows)
    written = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert {Path(image["file_name"]).name for image in written["images"]} == {*IMAGES, str(odd)}
    assert tuple(category["name"] for category in written["categories"]) == CLASSES
    assert [Path(one["file_name"]).name for one in written["skipped"]] == [f"note{MODEL}.txt"]
    assert len(list((out / "pictures").iterdir())) == 4


def test_data(hostile: Hostile, tmp_path: Path) -> None:
    run("data", "check", hostile.data, shows=(hostile.data,))
    broken = tmp_path / MODEL
    broken.mkdir()
    record = {"id": 1, "file_name": f"gone{IMAGES[0]}", "width": 9, "height": 9}
    content = {"images": [record], "categories": [{"id": 1, "name": CLASSES[1]}], "annotations": []}
    (broken / "instances_val.json").write_text(json.dumps(content))
    run("data", "check", broken, code=1, shows=(str(broken), f"gone{IMAGES[0]}"))
    run("data", "check", tmp_path / f"gone{MODEL}", code=2)
    run("data", "make", "aerial", tmp_path / f"made{MODEL}", "--images", "1", shows=(str(tmp_path / f"made{MODEL}"),))


def test_benchmark(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDE", 64)
    words = ("--size", "64x64", "--modes", "eager", "--rounds", "1", "--no-memory")
    run("benchmark", hostile.model, *words, shows=(MODEL,))


def test_export(hostile: Hostile, tmp_path: Path) -> None:
    out = tmp_path / MODEL
    run("export", hostile.model, "--out", out, "--format", "torchscript", shows=(MODEL, str(out)))


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", MODEL, "--data", "x"],
        ["evaluate", "demo/V-19-slim-dw", "--data", MODEL],
        ["predict", "demo/V-19-slim-dw", "a.jpg", "--out", "x", "--weights", MODEL],
        ["compare", MODEL, MODEL],
        ["improve", MODEL, "x"],
        ["benchmark", MODEL],
        ["export", MODEL, "--out", "x"],
        ["train", "--config-file", MODEL],
        ["zoo", "show", MODEL],
        ["zoo", "fetch", "demo/V-19-slim-dw", "--from", MODEL],
        ["data", "check", MODEL],
        [MODEL],
        ["predict", f"--{MODEL}"],
        ["predict", "demo/V-19-slim-dw", "x", "--out", "x", "--threshold", MODEL],
        ["train", f"--{MODEL}"],
    ],
    ids=lambda words: f"{words[0][:8]} {len(words)}",
)
def test_wrong_calls_quote_what_was_typed_and_no_more(words: list[str]) -> None:
    done = run(*words, code=2)
    assert "Traceback" not in done.output


def test_zoo_and_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / MODEL))
    run("zoo", "list")
    run("zoo", "show", "faster_rcnn_V_39_FPN_3x", shows=(MODEL,))
    CliRunner().invoke(app, ["doctor"])

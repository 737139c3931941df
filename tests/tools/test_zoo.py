"""`make zoo`: what is missing is trained and measured, and the page is written of all of it."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from explorer.errors.compare import compare
from explorer.scoring.matching import match
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import Run, truth_from_coco

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script as a module; scripts import each other as Python finds them, beside themselves."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(ROOT / "tools")
    yield importlib.import_module("zoo")
    for name in {"zoo", "experiment", "accuracy_page", "pages", "painting", "trainings"} - before:
        sys.modules.pop(name, None)


def invented_run(name: str, seed: int) -> Run:
    """A run on 12 images with 4 squares each, of which it finds most, about where they are."""
    squares = [[40.0 * i, 20.0, 20.0 + 4 * i, 20.0 + 4 * i] for i in range(4)]
    places = [(image, square) for image in range(1, 13) for square in squares]
    truth = truth_from_coco(
        {
            "images": [{"id": i, "file_name": f"{i}.jpg", "height": 240, "width": 320} for i in range(1, 13)],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [
                {"id": n + 1, "image_id": i, "category_id": 1, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
                for n, (i, b) in enumerate(places)
            ],
        }
    )
    rng = np.random.default_rng(seed)
    results = [
        {"image_id": i, "category_id": 1, "bbox": (np.array(b) + rng.normal(0, 2, 4)).tolist(), "score": rng.random()}
        for i, b in places
        if rng.random() < 0.8
    ]
    return Run(name, truth, found_among(results, truth), {})


@pytest.fixture
def runs(zoo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Run]:
    """Invented runs of V-39 and V-19 with three seeds each, which stand for those on the disk."""
    chosen = [one for one in zoo.TRAININGS if "V-39" in (one.name, one.basis) or "V-19" in (one.name, one.basis)]
    made = {one.name: invented_run(one.name, place) for place, one in enumerate(chosen)}
    by_folder = {zoo.Zoo().experiment.run_of(one): made[one.name] for one in chosen}
    monkeypatch.setattr(sys.modules[zoo.Experiment.__module__], "load_run", lambda path, protocol: by_folder[path])
    return made


def recipes(zoo: ModuleType, *names: tuple[str, ...]) -> list[list[Any]]:
    by_name = {one.name: one for one in zoo.TRAININGS}
    return [[by_name[name] for name in own] for own in names]


def test_recipes_of_one_seed_are_compared_as_the_compare_command_does(zoo: ModuleType, runs: dict[str, Run]) -> None:
    found = zoo.Zoo().experiment.compared(recipes(zoo, ("V-39, V1",), ("V-39",)))
    official = compare([match(runs["V-39, V1"]), match(runs["V-39"])])
    first, points = official.resamples[0].intervals(), official.pairs[0].differences
    row, (pair,) = found["rows"]["V-39, V1"], found["pairs"]
    assert row["AP"] == [float(end[0, 0]) for end in (first.value, first.low, first.high)]
    ends = (points.points.value, points.points.low, points.points.high, points.p_values)
    assert pair["APs"] == [float(end[0, 1]) for end in ends]
    assert (pair["a"], pair["b"], found["seeds"], found["images"], found["objects"]) == ("V-39, V1", "V-39", 1, 12, 48)


def test_recipes_of_several_seeds_are_compared_by_their_means(zoo: ModuleType, runs: dict[str, Run]) -> None:
    names = [(name, f"{name}, seed 2", f"{name}, seed 3") for name in ("V-19", "V-39")]
    found = zoo.Zoo().experiment.compared(recipes(zoo, *names))
    each = {name: compare([match(runs[name]), match(runs["V-19"])]).resamples[0].figures for name in runs}
    means = [np.mean([each[name].value("AP", "small") for name in own]) for own in names]
    (pair,) = found["pairs"]
    assert found["seeds"] == 3
    assert found["each"]["V-19"]["APs"] == [each[name].value("AP", "small") for name in names[0]]
    assert [found["rows"][own[0]]["APs"][0] for own in names] == pytest.approx(means)
    assert pair["APs"][0] == pytest.approx(means[1] - means[0])
    assert pair["APs"][1] < pair["APs"][0] < pair["APs"][2]


def test_what_is_missing_is_said_and_no_page_written(
    zoo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(zoo.Zoo, "make_data", lambda self: None)
    monkeypatch.setattr(zoo.Experiment, "train", lambda self, one: done.append(("train", one.name)))

    def measure(self: Any, one: Any) -> None:
        done.append(("measure", one.name))
        self.run_of(one).mkdir(parents=True)
        (self.run_of(one) / "run.json").write_text("{}")

    monkeypatch.setattr(zoo.Experiment, "measure", measure)
    own = zoo.Zoo(folder=tmp_path / "zoo", page=tmp_path / "accuracy.md")
    chosen = [one for one in zoo.TRAININGS if one.name in ("V-19", "R-50")]
    own.make(chosen, jobs=1)
    assert done == [("train", "V-19"), ("train", "R-50"), ("measure", "V-19"), ("measure", "R-50")]
    said = capsys.readouterr().out
    assert "Still missing: V-19-slim-dw, teacher; MobileNetV2; " in said
    assert f"explorer compare {tmp_path}/zoo/V-19/test {tmp_path}/zoo/R-50/test" in said
    assert not own.page.exists()


def test_a_training_that_nobody_knows_is_refused(
    zoo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["zoo.py", "--only", "V-19", "R-18"])
    with pytest.raises(SystemExit) as stopped:
        zoo.main()
    assert stopped.value.code == 2
    assert "no training is called R-18; --help names them all" in capsys.readouterr().err


def test_every_training_has_a_folder_of_its_own_and_a_recipe_that_is_shipped(zoo: ModuleType) -> None:
    own = zoo.Zoo().experiment
    folders = [own.folder_of(one) for one in zoo.TRAININGS]
    assert len(set(folders)) == len(folders)
    for one in zoo.TRAININGS:
        assert (ROOT / "configs" / one.config).is_file()
        assert not one.basis or one.basis in [other.name for other in zoo.TRAININGS]


def test_the_stored_page_is_of_the_stored_figures(zoo: ModuleType) -> None:
    known = json.loads(zoo.PAGE.with_suffix(".json").read_text())
    assert zoo.page(known) == zoo.PAGE.read_text()
    assert set(known["trainings"]) == {one.name for one in zoo.TRAININGS}
    assert known["compared"]["backbones"]["seeds"] == len(zoo.backbones_by_seed()["V-39"]) >= 3
    for one in zoo.TRAININGS:
        written = known["trainings"][one.name]
        assert (written["config"], tuple(written["changes"]), written["seed"]) == (one.config, one.changes, one.seed)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="pictures are drawn by Chromium, which is not installed")
def test_all_of_it_from_nothing(zoo: ModuleType, tmp_path: Path) -> None:
    """Two iterations each on a few scenes: data, every training, every evaluation, times, pictures and the page."""
    small = zoo.miniature(tmp_path)
    small.make(zoo.TRAININGS, jobs=2)
    known = json.loads(small.page.with_suffix(".json").read_text())
    assert {name: len(group["rows"]) for name, group in known["compared"].items()} == {
        "backbones": 7,
        "ablations": 3,
        "necks": 2,
    }
    assert (known["iterations"], known["compared"]["backbones"]["seeds"]) == (2, len(zoo.backbones_by_seed()["V-39"]))
    assert all(row["AP"][0] >= 0 for group in known["compared"].values() for row in group["rows"].values())
    assert "2 iterations of 4 crops" in " ".join(small.page.read_text().split())
    for picture in ("pareto", "curves"):
        assert (tmp_path / f"accuracy-{picture}.png").stat().st_size > 10_000
    again = {one.name: small.run_of(one).stat().st_mtime_ns for one in zoo.TRAININGS}
    small.make(zoo.TRAININGS[:1], jobs=1)  # nothing is trained or measured twice
    assert again == {one.name: small.run_of(one).stat().st_mtime_ns for one in zoo.TRAININGS}

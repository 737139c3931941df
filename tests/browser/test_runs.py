"""Runs of models are kept, each for its weights, its config and its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from explorer.browser.runs import as_runs, run_model


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The folders that something was run into; nothing is really run."""
    folders: list[Path] = []

    def evaluate(detector: Any, data: str, *, out: Path, **_: Any) -> None:
        folders.append(out)
        out.mkdir(parents=True)
        (out / "coco_instances_results.json").write_text("[]")
        (out / "run.json").write_text("{}")

    monkeypatch.setattr("explorer.zoo.downloads.cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr("explorer.engine.loading.load_detector", lambda *_, **__: SimpleNamespace(model=None, cfg=None))
    monkeypatch.setattr("explorer.engine.evaluation.evaluate.evaluate", evaluate)
    return folders


def test_another_checkpoint_of_the_name_is_another_run(
    evaluated: list[Path], make: Callable[..., Any], tmp_path: Path
) -> None:
    data = make(tmp_path / "scene", images=2).data
    weights, config = tmp_path / "model_final.pth", tmp_path / "mine.yaml"
    config.write_text(f"MODEL:\n  WEIGHTS: {weights}\n")
    weights.write_bytes(b"first")
    first = run_model(str(config), data)
    assert run_model(str(config), data) == first
    assert evaluated == [first]
    weights.write_bytes(b"second")
    [second] = as_runs([str(config)], data)
    assert second != first
    weights.write_bytes(b"first")
    assert run_model(str(config), data) == first
    assert evaluated == [first, second]


def test_what_is_a_run_already_is_not_run(evaluated: list[Path], make: Callable[..., Any], tmp_path: Path) -> None:
    scene = make(tmp_path / "scene", images=2)
    file = scene.runs[0] / "coco_instances_results.json"
    assert as_runs([str(scene.runs[0]), str(file)], scene.data) == [scene.runs[0], file]
    assert not evaluated

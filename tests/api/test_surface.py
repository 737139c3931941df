"""`import explorer` as its users have it: three lines to a comparison, and models, data and runs in any form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

import explorer as ex
from explorer.errors.variants import as_is
from explorer.types import Detections

ROOT = Path(__file__).resolve().parents[2]


def test_the_lines_of_the_readme_run(aerial: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lines,) = re.findall(r"```python\n(import explorer as ex\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    monkeypatch.chdir(aerial.parent)
    exec(lines, names)
    assert (names["a"].name, names["b"].name) == ("demo/V-19", "demo/MobileNetV2")
    assert names["a"].facts["data"] == "aerial"
    assert names["found"].file == Path("aerial/val/000002.jpg")
    best = names["found"][:5]
    picture = best.draw()
    assert len(best) == 5
    assert picture.size == (320, 240)
    assert (np.asarray(picture) != ex.read_image(photo)[:, :, ::-1]).any()


def test_a_notebook_shows_tables_and_the_figure(results: dict[str, ex.Evaluation], capsys) -> None:
    """As IPython displays the last value of a cell, with figures as Plotly's own mime type would be."""
    shown: list[object] = []
    formatter = DisplayFormatter()
    for name in ("compare", "autopsy"):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("IPython.display.display", shown.append)
            assert formatter.format(results[name]) == ({}, {})  # shown by _ipython_display_
    assert [type(one).__name__ for one in shown] == ["HTML", "Figure"] * 2


def test_a_truth_and_a_folder_give_the_same_figures(detector: ex.Detector, aerial: Path, evaluation) -> None:
    truth = ex.read_truth(str(aerial))
    assert ex.evaluate(detector, truth).to_dict()["values"] == evaluation.to_dict()["values"]
    two = ex.evaluate(detector, truth, limit=2)
    assert len(two.truth.image_ids) == 2
    assert two.facts["data"] is None


def test_a_run_and_its_folder_are_the_same(detector: ex.Detector, aerial: Path, tmp_path: Path) -> None:
    run = ex.evaluate(detector, aerial, out=tmp_path / "run")
    again = ex.load_run(tmp_path / "run")
    assert isinstance(run, ex.Run)
    assert again.to_dict()["values"] == run.to_dict()["values"]
    by_run, by_folder = (ex.autopsy(given, resamples=20).to_dict()["autopsy"] for given in (run, tmp_path / "run"))
    assert by_run == by_folder
    table = ex.compare(run, tmp_path / "run", resamples=20).to_dict()
    assert [own["figures"] for own in table["runs"]] == [own["figures"] for own in table["runs"][::-1]]


def test_the_package_autopsy_is_called_and_imported_from(aerial: Path) -> None:
    import explorer.autopsy.examine as examine
    from explorer.api.autopsy import autopsy

    assert callable(ex.autopsy)
    assert ex.autopsy.examine is examine
    with pytest.raises(ValueError, match="V-20"):
        ex.autopsy("demo/V-20", aerial)
    assert autopsy.__module__ == "explorer.api.autopsy"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda run, detector: ex.compare(run), ValueError, "two runs or more"),
        (lambda run, detector: ex.compare(run, 7), TypeError, "run is a int"),
        (lambda run, detector: ex.autopsy(detector), ValueError, "autopsy\\(model, data\\)"),
        (lambda run, detector: ex.autopsy(run, "aerial"), ValueError, "autopsy\\(run\\)"),
        (lambda run, detector: ex.autopsy(run, limit=1), ValueError, "limit is 1"),
        (lambda run, detector: ex.improve(detector, 7), TypeError, "data is a int"),
        (lambda run, detector: ex.improve(7, run.truth), TypeError, "model is a int"),
        (lambda run, detector: ex.benchmark(), ValueError, "no model to time"),
    ],
)
def test_what_is_no_model_data_or_run_is_refused(call, error, words, evaluation, detector) -> None:
    with pytest.raises(error, match=words):
        call(evaluation, detector)


def test_a_model_may_be_what_loads_it(detector: ex.Detector, aerial: Path, evaluation: ex.Evaluation) -> None:
    """As the command line gives it; what the function needs of the model is said to it."""
    asked: list[dict[str, Any]] = []

    def load(**options: Any) -> ex.Detector:
        asked.append(options)
        return detector

    assert ex.evaluate(load, aerial, device="cpu").to_dict()["values"] == evaluation.to_dict()["values"]
    improved = ex.improve(load, aerial, [as_is(detector)], limit=1, resamples=3)
    assert improved.origin.items() > detector.origin.items()
    assert ex.receptive_fields(load, inputs=0).origin == detector.origin
    assert asked == [{"device": "cpu"}, {"device": "auto", "exact": True}, {"device": "cpu", "exact": True}]
    assert evaluation.origin == detector.origin


def test_an_export_is_a_model(detector: ex.Detector, photo: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    exported = ex.export(detector, tmp_path / "out", photo=photo)
    assert repr(exported).startswith("<Exported: demo/V-19-slim-dw as onnx, ")
    assert exported.size_mb == pytest.approx((tmp_path / "out/trunk.onnx").stat().st_size / 1e6)
    assert exported.to_dict()["max_rel_error"] < 1e-3
    again, own = (one.detect(photo).detections for one in (ex.load_detector(exported.folder), detector))
    np.testing.assert_allclose(again.boxes_xyxy, own.boxes_xyxy, atol=0.1)
    with pytest.raises(ValueError, match="int8=True"):
        ex.export(detector, tmp_path / "out", calibrate=photo.parent)


def test_detect_takes_a_file_and_remembers_it(detector: ex.Detector, photo: Path) -> None:
    by_file, by_array = detector.detect(str(photo)), detector.detect(ex.read_image(photo))
    assert isinstance(by_file.detections, Detections)
    np.testing.assert_array_equal(by_file.detections.boxes_xyxy, by_array.detections.boxes_xyxy)
    np.testing.assert_array_equal(np.asarray(by_file.draw()), np.asarray(by_array.draw(photo)))
    assert by_file.detections.file == photo
    assert by_file.figure().layout.annotations[0].text == "000002.jpg"
    with pytest.raises(ValueError, match="give the image"):
        by_array.draw()
    with pytest.raises(ValueError, match="for an image of"):
        by_array.draw(np.zeros((5, 5, 3), np.uint8))


def test_runs_that_differ_are_compared_by_force_alone(detector: ex.Detector, aerial: Path, evaluation) -> None:
    part = ex.evaluate(detector, aerial, limit=2)
    with pytest.raises(ValueError, match="on 4 and 2 images"):
        ex.compare(evaluation, part)
    assert "Compared by force" in str(ex.compare(evaluation, part, force=True, resamples=3))

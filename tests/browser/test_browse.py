"""`explorer.browse`: what the command does, as a result that shows itself, and its tables and views are FiftyOne's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import explorer as ex

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def browsed(fiftyone: Any, scene: Any) -> ex.BrowsedData:
    steps: list[tuple[int, int]] = []
    done = ex.browse(
        scene.data, [ex.load_run(scene.runs[0]), scene.runs[1]], name="result", progress=lambda *own: steps.append(own)
    )
    assert steps
    return done


def test_it_shows_itself(browsed: ex.BrowsedData) -> None:
    assert browsed.fields == ("better", "worse")
    assert repr(browsed) == "<BrowsedData: result, 10 images; written: images, better, worse>"
    (table,) = browsed.tables()
    (state, _) = browsed.to_dict()["runs"].values()
    assert table.head[:4] == ("field", "found", "AP", "AP50")
    assert table.rows[0][2] == f"{state['figures']['AP']:.1f}"
    assert browsed._repr_html_().count("<table>") == 1
    json.dumps(browsed.to_dict(), allow_nan=False)


def test_its_rows_are_the_saved_views(browsed: ex.BrowsedData, fiftyone: Any) -> None:
    saved = fiftyone.load_dataset("result")
    frame = browsed.to_pandas().set_index("view")
    assert list(frame.index) == saved.list_saved_views() == list(browsed.views)
    for name, field in (
        ("better finds, worse misses", "ground_truth"),
        ("worse: small misses", "ground_truth"),
        ("worse: background", "worse"),
    ):
        view = saved.load_saved_view(name)
        assert frame["boxes"][name] == view.count(f"{field}.detections")
        assert frame["images"][name] == len(view)
    (bars,) = browsed.figure().data
    assert sum(bars.x) == frame["boxes"].sum() > 0


def test_nothing_is_written_twice_and_annotations_come_back(
    browsed: ex.BrowsedData, scene: Any, tmp_path: Path
) -> None:
    again = ex.browse(scene.data, name="result")
    assert again.written == ()
    assert again.title == "result, 10 images; nothing new to write"
    assert [row[0] for row in again.tables()[0].rows] == ["better", "worse"]
    assert again.export(tmp_path / "same.json").summary == "0 relabelled, 0 moved, 0 added, 0 removed, 0 tagged"
    assert len(ex.read_truth(f"{tmp_path / 'same.json'}:{scene.data.rpartition(':')[0]}/val").image_ids) == 10


def test_a_run_that_is_in_no_folder_is_refused(fiftyone: Any, scene: Any) -> None:
    from dataclasses import replace

    run = replace(ex.load_run(scene.runs[0]), folder=None)
    with pytest.raises(ValueError, match="was not read from a folder"):
        ex.browse(scene.data, [run], name="nowhere")

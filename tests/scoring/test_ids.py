"""Ids of any kind are names and nothing else: figures are pycocotools' on a copy numbered 1, 2, 3 in the same order."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.data.ids import Id, id_column
from explorer.report.document import annotations_with
from explorer.scoring.matching import match
from explorer.scoring.metrics import COCO_FIGURES as METRICS
from explorer.scoring.metrics import score
from explorer.scoring.runs import load_run, read_truth, truth_from_coco
from explorer.scoring.sizes import COCO_BINS

Content = dict[str, Any]
Results = list[dict[str, Any]]
Invent = Callable[..., tuple[Content, Results]]

NUMBERS = (
    st.integers(-5, 20)
    | st.integers(2**53 - 3, 2**53 + 9)
    | st.integers(2**63 - 3, 2**63 + 3)
    | st.integers(-(2**63) - 3, -(2**63) + 3)
    | st.integers(2**64 - 3, 2**64 + 9)
    | st.integers(-(10**40), 10**40)
)
TEXTS = st.text(max_size=4) | st.sampled_from(["7", "a/b", "[red]", "<b>", "é", "-1", "1.0", "NaN"])
COLUMNS = (NUMBERS, NUMBERS, TEXTS, NUMBERS | TEXTS)


@st.composite
def some_ids(draw: st.DrawFn, number: int) -> list[Id]:
    kind = COLUMNS[draw(st.integers(0, len(COLUMNS) - 1))]
    return draw(st.lists(kind, min_size=number, max_size=number, unique_by=str))


def renamed(content: Content, results: Results, ids: Mapping[str, Sequence[Id]]) -> tuple[Content, Results]:
    """The same with other ids, and all in another order but for annotations, whose order decides between equals."""
    content, results = copy.deepcopy(content), copy.deepcopy(results)
    of = {
        section: dict(zip((record["id"] for record in content[section]), ids[section], strict=True)) for section in ids
    }
    for section in ids:
        for record in content[section]:
            record["id"] = of[section][record["id"]]
    for record in (*content["annotations"], *results):
        for section, name in (("images", "image_id"), ("categories", "category_id")):
            record[name] = of.get(section, {}).get(record[name], record[name])
    for section in ("images", "categories"):
        random.Random(0).shuffle(content[section])
    return content, results


def counted(ids: Sequence[Id]) -> list[int]:
    """1, 2, 3, … for ids in the order in which COCO would have them; texts come after numbers."""
    numbers = sorted(own for own in ids if not isinstance(own, str))
    ordered: list[Id] = [*numbers, *sorted(own for own in ids if isinstance(own, str))]
    return [ordered.index(own) + 1 for own in ids]


def test_figures_do_not_depend_on_what_ids_are(
    invent: Invent, official: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    (folder / "annotations").mkdir()
    (folder / "val").mkdir()

    @given(st.data(), st.integers(0, 2**32), st.booleans())
    @settings(max_examples=60, deadline=None)
    def check(data: st.DataObject, seed: int, ties: bool) -> None:
        content, results = invent(seed, images=5, ties=ties)
        ids = {section: data.draw(some_ids(len(content[section]))) for section in ("images", "categories")}
        ids["annotations"] = data.draw(some_ids(len(content["annotations"])))
        theirs = renamed(content, results, {section: counted(own) for section, own in ids.items()})
        theirs[0]["annotations"] = [own | {"id": n} for n, own in enumerate(theirs[0]["annotations"], start=1)]
        ours = renamed(content, results, ids)
        (folder / "annotations/instances_val.json").write_text(json.dumps(ours[0]))
        (folder / "results.json").write_text(json.dumps(ours[1]))
        run = load_run(folder / "results.json", f"{folder}:val")
        by_place = dict(zip(counted(ids["images"]), ids["images"], strict=True))
        assert run.truth.image_ids.tolist() == [by_place[place] for place in sorted(by_place)]
        assert sorted(map(repr, run.truth.ids.tolist())) == sorted(map(repr, ids["annotations"]))
        expected = 100 * official(*theirs, "bbox").stats
        figures = score(match(run, bins=COCO_BINS)).named()
        assert [figures[name] for name in METRICS] == pytest.approx(
            np.where(expected < 0, np.nan, expected).tolist(), abs=1e-9, nan_ok=True
        )
        written = json.loads(json.dumps(annotations_with(run.truth, {})))
        for section in ids:
            assert {repr(record["id"]) for record in written[section]} == set(map(repr, ids[section]))
        assert truth_from_coco(written).images.tolist() == run.truth.images.tolist()

    check()


@pytest.mark.parametrize("section", ["images", "categories", "annotations"])
@pytest.mark.parametrize("other", [777, "777", 777.0])
def test_ids_that_read_alike_are_one_id_twice(section: str, other: Id, invent: Invent, tmp_path: Path) -> None:
    content, _ = invent(1)
    content[section][0]["id"], content[section][1]["id"] = 777, other
    with pytest.raises(ValueError, match=rf"id 777 is used 2 times{', as a' if other == '777' else ''}"):
        read_truth(written(content, tmp_path))


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (None, "id = None"),
        (True, "id = True"),
        (7.5, "id = 7.5"),
        (1e20, r"id = 1e\+20"),
        (float("nan"), "id = nan"),
        ([7], r"id = \[7\]"),
        ({}, "id = {}"),
    ],
)
@pytest.mark.parametrize("place", [("images", "id"), ("annotations", "id"), ("annotations", "category_id")])
def test_what_is_no_id_is_named(own: Any, words: str, place: tuple[str, str], invent: Invent, tmp_path: Path) -> None:
    content, _ = invent(1)
    content[place[0]][1][place[1]] = own
    with pytest.raises(
        ValueError, match=rf"{place[0]}\[1\] has {place[1]} = .*must be a whole number or a string"
    ) as error:
        read_truth(written(content, tmp_path))
    assert words.replace("\\", "") in str(error.value)


def test_pandas_whole_floats_are_numbers(invent: Invent, tmp_path: Path) -> None:
    content, _ = invent(3)
    floats = copy.deepcopy(content)
    for record in floats["annotations"]:
        record |= {key: float(record[key]) for key in ("id", "image_id", "category_id")}
    truth = read_truth(written(floats, tmp_path))
    assert truth.ids.tolist() == read_truth(written(content, tmp_path)).ids.tolist()
    assert {type(own) for own in truth.ids.tolist()} == {int}


def test_a_text_for_a_number_is_no_other_image(invent: Invent, tmp_path: Path) -> None:
    content, _ = invent(1)
    content["annotations"][2]["image_id"] = str(content["annotations"][2]["image_id"])
    with pytest.raises(
        ValueError, match=r"annotations\[2\] has image_id = '\d+', but the image's id is \d+: write both"
    ):
        read_truth(written(content, tmp_path))


@pytest.mark.parametrize("side", [0, -3, 10**9, 2**63, 10**2000])
def test_sizes_beyond_reason_are_named(side: int, invent: Invent, tmp_path: Path) -> None:
    content, _ = invent(1)
    content["images"][2]["width"] = side
    with pytest.raises(ValueError, match=r"images\[2\] has a size of .{1,60} px"):
        read_truth(written(content, tmp_path))


def test_areas_and_boxes_beyond_reason_are_no_overflow(invent: Invent, tmp_path: Path) -> None:
    content, _ = invent(1)
    first, second, third = content["annotations"][:3]
    first["area"] = 10**2000
    second["bbox"] = [0, 0, 10**2000, 5]
    third["bbox"] = [0, 0, 10**400, 5]
    truth = read_truth(written(content, tmp_path))
    assert len(truth) == len(content["annotations"]) - 2  # boxes that cannot be scored against are left out
    assert np.isfinite(truth.areas_px).all()


def test_a_number_longer_than_json_reads_is_one_error(invent: Invent, tmp_path: Path) -> None:
    content, _ = invent(1)
    text = json.dumps(content).replace('"id": 1,', f'"id": 1{"0" * 5000},', 1)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="cannot be read as JSON: Exceeds the limit"):
        read_truth(f"{tmp_path}/a.json:{tmp_path}")


def written(content: Content, folder: Path) -> str:
    (folder / "a.json").write_text(json.dumps(content))
    return f"{folder}/a.json:{folder}"


def test_a_column_is_of_numbers_where_all_fit() -> None:
    for ids, kind in [
        ([], np.int64),
        ([1, -(2**63), 2**63 - 1], np.int64),
        ([1, 2**63], object),
        ([-(2**63) - 1], object),
        (["1"], object),
        ([1, "a"], object),
    ]:
        column = id_column(ids)
        assert (column.dtype, column.tolist()) == (kind, ids)


def test_parts_of_a_data_set_keep_their_ids(invent: Invent) -> None:
    content, _ = invent(1, images=4)
    content, _ = renamed(content, [], {"images": [2**70, "x", -1, "7"]})
    truth = truth_from_coco(content)
    assert truth.image_ids.tolist() == [-1, 2**70, "7", "x"]
    assert truth.of_images(["x", -1]).image_ids.tolist() == [-1, "x"]
    for wrong in (7, "-1", True, None, [7]):
        with pytest.raises(ValueError, match=r"image id .* is not in the data set, which has 4 images"):
            truth.of_images([-1, wrong])

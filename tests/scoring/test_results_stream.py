"""Whatever the size of the pieces, a results file is read as the json module reads it."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.scoring import results_stream
from explorer.scoring.results_stream import open_results

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_stream, "ENTRIES_AT_A_TIME", 7)
    monkeypatch.setattr(results_stream, "BYTES_AT_A_TIME", 50)


def entries(path: Path) -> list[Any]:
    return list(itertools.chain.from_iterable(open_results(path).blocks))


def said(path: Path) -> str:
    try:
        return repr(entries(path))
    except ValueError as error:
        return str(error)


def as_json_says(path: Path) -> str:
    try:
        return repr(json.loads(path.read_bytes()))
    except RecursionError:
        return f"{path} cannot be read as JSON: it is nested more than 254 levels deep"
    except ValueError as error:
        return f"{path} cannot be read as JSON: {error}"


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(
    "text",
    [
        "[]",
        ' [\n{"a": [1, {"b": "},{"}]} ,\t{}\r\n]\n ',
        '[1, 23, -4.5e6, NaN, null, "x"]',
        json.dumps([{"counts": "a" * 5000}, {"é": "雪"}], ensure_ascii=False),
        json.dumps([{"a": [{"b": [{}] * 9}] * 9, "c": "}, {"}] * 9),
        "[" + ", ".join(str(7**number) for number in range(40)) + "]",
        "[" + ", ".join(str(-(7**number)) for number in range(40)) + f", {-(2**63) - 1}]",
        json.dumps([{"id": 7**number, "more": {}} for number in range(40)]),
        "\ufeff[1]",
        " " * 2000 + "[1]",
        "",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[1 2]",
        "[1] 2",
        "[{}] ]",
        '[{"a": 1}, {"a": tru}, {"a": 3}]',
        '[{"a": 1} {"a": 2}' + ', {"a": 3}' * 30 + "]",
        '[{"a": 1}, {"a": "' + "b" * 400,
        "[" * 100_000,
    ],
)
def test_entries_come_as_json_has_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    assert said(tmp_path / "results.json") == as_json_says(tmp_path / "results.json")


def test_any_list_is_read_whole(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path_factory.mktemp("any") / "results.json"

    @given(st.lists(JSON, max_size=20), st.integers(1, 60), st.sampled_from([None, 1]), st.booleans())
    @settings(max_examples=150, deadline=None)
    def check(values: list[Any], step: int, indent: int | None, packed: bool) -> None:
        monkeypatch.setattr(results_stream, "BYTES_AT_A_TIME", step)
        text = json.dumps(values, indent=indent).encode()
        path.write_bytes(gzip.compress(text) if packed else text)
        assert repr(entries(path)) == repr(values)

    check()


@pytest.mark.usefixtures("small_steps")
def test_other_encodings_are_left_to_json(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(json.dumps([{"a": "é"}] * 30, ensure_ascii=False).encode("utf-16"))
    assert entries(tmp_path / "results.json") == [{"a": "é"}] * 30


def test_files_that_are_no_results_say_what_they_are(tmp_path: Path) -> None:
    for content, words in [
        (b"{}", "holds a dict; COCO results are a list"),
        (b"7", "holds a int; COCO results are a list"),
        (b'{"annotations": {}}', "holds a dict; COCO results are a list"),
        (b'{"models": {}}', "holds the detections of 0 models"),
        (b'{"models": {"a": 7}}', "holds a dict; COCO results are a list"),
        (b"[", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (gzip.compress(b"[]" * 999)[:-9], "cannot be read as JSON"),
        (b"\x1f\x8b no gzip", "cannot be read as JSON"),
    ]:
        (tmp_path / "results.json").write_bytes(content)
        with pytest.raises(ValueError, match=words):
            entries(tmp_path / "results.json")
    with pytest.raises(ValueError, match="cannot be read"):
        open_results(tmp_path / "nothing.json")


def test_the_list_may_stand_in_an_object_that_names_images_and_categories(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 3, "file_name": "a.jpg"}, {"id": True, "file_name": "b.jpg"}, 7],
        "categories": [{"id": "x", "name": "car"}, {"id": 4.0, "name": "bus"}, {"id": 5}],
        "annotations": [{"n": number} for number in range(600)],
    }
    (tmp_path / "results.json").write_text(json.dumps(content))
    file = open_results(tmp_path / "results.json")
    assert (file.images, file.categories) == ({3: "a.jpg"}, {"x": "car", 4: "bus"})
    assert [entry["n"] for block in file.blocks for entry in block] == list(range(600))


def test_of_the_pages_download_one_model_is_read(tmp_path: Path) -> None:
    own = {"categories": [{"id": 1, "name": "car"}], "results": [{"n": 1}]}
    page = {"image": {"id": 1, "file_name": "a.jpg"}, "lowest_score": 0.5, "models": {"one": own}}
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(page))
    file = open_results(path)
    assert (file.images, file.categories, entries(path)) == ({1: "a.jpg"}, {1: "car"}, [{"n": 1}])
    path.write_text(json.dumps(page | {"models": {"one": own, "two": own | {"results": []}}}))
    assert list(open_results(path, "two").blocks) == []
    with pytest.raises(ValueError, match=r"of 2 models \(one, two\): name the one that is meant"):
        open_results(path)

"""A model of one's own on the page: the pair of files, who may hand it over, and how long it is kept.

It goes through the page in `test_points.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from explorer.ui.actions.models import Models, uploaded_pair

page = pytest.importorskip("explorer.ui.layout.page")
session = pytest.importorskip("explorer.ui.layout.session")


@pytest.fixture
def desk() -> Iterator[Any]:
    kept = session.Desk(Models(), Models())
    yield kept
    kept.folder.cleanup()


def test_a_model_is_kept_for_its_session_and_no_longer(desk: Any, pair: list[str]) -> None:
    request = SimpleNamespace(session_hash="abc")
    names = [desk.take_model(pair, request) for _ in range(2)]
    assert names == ["upload 1: mine.safetensors", "upload 2: mine.safetensors"]
    for models in (desk.models, desk.models_for_long):
        detector = models.get(names[0])
        assert (detector.name, detector.weights, detector.class_names[0]) == (names[0], Path(pair[0]), "car")
    desk.forget(SimpleNamespace(session_hash="another"))
    desk.models.get(names[1])
    desk.forget(request)
    for models in (desk.models, desk.models_for_long):
        with pytest.raises(ValueError, match="in the list"):
            models.get(names[0])


def test_what_cannot_be_loaded_is_not_kept(desk: Any, pair: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"\x80\x02c__builtin__\neval\n.")
    with pytest.raises(ValueError, match=r"broken\.pth is not a usable checkpoint"):
        desk.take_model([str(tmp_path / "broken.pth"), pair[1]], SimpleNamespace(session_hash="abc"))
    with pytest.raises(ValueError, match="in the list"):
        desk.models.get("upload 1: broken.pth")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("_BASE_: /etc/passwd\n", "builds on another file"),
        ("_BASE_: http://127.0.0.1:9/x.yaml\n", "builds on another file"),
        ("- 1\n", "is not a config"),
        ("{", "is not a config"),
    ],
)
def test_an_uploaded_config_stands_alone(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        uploaded_pair([tmp_path / "config.yaml", tmp_path / "a.pth"])


@pytest.mark.parametrize("names", [[], ["a.pth"], ["config.yaml"], ["a.pth", "b.pth"], ["a.yaml", "b.yaml", "c.pth"]])
def test_it_takes_a_pair(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Upload two files"):
        uploaded_pair([tmp_path / name for name in names])


def test_code_is_no_config(desk: Any, pair: list[str], tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="goes with a checkpoint file"):
        desk.take_model([str(tmp_path / "lazy.py"), pair[1]], SimpleNamespace(session_hash="abc"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("host", "options", "alone"),
    [
        ("127.0.0.1", {}, True),
        ("localhost", {}, True),
        ("::1", {}, True),
        ("0.0.0.0", {}, False),
        ("192.168.1.7", {}, False),
        ("my-host", {}, False),
        ("127.0.0.1", {"share": True}, False),
        ("127.0.0.1", {"auth": True}, False),
    ],
)
def test_models_are_handed_over_where_the_page_is_ones_own(host: str, options: dict[str, bool], alone: bool) -> None:
    assert page.is_alone(host, **{"auth": False, "share": False, **options}) is alone
    labels = [block.label for block in page.build(uploads=alone).blocks.values() if hasattr(block, "label")]
    assert ("Your own model" in labels) is alone


def test_models_given_at_start_come_first_and_are_chosen(pair: list[str]) -> None:
    config = pair[1]
    built = page.build([config], weights=pair[0])
    models = next(block for block in built.blocks.values() if getattr(block, "label", "") == "Models, up to 4")
    assert models.choices[0] == (f"{config} · from the command line, mine.safetensors", config)
    assert models.value == [config]
    with pytest.raises(ValueError, match="nowhere"):
        page.build(["nowhere.yaml"])

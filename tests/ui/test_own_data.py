"""A data set that a browser hands over: unpacked, checked, examined, and gone with its session."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.scoring.runs import read_truth
from explorer.ui.actions.compare import compare
from explorer.ui.actions.errors import annotated_images
from explorer.ui.actions.models import Models

session = pytest.importorskip("explorer.ui.layout.session")
REQUEST, OTHER = SimpleNamespace(session_hash="abc"), SimpleNamespace(session_hash="xyz")


@pytest.fixture
def desk() -> Iterator[Any]:
    kept = session.Desk(Models(), Models())
    yield kept
    kept.folder.cleanup()


def test_a_data_set_is_kept_for_its_session_and_no_longer(desk: Any, archive: Path) -> None:
    ((name, source),) = desk.take_data(str(archive), REQUEST).items()
    assert name == "mine.zip, val"
    assert len(annotated_images(source, 20).image_ids) == 2
    desk.forget(REQUEST)
    assert not Path(source.rpartition(":")[0]).exists()


def test_what_is_annotated_in_its_photos_is_shown_beside_detections(
    desk: Any, archive: Path, zoo: Any, tmp_path: Path
) -> None:
    ((_, source),) = desk.take_data(str(archive), REQUEST).items()
    truth = read_truth(source)
    photo = Path(shutil.copy(truth.file_names[1], tmp_path))  # as the same visitor drops it
    models = Models(extra=["A"])
    found = compare(models, ["A"], photo, timed=False, more_data=desk.data_of(REQUEST))
    assert found.truth is not None
    expected = truth.boxes_xywh[(truth.images == 1) & ~truth.crowds]
    assert len(expected) > 0
    np.testing.assert_allclose(found.truth.boxes_xyxy[:, :2], expected[:, :2], atol=1e-3)
    assert compare(models, ["A"], photo, timed=False, more_data=desk.data_of(OTHER)).truth is None
    desk.forget(REQUEST)
    assert desk.data_of(REQUEST) == ()


def test_what_is_wrong_is_said_without_the_servers_folder(desk: Any, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip archive"):
        desk.take_data(None, REQUEST)
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            if name.endswith(".json"):
                target.writestr(name, source.read(name))
    with pytest.raises(ValueError, match=r"broken\.zip has \d+ errors\. The first is: ") as error:
        desk.take_data(str(broken), REQUEST)
    assert desk.folder.name not in str(error.value)
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as target:
        target.writestr("readme.txt", "nothing")
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the words are those of `data check`
        desk.take_data(str(empty), REQUEST)
    assert desk.folder.name not in str(error.value)
    assert not [path for path in Path(desk.folder.name).rglob("*") if path.is_file()]

"""Cards of bundled models: what is read is what was written, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from explorer.zoo.cards import Measured, read_card
from explorer.zoo.registry import WEIGHTS

CARDS = sorted(folder / f"{folder.name}.json" for folder in WEIGHTS.iterdir() if folder.is_dir())


@pytest.mark.parametrize("file", CARDS, ids=lambda file: file.stem)
def test_a_card_that_is_read_and_written_stays_the_same(file: Path, tmp_path: Path) -> None:
    read_card(file).write(tmp_path / "card.json")
    assert (tmp_path / "card.json").read_bytes() == file.read_bytes()


def test_figures_without_an_interval_are_not_certain() -> None:
    own = Measured("few", 3, 9, box={"AP": (30.0, 20.0, 40.0), "APs": (5.0, None, None)})
    assert own.certain() == replace(own, box={"AP": (30.0, 20.0, 40.0)})
    assert Measured.from_dict(own.as_dict()) == own
    assert own.intervals == {"box": own.box}


@pytest.mark.parametrize(
    ("before", "after", "words"), [('"note"', '"nota"', "nota"), ('"images"', '"pictures"', "images")]
)
def test_another_file_is_no_card(before: str, after: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    file.write_text(CARDS[0].read_text().replace(before, after))
    with pytest.raises(ValueError, match=rf"card\.json is not a model card: .*{words}"):
        read_card(file)

"""An empty place says what will be there."""

from __future__ import annotations

from explorer.figures.words import waiting


def test_an_empty_place_says_how_to_fill_it() -> None:
    figure = waiting("Choose <b>layers</b>.", 120)
    (words,) = figure.layout.annotations
    assert words.text == "Choose &lt;b&gt;layers&lt;/b&gt;."
    assert figure.layout.height == 120
    assert not figure.data

"""Words in figures: hostile names are shown as they are, and an empty place says what will be there."""

from __future__ import annotations

from explorer.figures.words import plain, waiting


def test_names_from_files_stay_words() -> None:
    assert plain('<a href="x">car</a> %{y}') == '&lt;a href="x"&gt;car&lt;/a&gt; %&#123;y}'
    assert plain("V-19 · p2") == "V-19 · p2"


def test_an_empty_place_says_how_to_fill_it() -> None:
    figure = waiting("Choose <b>layers</b>.", 120)
    (words,) = figure.layout.annotations
    assert words.text == "Choose &lt;b&gt;layers&lt;/b&gt;."
    assert figure.layout.height == 120
    assert not figure.data

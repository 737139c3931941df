"""The pages of docs/results are what their templates make of the stored figures."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs/results"


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "tools")
        yield


def page_of(script: str, *given: Any) -> str:
    page: str = importlib.import_module(script).page(*given)
    return page


@pytest.mark.parametrize("name", ["speed-cpu", "speed-amx"])
def test_speed(name: str) -> None:
    known = json.loads((RESULTS / f"{name}.json").read_text())
    assert page_of("speed_page", known, name) == (RESULTS / f"{name}.md").read_text()


def test_photographs() -> None:
    known = json.loads((RESULTS / "photographs.json").read_text())
    assert page_of("photographs_page", known) == (RESULTS / "photographs.md").read_text()


def test_receptive_fields() -> None:
    known = json.loads((RESULTS / "receptive-fields.json").read_text())
    assert page_of("receptive_fields", known["models"]) == (RESULTS / "receptive-fields.md").read_text()


def test_small_objects() -> None:
    """Its runs are not stored: the tables are taken from the page, all else is the template's."""
    stored = (RESULTS / "small-objects.md").read_text()
    tables = [block for block in stored.split("\n\n") if block.startswith("|")]
    words = dict(zip(("figures", "differences", "found", "verdicts"), tables, strict=True))
    assert importlib.import_module("pages").rendered("small-objects", **words) == stored


def test_what_a_template_names_has_to_be_given() -> None:
    with pytest.raises(UndefinedError, match="figures"):
        importlib.import_module("pages").rendered("small-objects")

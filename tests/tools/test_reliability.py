"""The table of reliability shows what ran, what was counted, and every failure."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT

CASE = '<testcase classname="{module}" name="{name}"><properties>{counted}</properties>{end}</testcase>'


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "tools")
        yield importlib.import_module("reliability")


def results(path: Path, *cases: tuple[str, str, dict[str, int], str]) -> Path:
    rows = [
        CASE.format(
            module=module,
            name=name,
            counted="".join(f'<property name="{key}" value="{value}"/>' for key, value in counted.items()),
            end=end,
        )
        for module, name, counted, end in cases
    ]
    path = path.parent / "0123abcdef" / path.name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"<testsuites><testsuite>{''.join(rows)}</testsuite></testsuites>")
    return path


def test_counts_failures_and_skips(tool: ModuleType, tmp_path: Path) -> None:
    steps, refusals = "tests.faults.test_steps", "tests.hostile.test_refusals"
    first = results(
        tmp_path / "a.xml",
        (steps, "test_every[a]", {"kill": 20}, ""),
        (steps, "test_every[b]", {"kill": 3}, "<failure/>"),
        (steps, "test_every[c]", {"full": 7}, "<skipped/>"),
        (refusals, "test_a_hostile_file[a]", {}, ""),
        (refusals, "test_a_hostile_file[b]", {}, "<failure/>"),
    )
    page = tool.page(tool.read([first]))
    assert "| faults | SIGKILL before a step of writing | 23 | 1 | 0123abcde |" in page
    assert "| inputs | hostile files of every kind that is read | 2 | 1 | 0123abcde |" in page
    assert "| no room" not in page
    assert "**lost: 1, executed: 1, escaped: 0; failed tests in all: 2**" in page
    assert "**inputs tried: 2; faults injected: 23; load held, in actions: 0**" in page
    later = results(tmp_path / "b.xml", (steps, "test_every[b]", {"kill": 3}, ""))
    assert "**lost: 0, executed: 1, escaped: 0; failed tests in all: 1**" in tool.page(tool.read([first, later]))


@pytest.mark.parametrize("module", ["tests.faults.test_steps", "", "tests.ui.test_load"])
def test_a_test_that_fails_before_it_counts_is_in_the_table(tool: ModuleType, tmp_path: Path, module: str) -> None:
    page = tool.page(tool.read([results(tmp_path / "a.xml", (module, "test_every[a]", {}, "<error/>"))]))
    assert "| **failed** | **tests that failed before they counted anything** | 1 | 1 | 0123abcde |" in page
    assert f"lost: {int(module != 'tests.ui.test_load')}, executed: 0, escaped: 0; failed tests in all: 1**" in page


def test_each_test_of_the_parts_is_in_one_of_them(tool: ModuleType) -> None:
    assert len(tool.PARTS) == 13
    named = {word for part in tool.PARTS for word in part.split() if word.endswith(".py")}
    assert named == {row.module.replace(".", "/") + ".py" for row in tool.ROWS}


def test_commands_whose_every_step_was_tried_are_named(tool: ModuleType, tmp_path: Path) -> None:
    module, every = "tests.faults.test_steps", "test_every_step_fails"
    cases = [(module, f"{every}[data make-{fault}]", {fault: 9}, "") for fault in ("kill", "interrupt", "full")]
    whole = (module, f"{every}[data make-readonly]", {"readonly": 9}, "")
    once = (module, "test_one_step_fails[export-kill]", {"kill": 1}, "")
    page = " ".join(tool.page(tool.read([results(tmp_path / "a.xml", *cases, whole, once)])).split())
    assert "at every write step of data make; at one write step, drawn at random, of export." in page
    page = " ".join(tool.page(tool.read([results(tmp_path / "b.xml", *cases)])).split())
    assert "of no command; some of them at every write step of data make (full, interrupt, kill)." in page


def test_the_tests_that_are_counted_are_there(tool: ModuleType) -> None:
    for row in tool.ROWS:
        file = ROOT / (row.module.replace(".", "/") + ".py")
        assert f"def {row.start}" in file.read_text(), row
        assert all(f'"{name}"' in file.read_text() for name in row.counted), row

"""The table of reliability shows what ran, what was counted, and every failure."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

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
    assert "**lost: 0, executed: 1, escaped: 0; failed tests in all: 1**" in tool.page(
        tool.merged(tool.read([first]), tool.read([later]))
    )


@pytest.mark.parametrize("module", ["tests.faults.test_steps", "", "tests.ui.test_load"])
def test_a_test_that_fails_before_it_counts_is_in_the_table(tool: ModuleType, tmp_path: Path, module: str) -> None:
    page = tool.page(tool.read([results(tmp_path / "a.xml", (module, "test_every[a]", {}, "<error/>"))]))
    assert "| **failed** | **tests that failed before they counted anything** | 1 | 1 | 0123abcde |" in page
    assert f"lost: {int(module != 'tests.ui.test_load')}, executed: 0, escaped: 0; failed tests in all: 1**" in page


def test_what_was_counted_is_kept(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "KEPT", tmp_path / "kept.json")
    assert tool.kept() == []
    cases = tool.read([results(tmp_path / "a.xml", ("a.b", "c[d]", {"kill": 2}, ""), ("a.b", "e", {}, "<failure/>"))])
    tool.keep(cases)
    assert tool.kept() == cases


def test_only_what_is_missing_or_failed_runs(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["passed[a]", "failed[a]", "missing[a]", "stopped[a]", "never[a]"]
    tests = [f"tests/faults/test_steps.py::{name}" for name in names]
    ran: list[str] = []

    def run(batch: list[str], commit: str) -> tuple[list[Any], bool]:
        ran.extend(batch)
        own = [tool.Case(*tool.names_of(test), {}, True, "later") for test in batch]
        return ([], False) if "stopped" in batch[0] else (own, True)

    monkeypatch.setattr(tool, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(tool, "existing", lambda: tests)
    monkeypatch.setattr(tool, "run", run)
    first = [tool.Case(tool.STEPS, name, {}, name != "failed[a]", "first") for name in [*names[:2], "gone[a]"]]
    tool.keep(first)
    cases = tool.update(again=False, words=(), jobs=1)
    assert ran == tests[1:4]
    assert {(case.name, case.commit) for case in cases} == {
        (names[0], "first"),
        *((name, "later") for name in names[1:3]),
    }
    assert set(map(repr, tool.kept())) == set(map(repr, cases))
    ran.clear()
    tool.update(again=True, words=["passed", "[a]"], jobs=2)
    assert ran == tests[:1]


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

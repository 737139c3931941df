"""Runs all fault, attack and load tests, and writes docs/results/reliability.md from their counts.

`make reliability` runs the tests part by part (hours) and keeps the results of each in `build/reliability`: if it is
interrupted, the next call at the same commit continues with the part that was running. `python tools/reliability.py
RESULTS.xml…` reads results that pytest wrote with `--junitxml` to a folder named after the commit. If a test ran
several times, the last result counts. The page only has rows for tests that ran.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pages import RESULTS, ROOT, rendered

from explorer.engine.artifacts import provenance
from explorer.writing import replacing

PAGE = RESULTS / "reliability.md"
KEPT = ROOT / "build/reliability"
PARTS = (
    "tests/hostile/test_refusals.py tests/hostile/test_annotations.py",
    "tests/engine/test_devices.py tests/cli/test_broken_gpu.py",
    "tests/ui/test_api.py tests/ui/test_routes.py tests/ui/test_strangers.py",
    "tests/ui/test_load.py",
    "tests/hostile/test_fuzz.py",
    "tests/hostile/test_fuzz_data.py",
    "tests/engine/training/test_resume.py",
    "tests/browser/test_killed.py",
    "tests/browser/test_database_ends.py",
    "tests/faults/test_clock.py tests/faults/test_disk.py tests/faults/test_processes.py tests/faults/test_training.py",
    "tests/faults/test_steps.py -k twenty",
    "tests/faults/test_steps.py -k 'every_step and (kill or interrupt or full)'",
    "tests/faults/test_steps.py -k 'every_step and (readonly or second)'",
)


@dataclass(frozen=True)
class Case:
    """One test: its module, its name, what it counted, whether it passed, and the commit that it ran at."""

    module: str
    name: str
    counted: dict[str, int]
    passed: bool
    commit: str


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        kind: inputs, faults or load.
        title: what was tried.
        module: whose tests count.
        start: how their names start.
        counted: what they counted themselves, of which the sum is shown; the number of tests where empty.
    """

    kind: str
    title: str
    module: str
    start: str = "test_"
    counted: tuple[str, ...] = ()

    def of(self, cases: Iterable[Case]) -> list[Case]:
        """The tests of this row."""
        found = [case for case in cases if case.module == self.module and case.name.startswith(self.start)]
        return [case for case in found if not self.counted or set(self.counted) & set(case.counted)]

    def number(self, cases: Iterable[Case]) -> int:
        """How much was tried."""
        own = self.of(cases)
        return sum(case.counted.get(key, 0) for case in own for key in self.counted) if self.counted else len(own)


KINDS = {"inputs": "inputs tried", "faults": "faults injected", "load": "load held, in actions"}
EVERY, ONCE = "test_every_step_fails[", "test_one_step_fails["
AT_STEPS = {"kill", "interrupt", "full", "readonly"}
"""The faults of all commands that write."""
UNCOUNTED = "tests that failed before they counted anything"
ROWS = (
    Row("inputs", "hostile files of every kind that is read", "tests.hostile.test_refusals", "test_a_hostile_file"),
    Row("inputs", "places where they could have written", "tests.hostile.test_refusals", "test_nothing_was_written"),
    Row("inputs", "checkpoints and configurations made up", "tests.hostile.test_fuzz", counted=("made up",)),
    Row(
        "inputs",
        "JSON, data sets, detections and archives made up",
        "tests.hostile.test_fuzz_data",
        counted=("made up",),
    ),
    Row("inputs", "annotations and results with numbers and names too large", "tests.hostile.test_annotations"),
    Row("inputs", "odd uploads, paths and addresses at the page", "tests.ui.test_api"),
    Row("inputs", "paths that lead elsewhere, by route and way", "tests.ui.test_routes", counted=("paths",)),
    Row("inputs", "routes without need, long bodies, headers, uploads", "tests.ui.test_routes"),
    Row("inputs", "foreign origins, forged headers, long and slow calls", "tests.ui.test_strangers"),
    Row("faults", "SIGKILL before a step of writing", "tests.faults.test_steps", counted=("kill",)),
    Row("faults", "SIGINT before a step of writing", "tests.faults.test_steps", counted=("interrupt",)),
    Row("faults", "no room from a step of writing on", "tests.faults.test_steps", counted=("full",)),
    Row("faults", "read-only from a step of writing on", "tests.faults.test_steps", counted=("readonly",)),
    Row("faults", "a second process at a step of writing", "tests.faults.test_steps", counted=("second",)),
    Row("faults", "SIGKILL at a random time", "tests.faults.test_steps", counted=("kill at",)),
    Row("faults", "SIGINT at a random time", "tests.faults.test_steps", counted=("interrupt at",)),
    Row("faults", "SIGINT while Python starts", "tests.faults.test_processes", counted=("interrupted",)),
    Row("faults", "a real disk that is full, then larger", "tests.faults.test_disk", counted=("full disk",)),
    Row("faults", "a real disk that is read-only", "tests.faults.test_disk", counted=("read-only disk",)),
    Row("faults", "two processes on one folder", "tests.faults.test_processes", "test_two"),
    Row("faults", "a second training in one folder, its processes killed", "tests.faults.test_training"),
    Row("faults", "SIGKILL of a training, at random times", "tests.engine.training.test_resume", counted=("killed",)),
    Row("faults", "SIGKILL of a FiftyOne import, between commands", "tests.browser.test_killed", counted=("killed",)),
    Row(
        "faults",
        "loader or drawing processes killed, a script without a guard",
        "tests.faults.test_processes",
        "test_a_",
    ),
    Row("faults", "SIGINT of `explorer browse`", "tests.browser.test_database_ends", counted=("interrupted",)),
    Row("faults", "SIGKILL of FiftyOne's database", "tests.browser.test_database_ends", counted=("ended",)),
    Row("faults", "a clock that jumps", "tests.faults.test_clock"),
    Row("faults", "errors of a GPU, told apart from others", "tests.engine.test_devices"),
    Row("faults", "commands whose GPU fails", "tests.cli.test_broken_gpu"),
    Row("load", "actions of 50 visitors at once", "tests.ui.test_load", counted=("actions",)),
)


def run(commit: str) -> Iterator[Path]:
    """Runs the tests, slow ones too, part by part, and yields pytest's results of each."""
    for number, part in enumerate(PARTS):
        results = KEPT / commit / f"{number}.xml"
        if not results.is_file():
            command = [sys.executable, "-m", "pytest", "-q", "-m", "not network and not gpu", f"--junitxml={results}"]
            subprocess.run([*command, *shlex.split(part)], cwd=ROOT, check=False)  # failures are what the table is for
        yield results


def read(results: Iterable[Path]) -> list[Case]:
    """Reads results; skipped tests are none, and of a test that ran several times the last counts."""
    cases = {}
    for path in results:
        for element in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - pytest's own
            if element.find("skipped") is None:
                counted = {one.get("name", ""): int(one.get("value", "")) for one in element.iter("property")}
                failed = element.find("failure") is not None or element.find("error") is not None
                names = element.get("classname", ""), element.get("name", "")
                cases[names] = Case(*names, counted, not failed, path.parent.name[:9])
    return list(cases.values())


def commits(cases: Iterable[Case]) -> str:
    """What they ran at."""
    return ", ".join(sorted({case.commit for case in cases}))


def _faults_by_command(cases: Iterable[Case], start: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for case in cases:
        if case.name.startswith(start):
            name, _, fault = case.name.removeprefix(start)[:-1].rpartition("-")
            found.setdefault(name, set()).add(fault)
    return found


def page(cases: Sequence[Case]) -> str:
    """The table, and the totals below it."""
    tried = {row: row.number(cases) for row in ROWS if row.of(cases)}
    wrong = {row: sum(not case.passed for case in row.of(cases)) for row in tried}
    rows = [(row.kind, row.title, f"{number:,}", wrong[row], commits(row.of(cases))) for row, number in tried.items()]
    uncounted = [case for case in cases if not case.passed and not any(case in row.of(cases) for row in tried)]
    if uncounted:
        rows.append(("**failed**", f"**{UNCOUNTED}**", str(len(uncounted)), len(uncounted), commits(uncounted)))
    modules = {row.module for row in ROWS if row.kind != "faults"}
    every, once = _faults_by_command(cases, EVERY), _faults_by_command(cases, ONCE)
    whole = sorted(name for name, faults in every.items() if faults >= AT_STEPS)
    return rendered(
        "reliability",
        date=provenance()["date"][:10],
        missing=[row.title for row in ROWS if row not in tried],
        whole=whole,
        partly=[f"{name} ({', '.join(sorted(faults))})" for name, faults in every.items() if name not in whole],
        once=sorted(once.keys() - whole),
        sums=[
            f"{name}: {sum(number for row, number in tried.items() if row.kind == kind):,}"
            for kind, name in KINDS.items()
        ],
        rows=rows,
        lost=sum(not case.passed for case in cases if case.module not in modules),
        executed=wrong.get(ROWS[0], 0),
        escaped=wrong.get(ROWS[1], 0),
        failed=sum(not case.passed for case in cases),
    )


def main() -> None:
    """Runs the tests where no results are named, writes the page, and exits with 1 where a test failed."""
    cases = read([Path(name) for name in sys.argv[1:]] or run((provenance()["code"] or {}).get("commit", "unknown")))
    with replacing(PAGE) as scratch:
        scratch.write_text(page(cases), encoding="utf-8")
    for case in cases:
        if not case.passed:
            sys.stderr.write(f"failed: {case.module} {case.name}\n")
    sys.exit(any(not case.passed for case in cases))


if __name__ == "__main__":
    main()

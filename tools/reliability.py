"""Runs all fault, attack and load tests, and writes docs/results/reliability.md from their counts.

`make reliability` runs the tests that have no result yet or failed (hours if there are none), as many at once as there
are processors, or `--jobs`. What each counted, and at which commit, is kept in `docs/results/reliability.json`; after
Ctrl-C, the next call continues. `--again` runs all tests anew, `--only WORD` those with this word in their name,
`--page` none. `python tools/reliability.py RESULTS.xml…` reads results that pytest wrote with `--junitxml` to a folder
named after the commit. If a test ran several times, the last result counts. The page only has rows for tests that ran.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pages import RESULTS, ROOT, rendered

from explorer.engine.artifacts import provenance
from explorer.reading import read_json
from explorer.writing import replacing, write_json

PAGE = RESULTS / "reliability.md"
KEPT = RESULTS / "reliability.json"
KIND = "not network and not gpu"
STEPS = "tests.faults.test_steps"


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
FAILED = "failed"
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
    Row("faults", "SIGKILL before a step of writing", STEPS, counted=("kill",)),
    Row("faults", "SIGINT before a step of writing", STEPS, counted=("interrupt",)),
    Row("faults", "no room from a step of writing on", STEPS, counted=("full",)),
    Row("faults", "read-only from a step of writing on", STEPS, counted=("readonly",)),
    Row("faults", "a second process at a step of writing", STEPS, counted=("second",)),
    Row("faults", "SIGKILL at a random time", STEPS, counted=("kill at",)),
    Row("faults", "SIGINT at a random time", STEPS, counted=("interrupt at",)),
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


def existing() -> list[str]:
    """The tests of the rows as pytest calls them; of commands, those that fail at every step, or at random times."""
    modules = sorted({f"{row.module.replace('.', '/')}.py" for row in ROWS})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", KIND, *modules]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in told if "::" in line and f"::{ONCE}" not in line]


def batches(tests: Iterable[str]) -> Iterator[list[str]]:
    """Yields what one pytest runs: a module, but a single one of the tests of commands, each of which takes minutes."""
    for module, own in itertools.groupby(tests, lambda test: names_of(test)[0]):
        batch = list(own)
        yield from [[one] for one in batch] if module == STEPS else [batch]


def names_of(test: str) -> tuple[str, str]:
    """Module and name of a test, as results have them."""
    file, _, name = test.partition("::")
    return file.removesuffix(".py").replace("/", "."), name


def run(tests: Sequence[str], commit: str) -> tuple[list[Case], bool]:
    """Runs tests, and returns their results and whether none was left out, which is what Ctrl-C does."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, commit, "results.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-m", KIND, f"--junitxml={results}", *tests]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode  # failures are what the table is for
        return read([results] if results.is_file() else []), code in (0, 1)


def run_all(tests: Iterable[str], jobs: int) -> Iterator[list[Case]]:
    """Yields the results of batch after batch; after Ctrl-C, of those that had begun, which pytest ends by itself."""
    commit = (provenance()["code"] or {}).get("commit", "unknown")
    stopped = threading.Event()

    def run_unless_stopped(batch: Sequence[str]) -> list[Case]:
        if stopped.is_set():
            return []
        cases, whole = run(batch, commit)
        if not whole:
            stopped.set()
        return cases

    before = signal.signal(
        signal.SIGINT, lambda *_: stopped.set()
    )  # unlike SIG_IGN, started programs do not inherit it
    try:
        with ThreadPoolExecutor(jobs) as pool:
            for future in as_completed([pool.submit(run_unless_stopped, batch) for batch in batches(tests)]):
                yield future.result()
    finally:
        signal.signal(signal.SIGINT, before)


def kept() -> list[Case]:
    """The results that are kept."""
    content = read_json(KEPT) if KEPT.is_file() else {}
    return [
        Case(module, name, {key: value for key, value in counted.items() if key != FAILED}, FAILED not in counted, own)
        for own, modules in content.items()
        for module, names in modules.items()
        for name, counted in names.items()
    ]


def keep(cases: Iterable[Case]) -> None:
    """Keeps results: by commit, module and test, what was counted."""
    content: dict[str, dict[str, dict[str, Mapping[str, int]]]] = {}
    for case in sorted(cases, key=lambda case: (case.commit, case.module, case.name)):
        counted = case.counted | ({} if case.passed else {FAILED: 1})
        content.setdefault(case.commit, {}).setdefault(case.module, {})[case.name] = counted
    write_json(content, KEPT, indent=1)


def merged(*results: Iterable[Case]) -> list[Case]:
    """Of a test that ran several times the last counts."""
    return list({(case.module, case.name): case for case in itertools.chain(*results)}.values())


def read(results: Iterable[Path]) -> list[Case]:
    """Reads what pytest wrote; skipped tests are none."""
    cases = []
    for path in results:
        for element in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - pytest's own
            if element.find("skipped") is None:
                counted = {one.get("name", ""): int(one.get("value", "")) for one in element.iter("property")}
                failed = element.find("failure") is not None or element.find("error") is not None
                names = element.get("classname", ""), element.get("name", "")
                cases.append(Case(*names, counted, not failed, path.parent.name[:9]))
    return merged(cases)


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


def update(*, again: bool, words: Sequence[str], jobs: int) -> list[Case]:
    """Runs what has no result or failed, keeps what each pytest told, and returns all results."""
    tests = existing()
    there = set(map(names_of, tests))
    cases = [case for case in kept() if (case.module, case.name) in there]
    keep(cases)
    done = {(case.module, case.name) for case in cases if case.passed and not again}
    wanted = [test for test in tests if names_of(test) not in done and all(word in test for word in words)]
    for own in run_all(wanted, jobs):
        cases = merged(cases, own)
        keep(cases)
    return cases


def main() -> None:
    """Brings the results up to date, writes the page, and exits with 1 where a test failed."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("results", nargs="*", type=Path, metavar="RESULTS.xml", help="take these instead of running")
    asked.add_argument("--again", action="store_true", help="run what has passed, too")
    asked.add_argument("--only", action="append", default=[], metavar="WORD", help="run only what has this in its name")
    asked.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="how many run at once")
    asked.add_argument("--page", action="store_true", help="run nothing, and write the page from what is kept")
    given = asked.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it, and so would tests
    if given.results or given.page:
        cases = merged(kept(), read(given.results))
        keep(cases)
    else:
        cases = update(again=given.again, words=given.only, jobs=given.jobs)
    with replacing(PAGE) as scratch:
        scratch.write_text(page(cases), encoding="utf-8")
    for case in cases:
        if not case.passed:
            sys.stderr.write(f"failed: {case.module} {case.name}\n")
    sys.exit(any(not case.passed for case in cases))


if __name__ == "__main__":
    main()

"""What may not stand in any file that git tracks, and how large one may be."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LARGEST_FILE_MB = 8

# Written in pieces, since this file is searched too.
INDEX_HOSTS = re.compile(
    "|".join((r"\bpy" + r"pi\.", "python" + "hosted", r"\banaconda\." + "org", r"\bconda\." + "io"))
)
MACHINE_PATHS = re.compile(
    "|".join(rf"(?<![\w.\-])/{folder}(?=/|\b(?![\w\-]))" for folder in ("ro" + "ot", "wo" + "rk"))
    + "|"
    + "|".join(rf"(?<![\w.\-])/{folder}/\w" for folder in ("ho" + "me", "Us" + "ers"))
)


def tracked() -> list[Path]:
    """The files that git tracks and that are there."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def lines_matching(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in tracked():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:  # a picture
            continue
        for number, line in enumerate(lines, 1):
            if pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"


def test_no_file_names_a_package_index() -> None:
    assert not list(lines_matching(INDEX_HOSTS))


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert not list(lines_matching(MACHINE_PATHS))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("cd /{}/main", True),
        ('"/{}"', True),
        ("see /{}.", True),
        ("data/{}/x", False),
        ("file:///{}/x", True),
        ("../{}/x", False),
        ("/{}space/x", False),
        ("/{}-dir", False),
    ],
)
def test_which_paths_are_found(line: str, found: bool) -> None:
    assert bool(MACHINE_PATHS.search(line.format("wo" + "rk"))) is found


def test_which_hosts_are_found() -> None:
    assert INDEX_HOSTS.search("https://py" + "pi.org/simple")
    assert INDEX_HOSTS.search("https://files.python" + "hosted.org/x")
    assert not INDEX_HOSTS.search("https://github.com/facebookresearch/detectron2")


def test_no_file_is_large() -> None:
    sizes_mb = {path.name: path.stat().st_size / 1e6 for path in tracked()}
    assert len(sizes_mb) > 50
    assert not {name: size for name, size in sizes_mb.items() if size > LARGEST_FILE_MB}


def test_every_file_of_the_table_of_changes_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Where a change goes")[2].partition("\n## ")[0]
    named = re.findall(r"`(explorer/[^`]+)`", table)
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_guarantee_names_tests_that_are_there() -> None:
    """In the last column of SECURITY.md's table; a name alone stands beside the one before it."""
    rows = [line for line in (ROOT / "SECURITY.md").read_text("utf-8").splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    for row in rows:
        *_, guarantee, _, tests, _ = re.split(r"(?<!\\)\|", row)
        folder, named = ROOT, re.findall(r"`([\w/.]+\.py|tests/[\w/]+)`", tests)
        assert named, guarantee
        for name in named:
            path = ROOT / name if name.startswith("tests/") else folder / name
            assert path.exists(), f"{guarantee}: {name}"
            folder = path if path.is_dir() else path.parent


def test_no_two_classes_share_a_name() -> None:
    named = [
        name
        for path in (ROOT / "explorer").rglob("*.py")
        for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(named) > 200
    assert [name for name, number in Counter(named).items() if number > 1] == []

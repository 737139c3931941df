"""The corpus on the disk, and what became of each of its files in the cage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.hostile.attacks import Attack, corpus


@dataclass(frozen=True)
class Handed:
    """What became of all files.

    Attributes:
        outcomes: by the attack's name: `raised` (a class and its bases) and `says`, or `read`; `did` to the outside;
            `cpu_s`. Without any of these the process died.
        folder: where the corpus lies.
        cage: the folder that the files were read in.
    """

    outcomes: Mapping[str, Mapping[str, Any]]
    folder: Path
    cage: Path


def lay_out(attack: Attack, folder: Path) -> Path:
    """Writes an attack's files into a folder of its name; returns the one that is handed in."""
    home = folder / attack.name.replace("/", "∕")[:100]
    home.mkdir()
    for name, content in attack.files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (home / name).symlink_to(content)
        elif content is None:
            os.mkfifo(home / name)
        else:
            (home / name).write_bytes(content)
    return home / (attack.handed or next(iter(attack.files)))


@pytest.fixture(scope="session")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Handed:
    """Hands in every file of the corpus; a process that dies is followed by another for the rest."""
    folder, cage = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("cage")
    left = [(attack.name, attack.kind, str(lay_out(attack, folder))) for attack in corpus()]
    todo, log = folder / "corpus.json", folder / "log.jsonl"
    outcomes: dict[str, dict[str, Any]] = {}
    while left:
        todo.write_text(json.dumps(left))
        script = [sys.executable, str(Path(__file__).with_name("cage.py")), str(todo), str(log)]
        done = subprocess.run(
            script, cwd=cage, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, capture_output=True
        )
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
        outcomes = {line["name"]: line for line in lines}
        still = [one for one in left if one[0] not in outcomes]
        assert len(still) < len(left), done.stderr.decode()
        left = still
    return Handed(outcomes, folder, cage)

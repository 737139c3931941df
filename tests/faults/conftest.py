"""Commands that write, in processes that fail when they are told to, and what they leave."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from explorer.data.aerial import make_aerial
from explorer.engine.training.checkpointing import EARLIER
from explorer.writing import UNFINISHED
from explorer.zoo.registry import get
from tests.conftest import ROOT
from tests.fixtures.wild import network
from tests.zoo.conftest import Page, opened_site

MODEL = "demo/V-19-slim-dw"
FETCHED = "faster_rcnn_V_39_FPN_3x"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
HOLDS = """
import sys
from pathlib import Path
from explorer.writing import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""
VOLATILE = {
    "date", "out", "ceiling_tflops", "ceiling_fraction", "median_s", "spread_s", "time_ratio", "ratio_low",
    "ratio_high", "ratio_to_baseline", "p95_s",
}  # fmt: skip
"""Keys of JSON files whose values say when, where, and how fast."""
NAMES = (
    "data make", "data convert", "data split", "data check", "evaluate", "predict", "export", "zoo convert",
    "zoo identify", "zoo fetch", "compare", "autopsy", "features", "receptive-field", "improve", "benchmark", "train",
)  # fmt: skip
"""The commands that write, but for `browse`, which writes to FiftyOne's database and has tests of its own."""
SLOW = {"predict", "export", "autopsy", "features", "receptive-field", "improve", "benchmark", "train"}
"""None of these is tried in the ordinary suite: each start of them takes seconds."""
LONG = {"evaluate", "compare", *SLOW}
"""Each start of these takes seconds; two of them are tried in the ordinary suite all the same, and killed there."""
NOT_FINAL = (".part", ".part.json", ".lock", "log.txt", "metrics.json", "last_checkpoint", ".0", *EARLIER.values())
"""How the names of a download and of a training end that may go on, and of what a training tells meanwhile."""


SHORT_TRAINING = (
    "SOLVER.MAX_ITER", "2", "SOLVER.CHECKPOINT_PERIOD", "1", "SOLVER.IMS_PER_BATCH", "1", "DATALOADER.NUM_WORKERS", "0",
    "INPUT.MIN_SIZE_TRAIN", "(64,)", "MODEL.ROI_BOX_HEAD.FC_DIM", "16", "MODEL.WEIGHTS", "", "SEED", "1",
    "TEST.EVAL_PERIOD", "0",
)  # fmt: skip
"""Keys of a training of two steps, with a checkpoint after each."""


def named(*names: str) -> list[Any]:
    """Names as a test's parameters, those of `SLOW` marked."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


@dataclass(frozen=True)
class Case:
    """A command that writes.

    Attributes:
        words: of the command line; `OUT` stands for the folder that it writes to.
        environment: variables, likewise.
        again: the words by which it goes on after a fault, where these are others.
    """

    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    again: tuple[str, ...] = ()

    @property
    def resumed(self) -> Case:
        """The command as it is given after a fault."""
        return replace(self, words=self.again or self.words)

    def at(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """The command and its environment for a folder."""
        environment = {key: placed(folder, value) for key, value in self.environment.items()}
        return [placed(folder, word) for word in self.words], environment


def placed(folder: Path, word: str) -> str:
    """A word of a command line, in which `OUT` stands for a folder."""
    return re.sub(r"\bOUT\b", str(folder), word)


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; negative: the signal.
        steps: how many it did.
        orphans: processes left behind.
        said: all that it said.
        second: how the one ended that was run while this one had paused.
    """

    code: int
    steps: int
    orphans: int
    said: str
    second: Ended | None = None


class Commands:
    """A process that runs commands in forks of itself."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._errors = log.with_name("errors").open("w")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("faulty.py"))],
            env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def run(self, case: Case, folder: Path, fault: str = "none", step: float = 0) -> Ended:
        """Runs a command; see `faulty.py` for the faults."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        words, environment = case.at(folder)
        order = {"words": words, "environment": environment, "folder": str(folder), "log": str(self.log)}
        self.process.stdin.write(json.dumps(order | {"fault": fault, "step": step}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline() or pytest.fail(self.log.with_name("errors").read_text())
        first, *second = [
            Ended(**one, said=self.log.with_suffix(f".{place}").read_text().strip())
            for place, one in enumerate(json.loads(answer))
        ]
        return replace(first, second=second[0] if second else None)

    def close(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait(60)
        self.process.stdout.close()  # type: ignore[union-attr]
        self._errors.close()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Lets SIGINT reach the processes that are started, which inherit it ignored where the shell put us behind."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes into the folder `out` until it is ended."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "out")]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    running = Commands(tmp_path_factory.mktemp("commands") / "log")
    yield running
    running.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small aerial scenes."""
    folder = tmp_path_factory.mktemp("data")
    make_aerial(folder, images=3, seed=0, size=(96, 128), workers=1)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VoVNet of random weights."""
    path = tmp_path_factory.mktemp("checkpoint") / "network.pth"
    torch.save(network().state_dict(), path)
    return path


@pytest.fixture(scope="session")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two results files: every second object is found by both, the others by the second."""
    truth = json.loads((data / "annotations/instances_val.json").read_text())
    found = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.9}
        for one in truth["annotations"]
    ]
    folder = tmp_path_factory.mktemp("results")
    for name, share in (("a.json", found[::2]), ("b.json", found)):
        (folder / name).write_text(json.dumps(share))
    return [str(folder / "a.json"), str(folder / "b.json")]


@pytest.fixture(scope="session")
def mirror() -> Iterator[str]:
    """The address of a site that has a file of the zoo."""
    with opened_site() as site:
        for name in get(FETCHED).mirror_names:
            site.add(f"/{name}", Page(bytes(range(256)) * 4000))
        yield site.url


@pytest.fixture(scope="session")
def cases(data: Path, checkpoint: Path, mirror: str, results: list[str]) -> dict[str, Case]:
    """The commands of `NAMES`."""
    photo = str(min((data / "val").iterdir()))
    said, on_data = ("--json", "OUT/said.json"), ("--data", f"{data}:val")
    fetching = {"EXPLORER_CACHE": "OUT", "EXPLORER_MIRROR": mirror, "no_proxy": "127.0.0.1"}
    exact = ("--exact", "--device", "cpu", *said)
    backbone, times = ("backbone:V-19-slim-dw-eSE", "--random"), ("--modes", "eager", "--rounds", "1", "--no-memory")
    training = ("train", "--config-file", "faster_rcnn_V_19_slim_dw_FPNLite_3x", "--num-gpus", "0", *said)
    keys = (*SHORT_TRAINING, "OUTPUT_DIR", "OUT", "DATASETS.TRAIN", f"('{data}:val',)", "DATASETS.TEST", "()")
    return {
        "data make": Case(("data", "make", "aerial", "OUT", "--images", "2", "--size", "96", "128", *said)),
        "data convert": Case(("data", "convert", f"{data}:val", "OUT/voc", "--to", "voc")),
        "data split": Case(("data", "split", f"{data}:val", "OUT/parts", "--parts", "a=0.5,b=0.5")),
        "data check": Case(("data", "check", f"{data}:val", *said)),
        "evaluate": Case(("evaluate", MODEL, *on_data, "--out", "OUT", *exact)),
        "predict": Case(("predict", MODEL, f"{data}/val", "--out", "OUT", *exact)),
        "export": Case(("export", MODEL, "--out", "OUT", *said)),
        "zoo convert": Case(("zoo", "convert", str(checkpoint), "--to", "timm", "--out", "OUT/timm.safetensors")),
        "zoo identify": Case(("zoo", "identify", str(checkpoint), *said)),
        "zoo fetch": Case(("zoo", "fetch", FETCHED, *said), fetching),
        "compare": Case(("compare", *results, *on_data, "--out", "OUT", "--resamples", "20", *said)),
        "autopsy": Case(("autopsy", results[0], *on_data, "--model", MODEL, "--out", "OUT", "--device", "cpu", *said)),
        "features": Case(("features", MODEL, photo, "--layers", "p5", "--out", "OUT", *said)),
        "receptive-field": Case(("receptive-field", *backbone, "--inputs", "1", "--size", "64", "--out", "OUT", *said)),
        "improve": Case(("improve", MODEL, f"{data}:val", "--device", "cpu", *said)),
        "train": Case((*training, *keys), again=(*training, "--resume", *keys)),
        "benchmark": Case(("benchmark", *backbone, "--stage", "backbone", "--size", "64", *times, *said)),
    }


def final_files(folder: Path) -> dict[str, str]:
    """All files under final names, with what is in them but for when and where it was written."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.exists() else []
    inside = {path: path.relative_to(folder) for path in files}
    return {
        str(name): _content(path, folder)
        for path, name in inside.items()
        if not any(part.startswith(".") for part in name.parts) and not path.name.endswith(NOT_FINAL)
    }


def all_files(folder: Path) -> str:
    """A digest of all that lies in a folder, half-written files too, whose names are drawn by chance."""
    found = sorted(folder.rglob("*"))
    names = [re.sub(f"{UNFINISHED}[0-9a-f]{{8}}", UNFINISHED, str(path.relative_to(folder))) for path in found]
    inside = [_content(path, folder) if path.is_file() else "" for path in found]
    return hashlib.sha256(repr(sorted(zip(names, inside, strict=True))).encode()).hexdigest()


def _content(path: Path, folder: Path) -> str:
    content = path.read_bytes().replace(str(folder).encode(), b"OUT")
    if path.suffix == ".pth" and zipfile.is_zipfile(path):  # which is named as the scratch file was
        state = torch.load(path, weights_only=True).get("model", {})
        return repr({key: hashlib.sha256(value.numpy().tobytes()).hexdigest() for key, value in state.items()})
    if path.suffix == ".json":
        with suppress(ValueError):  # half of one
            return json.dumps(_lasting(json.loads(content)))
    return hashlib.sha256(content).hexdigest()


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(item) for key, item in value.items() if key not in VOLATILE}
    return [_lasting(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def undisturbed(
    commands: Commands, cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[dict[str, str], int]]:
    """What a command leaves when nothing fails, and the number of its steps."""

    @cache
    def run(name: str) -> tuple[dict[str, str], int]:
        folder = tmp_path_factory.mktemp("undisturbed") / "out"
        ended = commands.run(cases[name], folder)
        assert ended.code == 0, ended.said
        return final_files(folder), ended.steps

    return run

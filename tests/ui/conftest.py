"""Detectors that answer from a list, so that actions are tried without waiting for networks; and the served page."""

from __future__ import annotations

import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from explorer.data.aerial import make_aerial
from explorer.engine.config_facts import ModelInput
from explorer.engine.prediction import Prediction
from explorer.engine.windows import Tiles
from explorer.types import Detections, Timing
from explorer.ui.actions.models import Models
from explorer.ui.examples import examples
from tests.ui.visiting import ROOT, Visit

CLASSES = ("car", "plane")


@dataclass
class FakeDetector:
    """Reports the same boxes for every photo.

    Attributes:
        found: rows of score, class index and box.
        megabytes: what its weights take.
        name: what it is called.
        caveat: what is to be known of its weights.
        weights: none, so that it knows no photographs.
        model_input: photos are looked at in their own size up to 300 px.
        cut: into tiles, if it is asked to.
        images: the photos that it was asked about.
        device: what it computes on.
        fast: none.
    """

    found: list[tuple[float, int, tuple[int, int, int, int]]]
    megabytes: float = 1
    name: str = ""
    caveat: str = ""
    weights: Path | None = None
    model_input: ModelInput = field(default_factory=lambda: ModelInput(300, 300, "BGR"))
    cut: Tiles | None = None
    images: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    fast: None = None

    def __post_init__(self) -> None:
        self.model = nn.Linear(round(self.megabytes * 250_000), 1, bias=False)

    def with_tiles(self, size: int) -> FakeDetector:
        return replace(self, cut=Tiles(size))

    def detect(self, image_bgr: npt.NDArray[np.uint8]) -> Prediction:
        self.images.append(image_bgr)
        detections = Detections(
            np.array([box for _, _, box in self.found], np.float32).reshape(-1, 4),
            np.array([score for score, _, _ in self.found], np.float32),
            np.array([index for _, index, _ in self.found], np.int64),
            CLASSES,
            (image_bgr.shape[0], image_bgr.shape[1]),
        )
        return Prediction(detections, None, Timing({"preprocess": 0.01, "model": 0.2, "postprocess": 0.003}))


@dataclass
class Zoo:
    """Models by name, and what was loaded of them."""

    models: Models
    fakes: dict[str, FakeDetector]
    loaded: list[tuple[str, float]]


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """A finds a sure small car, a medium plane and a doubtful car; B the same plane and a large one; C nothing."""
    fakes = {
        "A": FakeDetector([(0.9, 0, (10, 10, 20, 20)), (0.6, 1, (40, 40, 90, 90)), (0.1, 0, (5, 60, 15, 70))]),
        "B": FakeDetector([(0.7, 1, (42, 40, 92, 90)), (0.55, 1, (0, 0, 120, 100))]),
        "C": FakeDetector([]),
    }
    for name, fake in fakes.items():
        fake.name = name
    loaded: list[tuple[str, float]] = []

    def load(model: str, *, lowest_score: float, engine: str, progress: object, device: str) -> FakeDetector:
        loaded.append((model, lowest_score))
        return fakes[model]

    monkeypatch.setattr("explorer.engine.loading.load_detector", load)
    return Zoo(Models(memory_mb=2.5, extra=["A", "B", "C"]), fakes, loaded)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of one colour, 120 × 100 px."""
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((100, 120, 3), (30, 20, 10), np.uint8))
    return path


@dataclass(frozen=True)
class Served:
    """A server that runs `python app.py`.

    Attributes:
        url: its address, with a slash at the end.
        process: the server.
        log: what it printed.
        ready_s: from its start to its first answer.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    ready_s: float

    @property
    def uploads(self) -> Path:
        """Where it keeps what visitors uploaded."""
        return self.log.parent / "uploads"

    @property
    def memory_mb(self) -> float:
        """Resident memory of the server."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1000


@pytest.fixture(scope="session")
def served(serve_page: ServePage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page on a free port, with caches of its own."""
    with serve_page(tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture
def fresh_server(serve_page: ServePage, tmp_path: Path) -> Iterator[Served]:
    """A server for one test alone."""
    with serve_page(tmp_path) as server:
        yield server


ServePage = Callable[..., AbstractContextManager[Served]]


@pytest.fixture(scope="session")
def serve_page(serving: Callable[..., Any], free_port: Callable[[], int]) -> ServePage:
    """Runs `python app.py` with caches in a folder."""

    @contextmanager
    def serve(folder: Path, host: str = "127.0.0.1") -> Iterator[Served]:
        port, start = free_port(), time.perf_counter()
        env = {"GRADIO_TEMP_DIR": str(folder / "uploads"), "EXPLORER_CACHE": str(folder / "cache")}
        env |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": host}
        log, url = folder / "log", f"http://127.0.0.1:{port}/"
        with serving([sys.executable, "app.py"], url, log, env) as process:
            yield Served(url, process, log, time.perf_counter() - start)

    return serve


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of COCO beside the project, else one that scikit-image ships: CI skips no browser test."""
    folder = ROOT.parent / "shared/data/coco-tiny/val2017"
    if folder.is_dir():
        return min(folder.glob("*.jpg"))
    path = tmp_path_factory.mktemp("photograph") / "motorcycle.jpg"
    example = next(one for one in examples() if one.caption == "motorcycle")
    cv2.imwrite(str(path), example.read()[:, :, ::-1])
    return path


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A checkpoint and the config that stands alone, as training leaves them."""
    from explorer.config import load_config
    from explorer.engine.loading import load_or_random
    from explorer.zoo.checkpoints import save_safetensors
    from explorer.zoo.registry import get

    folder, model = tmp_path_factory.mktemp("cells"), "demo/V-19-slim-dw"
    (folder / "config.yaml").write_text(load_config(str(get(model).config)).dump())
    weights = load_or_random(model).model.state_dict()
    return [str(save_safetensors(weights, folder / "mine.safetensors")), str(folder / "config.yaml")]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two images as a zip archive."""
    folder = tmp_path_factory.mktemp("aerial")
    make_aerial(folder / "set", images=2, seed=3, workers=1)
    with zipfile.ZipFile(folder / "mine.zip", "w") as opened:
        for path in sorted((folder / "set").rglob("*")):
            if path.is_file() and path.suffix in {".json", ".jpg", ".png"}:
                opened.write(path, path.relative_to(folder))
    return folder / "mine.zip"


@pytest.fixture(scope="module")
def window(browser: Any, served: Served) -> Iterator[Any]:
    """A browser window of a module's tests, whose pages share a process that has the page's scripts compiled."""
    context = browser.new_context(accept_downloads=True)
    context.new_page().goto(f"{served.url}config")  # keeps the process; see CHROMIUM_FLAGS
    yield context
    context.close()


@contextmanager
def visits_to(served: Served, window: Any) -> Iterator[Callable[..., Visit]]:
    """Opens the page, forgotten by the browser at the end; nothing came from elsewhere then, and no script failed."""
    visits: list[Visit] = []

    def open_page(width: int = 1400, *, dark: bool = False) -> Visit:
        page = window.new_page()
        page.set_viewport_size({"width": width, "height": 1000})
        visits.append(Visit(page, served.url))
        visits[-1].arrive("dark" if dark else "light")
        return visits[-1]

    yield open_page
    for one in visits:
        one.page.close()
    window.clear_cookies()
    for one in visits:
        assert (one.elsewhere, one.errors) == ([], [])


@pytest.fixture
def visit(window: Any, served: Served) -> Iterator[Callable[..., Visit]]:
    """Opens the page; see `visits_to`."""
    with visits_to(served, window) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def airfield(window: Any, served: Served) -> Iterator[Visit]:
    """A page with the scene of an airfield compared: tests may zoom, and leave its photo, models and filters alone."""
    with visits_to(served, window) as open_page:
        page = open_page()
        page.example("airfield")
        yield page


LOOKS = {"light": (1400, False), "dark": (1400, True), "narrow": (420, False), "narrow-dark": (420, True)}
"""Width of the window in pixels, and whether the theme is dark."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests of `look` in all looks: in the one that their module names, and in the others among the slow ones.

    The ordinary suite has both themes and both widths all the same: they are shared out among the modules.
    """
    if "look" in metafunc.fixturenames:
        usual = metafunc.module.USUAL_LOOK
        params = [
            pytest.param(look, id=name, marks=[] if name == usual else pytest.mark.slow) for name, look in LOOKS.items()
        ]
        metafunc.parametrize("look", params, indirect=True, scope="module")


@pytest.fixture(scope="module")
def look(request: pytest.FixtureRequest, window: Any, served: Served) -> Iterator[Visit]:
    """One page for a module's tests, in both themes and at both widths; each test begins with what it needs."""
    width, dark = request.param
    with visits_to(served, window) as open_page:
        page = open_page(width, dark=dark)
        page.settle()
        yield page

"""A few drawn scenes, and results on them that tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

import explorer as ex
from explorer.api.result import Result

IMAGES = 4


@pytest.fixture(scope="session")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a data set of `IMAGES` scenes."""
    folder = tmp_path_factory.mktemp("surface") / "aerial"
    ex.make_aerial(folder, images=IMAGES, seed=5, size=(240, 320), workers=1)
    return folder


@pytest.fixture(scope="session")
def photo(aerial: Path) -> Path:
    return aerial / "val" / "000002.jpg"


@pytest.fixture(scope="session")
def detector() -> ex.Detector:
    return ex.load_detector("demo/V-19-slim-dw", engine="torch")


@pytest.fixture(scope="session")
def evaluation(detector: ex.Detector, aerial: Path) -> ex.Evaluation:
    return ex.evaluate(detector, aerial)


@pytest.fixture(scope="session")
def results(
    detector: ex.Detector,
    aerial: Path,
    photo: Path,
    evaluation: ex.Evaluation,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Result]:
    """One result of each function, by the function's name; training is tried where training is tested."""
    rival = ex.evaluate(ex.load_detector("demo/MobileNetV2", engine="torch"), aerial)
    with pytest.MonkeyPatch.context() as patched:  # measuring this machine's peak takes half a minute
        patched.setattr("explorer.engine.speed.benchmark.ceiling", lambda dtype, device: {"given": 1e11})
        patched.setattr("explorer.api.benchmark.peak_memory_mb", lambda *given: pytest.fail("it is loaded"))
        timed = ex.benchmark(detector, modes=["eager"], size=(96, 128), rounds=1, memory=True)
    return {
        "read_truth": ex.read_truth(aerial),
        "evaluate": evaluation,
        "pr_curves": evaluation.pr_curves(),
        "confusion": evaluation.confusion(),
        "compare": ex.compare(evaluation, rival, resamples=20),
        "autopsy": ex.autopsy(detector, aerial, resamples=20),
        "receptive_fields": ex.receptive_fields(detector, aerial, inputs=1, size=(96, 96)),
        "inspect_features": ex.inspect_features(detector, photo, ["p3"], out=tmp_path_factory.mktemp("layers")),
        "improve": ex.improve(detector, aerial, limit=1, resamples=20),
        "predict": ex.predict(detector, aerial / "val", tmp_path_factory.mktemp("found")),
        "benchmark": timed,
    }

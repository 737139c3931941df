"""A MongoDB of the tests' own, and a small data set with two runs to put into it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from explorer.doctor import check_database

HEIGHT, WIDTH = 240, 320
CLASSES = ("car", "plane", "ship")


@dataclass(frozen=True)
class Scene:
    """A data set in COCO's format on disk, and runs on it.

    Attributes:
        data: as `PATH:SPLIT`.
        runs: folders.
    """

    data: str
    runs: tuple[Path, ...]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment variables under which FiftyOne uses a database and folders of its own, never the user's."""
    check = check_database()
    if check.status != "ok":
        pytest.skip(f"MongoDB: {check.problem}")
    home = tmp_path_factory.mktemp("fiftyone")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (home / "db").mkdir()
    command = [mongod(), "--dbpath", home / "db", "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    with (home / "mongod.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            assert server.poll() is None, (home / "mongod.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield {
            "HOME": str(home),
            "FIFTYONE_DATABASE_URI": f"mongodb://127.0.0.1:{port}",
            "FIFTYONE_DATABASE_NAME": "tests",
            "FIFTYONE_PLUGINS_DIR": str(home / "plugins"),
            "FIFTYONE_DO_NOT_TRACK": "true",
            "FIFTYONE_SHOW_PROGRESS_BARS": "false",
        }
    finally:
        server.terminate()
        server.wait(30)


def mongod() -> Path:
    package = find_spec("fiftyone")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0], "db", "bin", "mongod")


@pytest.fixture(scope="session")
def fiftyone(database: dict[str, str]) -> ModuleType:
    """FiftyOne in this process, on the tests' database."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for variable, value in database.items():
            patch.setenv(variable, value)
        import fiftyone as module
        from fiftyone.core.config import load_config

        module.config = load_config()
        module.list_datasets()
    assert module.config.database_uri == database["FIFTYONE_DATABASE_URI"]
    return module


@pytest.fixture(scope="session")
def fiftyone_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """FiftyOne's code alone: its database is not to be asked for, and would be one that nobody answers for."""
    if "fiftyone" not in sys.modules:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setenv("HOME", str(tmp_path_factory.mktemp("nobody")))
            patch.setenv("FIFTYONE_DATABASE_URI", "mongodb://127.0.0.1:9")
            patch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
            return pytest.importorskip("fiftyone")
    return sys.modules["fiftyone"]


@pytest.fixture
def as_scene_run(scene: Scene) -> Callable[[str], Any]:
    """Reads one of the scene's runs by its name."""
    from explorer.scoring.runs import load_run

    return lambda name: load_run(next(run for run in scene.runs if run.name == name))


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="session")
def make() -> Callable[..., Scene]:
    return make_scene


def make_scene(folder: Path, *, images: int = 10, masks: bool = True, crowds: bool = True, seed: int = 0) -> Scene:
    """Writes photographs of coloured boxes with annotations, and two runs, one better than the other."""
    rng = np.random.default_rng(seed)
    (folder / "val").mkdir(parents=True)
    (folder / "annotations").mkdir()
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 2 * row + 1, "name": name} for row, name in enumerate(CLASSES)],
    }
    for number in range(images):
        image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        content["images"].append({"id": 3 * number + 5, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        for _ in range(rng.integers(0, 7)):
            w, h = np.exp(rng.uniform(np.log(8), np.log(130), 2))
            x, y = rng.uniform(0, WIDTH - w), rng.uniform(0, HEIGHT - h)
            kind = int(rng.integers(len(CLASSES)))
            color = [(60, 60, 220), (220, 180, 60), (80, 200, 80)][kind]
            cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), color, -1)
            annotation = {
                "id": len(content["annotations"]) + 100,
                "image_id": content["images"][-1]["id"],
                "category_id": 2 * kind + 1,
                "bbox": [float(x), float(y), float(w), float(h)],
                "area": float(w * h),
                "iscrowd": int(crowds and rng.random() < 0.12),
            }
            if masks:
                rle = mask_api.frPyObjects([[x, y, x + w, y, x + w, y + h, x, y + h]], HEIGHT, WIDTH)[0]
                annotation["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
            content["annotations"].append(annotation)
        cv2.imwrite(str(folder / "val" / f"{number}.png"), image)
    (folder / "annotations" / "instances_val.json").write_text(json.dumps(content))
    data = f"{folder}:val"
    runs = tuple(
        write_run(
            folder / name, name, data, content, found_in(content, seed=place, share=share, masks=masks and place > 0)
        )
        for place, (name, share) in enumerate([("better", 0.85), ("worse", 0.5)])
    )
    return Scene(data, runs)


def found_in(content: dict[str, Any], *, seed: int, share: float, masks: bool) -> list[dict[str, Any]]:
    """Detections on some of the objects, a few renamed or doubled, and some out of nowhere."""
    rng = np.random.default_rng(seed)
    results = []
    for annotation in content["annotations"]:
        if rng.random() < share:
            for _ in range(2 if rng.random() < 0.2 else 1):
                x, y, w, h = annotation["bbox"]
                moved = np.array([x, y, 0, 0]) + np.array([w, h, w, h]) * (
                    rng.normal(0, 0.08, 4) + np.array([0, 0, 1, 1])
                )
                category = annotation["category_id"] if rng.random() < 0.9 else 1
                results.append(found(annotation["image_id"], category, moved, float(rng.uniform(0.4, 1))))
    for image in content["images"]:
        for _ in range(3):
            box = np.array([rng.uniform(0, 250), rng.uniform(0, 180), *rng.uniform(10, 60, 2)])
            results.append(found(image["id"], int(rng.choice([1, 3, 5])), box, float(rng.uniform(0, 0.6))))
    return [result | {"segmentation": box_mask(result["bbox"])} for result in results] if masks else results


def box_mask(box: list[float]) -> dict[str, Any]:
    x, y, w, h = box
    rle = mask_api.frPyObjects([[x, y, x + w, y, x + w, y + h]], HEIGHT, WIDTH)[0]
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def found(image_id: int, category: int, box: np.ndarray, score: float) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category, "bbox": np.abs(box).tolist(), "score": score}


def write_run(folder: Path, name: str, data: str, content: dict[str, Any], results: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "coco_instances_results.json").write_text(json.dumps(results))
    (folder / "image_ids.json").write_text(json.dumps([image["id"] for image in content["images"]]))
    (folder / "run.json").write_text(json.dumps({"model": name, "data": data, "images": len(content["images"])}))
    return folder

"""FiftyOne's real database: it starts, keeps a sample, gives it back, and is gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explorer.doctor import check_database

STORE_AND_READ = """
import json
import fiftyone as fo

dataset = fo.Dataset("explorer-test-mongod")
box = fo.Detection(label="car", bounding_box=[0.1, 0.2, 0.3, 0.4], confidence=0.5)
dataset.add_sample(fo.Sample(filepath="/scene.png", found=fo.Detections(detections=[box])))
sample = dataset.view().match({"found.detections.label": "car"}).first()
stored = sample.found.detections[0]
print(json.dumps([sample.filepath, stored.label, stored.bounding_box, stored.confidence]))
fo.delete_dataset(dataset.name)
"""


def processes_naming(text: str) -> list[int]:
    """Lists the processes whose command line holds a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except OSError:
            continue  # it ended meanwhile
    return found


@pytest.mark.mongo
def test_a_sample_is_stored_and_read(tmp_path: Path) -> None:
    database = check_database()
    if database.status != "ok":
        pytest.skip(f"MongoDB: {database.problem}")
    if processes_naming("--51-service\0db"):
        pytest.skip("FiftyOne runs on this machine and would lend its database, which is not the tests'")
    own = {
        "HOME": str(tmp_path),
        "FIFTYONE_DATABASE_DIR": str(tmp_path / "database"),
        "FIFTYONE_DO_NOT_TRACK": "true",
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", STORE_AND_READ], env=os.environ | own, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["/scene.png", "car", [0.1, 0.2, 0.3, 0.4], 0.5]
    assert (tmp_path / "database" / "WiredTiger").is_file()

    deadline = time.monotonic() + 30
    while processes_naming(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not processes_naming(str(tmp_path))

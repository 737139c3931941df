"""Measures what stays in memory when many models are used one after the other: on the page, and by OpenVINO.

    python tools/memory.py page        # 30 models through the page's own cache; prints one line of JSON a model
    python tools/memory.py openvino    # the same models the fast way by OpenVINO, each let go of before the next

`tools/speed.py "many models"` runs both, each in a process of its own, and writes the results into its page. Weights
are random, which take as much memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pages import ROOT

from explorer.data.images import read_image
from explorer.engine.loading import load_detector
from explorer.engine.speed.costs import own_peak_mb
from explorer.types import Pixels
from explorer.ui.actions.models import Models, memory_mb
from explorer.ui.actions.opening import opening_photo
from explorer.ui.layout.page import build, few_arenas
from explorer.zoo.registry import entries

MODELS = 30
Row = dict[str, Any]


def configs(folder: Path) -> list[str]:
    """Writes configs without weights for the release's 24 detectors and six demo models; returns their files."""
    known = [entry for entry in entries() if entry.config]
    released = [entry for entry in known if "/" not in str(entry.config)]
    demos = [entry for entry in known if entry.name.startswith("demo/")]
    files = []
    for entry in (*demos[: MODELS - len(released)], *released):
        files.append(folder / f"{entry.name.replace('/', '-')}.yaml")
        base = ROOT / "configs" / str(entry.config)
        files[-1].write_text(f'_BASE_: "{base}"\nMODEL: {{WEIGHTS: ""}}\n')
    return [str(file) for file in files]


def resident_mb() -> float:
    """What this process holds in memory, in megabytes (10^6 bytes; Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def on_the_page(files: list[str], photo: Pixels) -> Iterator[Row]:
    """Each model detects for the tabs that compare and for the tab of errors, as on a served page."""
    few_arenas()
    build(files)  # for the memory of all that a page is made of; it loads no model
    long = Models(extra=files, lowest_score=None, warm=False)
    short = Models(beside=long)
    for file in files:
        for models in (short, long):
            models.get(file).detect(photo)
        held = sum(memory_mb(long.get(name)) for name in long.loaded)
        yield {"model": Path(file).stem, "models_kept": len(long.loaded), "kept_mb": held}


def by_openvino(files: list[str], photo: Pixels) -> Iterator[Row]:
    """Each model is made ready by OpenVINO, detects, and is let go of."""
    for file in files:
        detector = load_detector(file, device="cpu", engine="openvino")
        detector.detect(photo)
        row = {"model": Path(file).stem, "weights_mb": memory_mb(detector) / 2, "used_mb": resident_mb()}
        del detector
        gc.collect()
        yield row


WAYS: dict[str, Callable[[list[str], Pixels], Iterator[Row]]] = {"page": on_the_page, "openvino": by_openvino}


def many_models() -> dict[str, list[Row]]:
    """Runs each way in a process of its own; returns its rows."""
    found = {}
    for way in WAYS:
        command = [sys.executable, "-W", "ignore", __file__, way]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[way] = [json.loads(line) for line in done.stdout.splitlines()]
    return found


def main() -> None:
    """Runs one way and prints its rows."""
    parser = argparse.ArgumentParser(description="Measure the memory of many models used one after the other.")
    parser.add_argument("way", choices=WAYS)
    with tempfile.TemporaryDirectory() as folder:
        photo = read_image(opening_photo(Path(folder)))
        for row in WAYS[parser.parse_args().way](configs(Path(folder)), photo):
            row |= {"resident_mb": resident_mb(), "peak_mb": own_peak_mb()}
            print(json.dumps({key: round(said, 1) if isinstance(said, float) else said for key, said in row.items()}))


if __name__ == "__main__":
    main()

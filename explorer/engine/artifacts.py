"""Where a result comes from: the date, the code, the versions and the machine that made it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from explorer.processor import processor_name

PACKAGES = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "detectron2": ("detectron2", "sal-detectron2"),  # the second is the index's build of the first
    "pycocotools": ("pycocotools",),
    "numpy": ("numpy",),
    "pillow": ("pillow",),
}
"""The packages that decide a result, and the names under which they may be installed."""


def provenance() -> dict[str, Any]:
    """Says when and with what a result is made: UTC date, code, versions, system, processor, threads, GPU if any.

    What was made without torch has neither threads nor a GPU; torch is not imported for it.
    """
    torch = sys.modules.get("torch")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"vovnet-explorer": version("vovnet-explorer"), "python": platform.python_version()}
        | {package: _installed(names) for package, names in PACKAGES.items()},
        "code": code_facts(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor_name(),
            "threads": torch.get_num_threads() if torch else None,
        },
        "gpu": _gpu(torch) if torch else None,
    }


def _gpu(torch: Any) -> str | None:
    try:
        return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
    except RuntimeError:  # it fails, and did not make this
        return None


@cache
def code_facts() -> dict[str, Any] | None:
    """Returns the commit that this package runs at, and whether files differ from it; None outside a git checkout."""
    root, program = Path(__file__).resolve().parents[2], shutil.which("git")
    if program is None or not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        command = [program, "-C", str(root), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):  # git does not trust the folder
        return None


def _installed(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None

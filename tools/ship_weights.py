"""Turns a training run's checkpoint into the half-precision file that the package carries.

python tools/ship_weights.py output/run/model_final.pth V-19-slim-dw --note "aerial seed 1, 900 iterations"
"""

from __future__ import annotations

import argparse
from pathlib import Path

from explorer.zoo.checkpoints import read_checkpoint, save_safetensors

LARGEST_MB = 8
FOLDER = Path(__file__).resolve().parents[1] / "explorer" / "zoo" / "weights"


def ship(checkpoint: Path, name: str, note: str) -> Path:
    """Writes `explorer/zoo/weights/<name>.safetensors` and returns its path.

    Raises:
        ValueError: the checkpoint cannot be read, or the file would be larger than the repository takes.
    """
    path = FOLDER / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_safetensors(read_checkpoint(checkpoint), path, {"training": note})
    size_mb = path.stat().st_size / 1e6
    if size_mb > LARGEST_MB:
        path.unlink()
        raise ValueError(f"{path.name} would have {size_mb:.1f} MB; at most {LARGEST_MB} MB fit into the repository.")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name")
    parser.add_argument("--note", required=True, help="how the weights were trained; kept in the file")
    arguments = parser.parse_args()
    print(ship(arguments.checkpoint, arguments.name, arguments.note))

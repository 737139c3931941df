"""Trains or evaluates a detector, with the arguments of detectron2's own `tools/train_net.py`.

Examples:
    python train_net.py --config-file configs/faster_rcnn_V_39_FPN_3x.yaml --num-gpus 8
    python train_net.py --config-file configs/faster_rcnn_V_39_FPN_3x.yaml --eval-only MODEL.WEIGHTS model.pth
    torchrun --nproc-per-node 8 train_net.py --config-file configs/faster_rcnn_V_39_FPN_3x.yaml
"""

from __future__ import annotations

import sys

from explorer.engine.devices import DeviceError
from explorer.engine.training.command import main, parse_arguments
from explorer.text import legible_lines
from explorer.zoo.downloads import DownloadError

if __name__ == "__main__":
    try:
        main(parse_arguments())
    except (ValueError, DownloadError, DeviceError, FloatingPointError, OSError) as error:
        sys.stderr.write(f"{legible_lines(error)}\n")
        sys.exit(2 if isinstance(error, ValueError) else 1)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)

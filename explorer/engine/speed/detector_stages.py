"""Where a detector's time goes, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image

from explorer.data.images import read_image, swap_channels
from explorer.engine.detector import Detector
from explorer.engine.devices import seconds_now
from explorer.engine.speed.modes import as_input, parts_of
from explorer.types import Pixels

_STAGES = {
    "backbone.bottom_up": "backbone",
    "backbone": "FPN",
    "head": "dense head",
    "proposal_generator.rpn_head": "RPN head",
    "proposal_generator.fcos_head": "dense head",
    "proposal_generator": "proposals",
    "sem_seg_head": "semantic head",
    "roi_heads.box_pooler": "box pooling",
    "roi_heads.box_head": "box head",
    "roi_heads.mask_pooler": "mask pooling",
    "roi_heads.mask_head": "mask head",
    "roi_heads.maskiou_head": "mask scoring",
    "roi_heads": "box choice",
}
"""Parts of a detector and what they are called; a part's time is without that of the parts inside it."""


def stage_seconds(detector: Detector, image_bgr: Pixels, *, batch: int = 1, rounds: int = 3) -> dict[str, float]:
    """Times the stages of a detector on `batch` times the same photo, medians over rounds after a first one.

    Reading is that of the photos as JPEG files. The fast way runs backbone, FPN and dense heads at once, as `trunk`.
    """
    file = BytesIO()
    Image.fromarray(swap_channels(image_bgr)).save(file, "JPEG", quality=92)
    clock = partial(seconds_now, detector.device)
    found: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        start = clock()
        for _ in range(batch):
            file.seek(0)
            read_image(file)
        read = clock()
        inputs = [as_input(image_bgr, detector) for _ in range(batch)]
        prepared = clock()
        with _clocked(detector, clock) as own, torch.no_grad():
            detector.runner(inputs)
            whole = clock() - prepared
        spent = {"decode": read - start, "preprocess": prepared - read, **own}
        spent["rest"] = whole - sum(own.values())
        if turn:
            for name, seconds in spent.items():
                found.setdefault(name, []).append(seconds)
    return {name: float(np.median(values)) for name, values in found.items()}


@contextmanager
def _clocked(detector: Detector, clock: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Yields seconds by stage of what runs inside the block, each without what runs inside it."""
    spent: dict[str, float] = {}
    running: list[list[float]] = []
    quick = detector.fast is not None

    def start(*_: object) -> None:
        running.append([clock(), 0.0])

    def stop(name: str) -> None:
        began, inside = running.pop()
        took = clock() - began
        spent[name] = spent.get(name, 0.0) + took - inside
        if running:
            running[-1][1] += took

    parts = parts_of(detector)
    handles = []
    for path, name in _STAGES.items():
        if path in parts:
            label = "trunk" if quick and path == "backbone" else name
            handles.append(parts[path].register_forward_pre_hook(start))
            handles.append(parts[path].register_forward_hook(lambda *_, label=label: stop(label)))
    try:
        yield spent
    finally:
        for handle in handles:
            handle.remove()

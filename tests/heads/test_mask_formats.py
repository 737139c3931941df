"""CenterMask learns the same from polygons, run-length codes and bitmasks, whichever form a data set has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_roi_heads
from detectron2.structures import BitMasks, Boxes, ImageList, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from PIL import Image
from pycocotools import mask as mask_api

from explorer.config import load_config
from explorer.data.coco import register_coco
from explorer.data.mapper import CocoMapper
from explorer.heads.mask_head import mask_targets
from explorer.heads.maskiou_head import maskiou_targets

HEIGHT, WIDTH = 128, 160
RECTANGLE = (20, 30, 56, 42)
"""x, y, width, height."""
PROPOSALS = torch.tensor([[20.0, 30, 76, 72], [6, 16, 62, 72], [48, 2, 104, 58]])
"""The whole object, and two parts of it, in cells of whole pixels."""


def _polygon() -> list[list[int]]:
    x, y, w, h = RECTANGLE
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def _pixels() -> np.ndarray:
    x, y, w, h = RECTANGLE
    pixels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    pixels[y : y + h, x : x + w] = 1
    return pixels


def _run_lengths() -> dict[str, Any]:
    rle = mask_api.encode(np.asfortranarray(_pixels()))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def _plain_run_lengths() -> dict[str, Any]:
    flat = _pixels().ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(edges, prepend=0, append=len(flat)).tolist()}


FORMS: dict[str, tuple[Callable[[], Any], str, type]] = {
    "polygons": (_polygon, "polygon", PolygonMasks),
    "run-length codes": (_run_lengths, "polygon", BitMasks),
    "uncompressed run lengths": (_plain_run_lengths, "polygon", BitMasks),
    "bitmasks": (_polygon, "bitmask", BitMasks),
}


@pytest.fixture
def instances_of(tmp_path: Path) -> Callable[[str], Instances]:
    """What the heads are given of a data set of one image and one object, in one of the forms."""

    def read(form: str) -> Instances:
        make, mask_format, _ = FORMS[form]
        folder = tmp_path / form.replace(" ", "-")
        (folder / "train").mkdir(parents=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "train/1.png")
        content = {
            "images": [{"id": 1, "file_name": "1.png", "height": HEIGHT, "width": WIDTH}],
            "categories": [{"id": 1, "name": "box"}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": list(RECTANGLE)}
                | {"area": RECTANGLE[2] * RECTANGLE[3], "segmentation": make()}
            ],
        }
        (folder / "annotations").mkdir()
        (folder / "annotations/instances_train.json").write_text(json.dumps(content))
        keys = ["INPUT.MASK_FORMAT", mask_format, "INPUT.MIN_SIZE_TRAIN", f"({HEIGHT},)", "INPUT.RANDOM_FLIP", "none"]
        mapper = CocoMapper(load_config("centermask_V_39_eSE_FPN_ms_3x", keys), is_train=True)
        mapped = mapper(DatasetCatalog.get(register_coco(f"{folder}:train"))[0])
        assert mapped is not None
        instances: Instances = mapped["instances"]
        return instances

    return read


def _learning(instances: Instances) -> Instances:
    """Every proposal has the object as its own."""
    one = Instances((HEIGHT, WIDTH))
    one.proposal_boxes = Boxes(PROPOSALS)
    one.gt_classes, one.gt_masks = torch.zeros(3, dtype=torch.int64), instances.gt_masks[[0, 0, 0]]
    return one


@pytest.mark.parametrize("form", FORMS)
def test_targets_are_those_of_the_rectangle(form: str, instances_of: Callable[[str], Instances]) -> None:
    instances = instances_of(form)
    assert isinstance(instances.gt_masks, FORMS[form][2])
    one, x, y = _learning(instances), RECTANGLE[0], RECTANGLE[1]
    wanted = mask_targets([one], 28)
    for cells, (x1, y1, x2, y2) in zip(wanted, PROPOSALS.tolist(), strict=True):
        columns = torch.arange(28) * (x2 - x1) / 28 + (x2 - x1) / 56 + x1
        rows = torch.arange(28) * (y2 - y1) / 28 + (y2 - y1) / 56 + y1
        within = ((columns > x) & (columns < x + RECTANGLE[2])) & ((rows > y) & (rows < y + RECTANGLE[3]))[:, None]
        assert torch.equal(cells, within)
    logits = torch.where(wanted, 1.0, -1.0)
    logits[:, :14] = 1.0  # the upper half is covered wholly
    masks = logits > 0
    area = float(np.prod(RECTANGLE[2:]))
    for iou, cells, own, (x1, y1, x2, y2) in zip(
        maskiou_targets(logits, wanted, [one]), wanted, masks, PROPOSALS.tolist(), strict=True
    ):
        cell = (x2 - x1) * (y2 - y1) / 28**2
        overlap = (cells & own).sum() * cell
        assert iou == pytest.approx(float(overlap / (own.sum() * cell + area - overlap)), rel=0.02)


def test_all_forms_have_the_same_targets(instances_of: Callable[[str], Instances]) -> None:
    read = [_learning(instances_of(form)) for form in FORMS]
    targets = [mask_targets([one], 28) for one in read]
    logits = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(0))
    ious = [maskiou_targets(logits, wanted, [one]) for wanted, one in zip(targets, read, strict=True)]
    for wanted, iou in zip(targets[1:], ious[1:], strict=True):
        assert torch.equal(wanted, targets[0])
        torch.testing.assert_close(iou, ious[0], rtol=1e-5, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_trained_on(form: str, instances_of: Callable[[str], Instances]) -> None:
    keys = ["MODEL.ROI_MASK_HEAD.CONV_DIM", "8", "MODEL.ROI_MASKIOU_HEAD.CONV_DIM", "8", "MODEL.ROI_HEADS.NUM_CLASSES"]
    cfg = load_config("centermask_lite_V_39_eSE_FPN_ms_4x", [*keys, "1", "MODEL.FCOS.NUM_CLASSES", "1"])
    torch.manual_seed(0)
    shapes = {f"p{level}": ShapeSpec(channels=8, stride=2**level) for level in (3, 4, 5)}
    heads = build_roi_heads(cfg, shapes)
    features = {name: torch.randn(1, 8, HEIGHT // one.stride, WIDTH // one.stride) for name, one in shapes.items()}
    proposals = Instances((HEIGHT, WIDTH))
    proposals.proposal_boxes, proposals.objectness_logits = Boxes(PROPOSALS), torch.ones(3)
    images = ImageList(torch.zeros(1, 3, HEIGHT, WIDTH), [(HEIGHT, WIDTH)])
    with EventStorage():
        _, losses = heads(images, features, [proposals], [instances_of(form)])
    assert losses["loss_mask"] > 0
    assert losses["loss_maskiou"] > 0
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in heads.parameters())

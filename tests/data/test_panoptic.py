"""Panoptic labels: with instances and without, they become what Panoptic FPN learns from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from PIL import Image

from explorer.data.aerial import make_aerial
from explorer.data.check import check_coco
from explorer.data.coco import class_names, register_coco
from explorer.data.fit import check_fit, fit_classes
from explorer.data.images import ImageError
from explorer.data.mapper import CocoMapper
from explorer.data.panoptic import read_classes, read_labels

Tiny = Any


def panoptic_fpn(name: str) -> CfgNode:
    """A Panoptic FPN of hardly any width."""
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "PanopticFPN"
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.MASK_ON = True
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    cfg.MODEL.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 1
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 16
    cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
    cfg.MODEL.ROI_MASK_HEAD.NAME = "MaskRCNNConvUpsampleHead"
    cfg.MODEL.ROI_MASK_HEAD.NUM_CONV = 1
    cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = 16
    cfg.MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
    cfg.INPUT.MIN_SIZE_TRAIN = (64,)
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.DATASETS.TRAIN = (name,)
    fit_classes(cfg, name)
    check_fit(cfg, [name], train=True)
    return cfg


def test_panoptic_labels_alone(tiny_panoptic: Tiny) -> None:
    assert check_coco(tiny_panoptic.root, full=True).splits[0].counts == {}
    name = register_coco(str(tiny_panoptic.root))
    metadata = MetadataCatalog.get(name)
    assert class_names(name) == ("box", "cup")
    assert metadata.stuff_classes == ["things", "sky"]
    assert metadata.stuff_dataset_id_to_contiguous_id == {20: 1, 0: 0}
    assert metadata.evaluator_type == "coco_panoptic_seg"
    assert metadata.get("json_file") is None
    record = DatasetCatalog.get(name)[0]
    assert [annotation["bbox"] for annotation in record["annotations"]] == [[5, 10, 20, 15], [35, 10, 20, 15]]
    assert [(s["id"], s["isthing"], s["category_id"]) for s in record["segments_info"]] == [
        (70_001, False, 1),
        (10, True, 0),
        (11, True, 1),
    ]


def test_ids_of_images_and_categories_are_of_any_kind(tiny_panoptic: Tiny) -> None:
    tiny_panoptic.rename(["x", 2**70, -7])
    assert check_coco(tiny_panoptic.root, full=True).splits[0].counts == {}
    metadata = MetadataCatalog.get(name := register_coco(str(tiny_panoptic.root)))
    assert metadata.thing_dataset_id_to_contiguous_id == {2**70: 0, "x": 1}
    assert metadata.stuff_dataset_id_to_contiguous_id == {-7: 1, -8: 0}
    assert [record["image_id"] for record in DatasetCatalog.get(name)] == [-7, 2**70, "x"]


@pytest.mark.parametrize("own", [0, -1, 256**3, 2**70, "1", 7.0])
def test_segment_ids_are_what_a_png_can_hold(tiny_panoptic: Tiny, own: Any) -> None:
    tiny_panoptic.data["annotations"][0]["segments_info"][0]["id"] = own
    tiny_panoptic.save()
    (problem,) = (found for found in check_coco(tiny_panoptic.root).splits[0].problems if found.kind == "structure")
    assert "id must be 1 to 16777215, a colour" in problem.what
    with pytest.raises(ValueError, match="structure"):
        DatasetCatalog.get(register_coco(str(tiny_panoptic.root)))


def test_masks_and_semantic_map_come_from_the_label_image(tiny_panoptic: Tiny) -> None:
    name = register_coco(tiny_panoptic.source)
    cfg = panoptic_fpn(name)
    cfg.INPUT.MIN_SIZE_TRAIN = (40,)
    sample = CocoMapper(cfg, is_train=True)(DatasetCatalog.get(name)[0])
    assert sample is not None
    labels = read_labels(tiny_panoptic.root / "panoptic_train/1.png")
    assert np.array_equal(sample["instances"].gt_masks.tensor.numpy(), [labels == 10, labels == 11])
    semantic = sample["sem_seg"].numpy()
    assert (semantic[:4] == 255).all()
    assert np.array_equal(semantic == 0, labels // 10 == 1)
    assert (semantic[labels == 70_001] == 1).all()


def test_panoptic_fpn_trains_on_labels_alone(shared: Path, tiny_panoptic: Tiny) -> None:
    torch.manual_seed(0)
    for source in (f"{shared}/data/coco-panoptic-mini", tiny_panoptic.source):
        cfg = panoptic_fpn(register_coco(source))
        model = build_model(cfg).train()
        batch = next(iter(build_detection_train_loader(cfg, mapper=CocoMapper(cfg, is_train=True))))
        with EventStorage():
            losses = model(batch)
        assert {"loss_sem_seg", "loss_mask", "loss_cls"} <= set(losses)
        assert all(torch.isfinite(loss) for loss in losses.values())


def test_reference_panoptic_data_maps_like_detectron2(shared: Path) -> None:
    name = register_coco(f"{shared}/data/coco-panoptic-mini")
    ours, theirs = MetadataCatalog.get(name), MetadataCatalog.get("coco_2017_val_panoptic_separated")
    assert ours.thing_dataset_id_to_contiguous_id == theirs.thing_dataset_id_to_contiguous_id
    assert ours.stuff_dataset_id_to_contiguous_id == theirs.stuff_dataset_id_to_contiguous_id
    assert ours.thing_classes == theirs.thing_classes
    assert len(ours.stuff_classes) == len(theirs.stuff_classes) == 54
    assert len(DatasetCatalog.get(name)) == 20
    check_fit(_coco_panoptic(), [name])


def _coco_panoptic() -> CfgNode:
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "PanopticFPN"
    return cfg


@pytest.fixture(scope="module")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aerial")
    make_aerial(out, images=2, seed=5, size=(128, 160), workers=1)
    return out


def test_aerial_sets_have_instances_and_panoptic_labels(aerial: Path) -> None:
    report = check_coco(aerial, full=True)
    assert report.ok
    assert set(report.splits[0].counts) <= {"crowd", "box-over-edge", "empty-image"}
    name = register_coco(str(aerial))
    cfg = panoptic_fpn(name)
    cfg.INPUT.MIN_SIZE_TRAIN = (128,)
    for record in DatasetCatalog.get(name):
        sample = CocoMapper(cfg, is_train=True)(record)
        assert sample is not None
        assert np.array_equal(sample["sem_seg"].numpy(), np.asarray(Image.open(record["sem_seg_file_name"])))
        assert sample["instances"].has("gt_masks") or not len(sample["instances"])


def test_box_models_read_no_panoptic_labels(aerial: Path) -> None:
    name = register_coco(str(aerial))
    record = {**DatasetCatalog.get(name)[0], "pan_seg_file_name": "nowhere.png", "sem_seg_file_name": "nowhere.png"}
    sample = CocoMapper(get_cfg(), is_train=True)(record)
    assert sample is not None
    assert "sem_seg" not in sample


def test_labels_of_other_images_are_left_out(aerial: Path, tmp_path: Path) -> None:
    for name in ("val", "panoptic_val", "panoptic_stuff_val"):
        (tmp_path / name).symlink_to(aerial / name)
    (tmp_path / "annotations").mkdir()
    for kind in ("instances", "panoptic"):
        data = json.loads((aerial / f"annotations/{kind}_val.json").read_text())
        if kind == "panoptic":
            data["annotations"] = data["annotations"][:1]
        (tmp_path / f"annotations/{kind}_val.json").write_text(json.dumps(data))
    assert "other-images" in check_coco(tmp_path).splits[0].counts
    metadata = MetadataCatalog.get(register_coco(str(tmp_path)))
    assert metadata.evaluator_type == "coco"
    alone = register_coco(f"{tmp_path}/annotations/panoptic_val.json")
    assert len(DatasetCatalog.get(alone)) == 1
    assert MetadataCatalog.get(alone).panoptic_root == str(tmp_path / "panoptic_val")


def break_record(**fields: Any) -> Any:
    return lambda tiny: tiny.data["annotations"][0].update(fields)


def break_segment(**fields: Any) -> Any:
    return lambda tiny: tiny.data["annotations"][0]["segments_info"][1].update(fields)


def label_file(tiny: Tiny) -> Path:
    path: Path = tiny.root / "panoptic_train" / "1.png"
    return path


@pytest.mark.parametrize(
    ("kind", "breaks", "stops"),
    [
        ("structure", break_record(segments_info=None), True),
        ("structure", break_segment(id=None), True),
        ("structure", lambda tiny: tiny.data["annotations"].append(tiny.data["annotations"][0]), True),
        ("duplicate-annotation-id", break_segment(id=11), True),
        ("unknown-category", break_segment(category_id=99), True),
        ("missing-image", lambda tiny: label_file(tiny).unlink(), True),
        ("unreadable-image", lambda tiny: label_file(tiny).write_bytes(b"no"), True),
        ("wrong-size", lambda tiny: Image.new("RGB", (3, 4)).save(label_file(tiny)), True),
        ("empty-dataset", lambda tiny: tiny.data["annotations"].clear(), True),
        ("label-mismatch", break_segment(id=12), False),
        ("zero-area", break_segment(bbox=[5, 5, 0, 5]), False),
        ("crowd", break_segment(iscrowd=1), False),
        ("empty-image", lambda tiny: tiny.data["annotations"].pop(), False),
        ("unknown-image", break_record(image_id=77), False),
        ("damaged-image", lambda tiny: label_file(tiny).write_bytes(label_file(tiny).read_bytes()[:-60]), False),
    ],
)
def test_broken_panoptic_labels(tiny_panoptic: Tiny, kind: str, breaks: Any, stops: bool) -> None:
    breaks(tiny_panoptic)
    tiny_panoptic.save()
    (split,) = check_coco(tiny_panoptic.root, full=True).splits
    assert kind in split.counts
    assert split.ok is not stops
    if stops:
        with pytest.raises(ValueError, match=kind):
            DatasetCatalog.get(register_coco(tiny_panoptic.source))
        return
    cfg = panoptic_fpn(register_coco(tiny_panoptic.source))
    mapper = CocoMapper(cfg, is_train=True)
    samples = [mapper(record) for record in DatasetCatalog.get(cfg.DATASETS.TRAIN[0])]
    assert sum(sample is None for sample in samples) == (kind == "damaged-image")


def test_image_formats_of_the_model(tiny_panoptic: Tiny) -> None:
    name = register_coco(tiny_panoptic.source)
    cfg, record = panoptic_fpn(name), DatasetCatalog.get(name)[0]
    bgr = CocoMapper(cfg, is_train=True, augmentations=[])(record)
    cfg.INPUT.FORMAT = "RGB"
    rgb = CocoMapper(cfg, is_train=True, augmentations=[])(record)
    assert bgr is not None
    assert rgb is not None
    assert torch.equal(bgr["image"], rgb["image"].flip(0))
    cfg.INPUT.FORMAT = "L"
    with pytest.raises(ValueError, match=r"INPUT.FORMAT is 'L'; allowed are BGR, RGB"):
        CocoMapper(cfg, is_train=True)


def test_evaluation_needs_another_mapper(tiny_panoptic: Tiny) -> None:
    with pytest.raises(ValueError, match="evaluation reads with ReadForTest"):
        CocoMapper(panoptic_fpn(register_coco(tiny_panoptic.source)), is_train=False)


def test_an_image_without_any_semantic_label_is_skipped(tiny_panoptic: Tiny) -> None:
    name = register_coco(tiny_panoptic.source)
    Image.new("RGB", (60, 40)).save(label_file(tiny_panoptic))
    mapper = CocoMapper(panoptic_fpn(name), is_train=True)
    assert mapper(DatasetCatalog.get(name)[0]) is None


def test_semantic_labels_are_grey_values_or_indices_of_a_palette(tmp_path: Path) -> None:
    classes = np.array([[0, 1, 2], [255, 54, 3]], np.uint8)
    grey, palette = Image.fromarray(classes), Image.fromarray(classes).copy()
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    for image, mode in ((grey, "L"), (palette, "P")):
        assert image.mode == mode
        image.save(tmp_path / f"{mode}.png")
        np.testing.assert_array_equal(read_classes(tmp_path / f"{mode}.png"), classes)
    grey.convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(
        ImageError, match=r"colours\.png: no semantic label image \(its mode is RGB, which must be L or P\)"
    ):
        read_classes(tmp_path / "colours.png")


@pytest.mark.parametrize("read", [read_classes, read_labels])
def test_label_images_of_other_kinds_and_sizes_are_refused(read: Any, tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "x.png", "BMP")
    with pytest.raises(ImageError, match=r"x\.png: no \w+ label image"):
        read(tmp_path / "x.png")
    Image.new("1", (9_000, 9_000)).save(tmp_path / "large.png")
    with pytest.raises(ImageError, match="9000 x 9000 px; at most 64,000,000 are read"):
        read(tmp_path / "large.png")

"""Registration: any COCO folder becomes the data set that detectron2 itself would have made of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.coco import load_coco_json

from explorer.data.coco import class_names, list_splits, num_classes, register_coco
from explorer.data.fit import check_fit, fit_classes

Tiny = Any


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_same_records_as_detectron2(shared: Path, split: str) -> None:
    root = (shared / "data/coco-tiny").resolve()
    name = register_coco(f"{root}:{split}")
    ours = DatasetCatalog.get(name)
    theirs = load_coco_json(str(root / f"annotations/instances_{split}.json"), str(root / split), f"ref_coco_{split}")
    assert ours == theirs
    reference, metadata = MetadataCatalog.get(f"ref_coco_{split}"), MetadataCatalog.get(name)
    assert metadata.thing_classes == reference.thing_classes
    assert metadata.thing_dataset_id_to_contiguous_id == reference.thing_dataset_id_to_contiguous_id
    assert metadata.thing_classes == MetadataCatalog.get("coco_2017_val").thing_classes
    assert metadata.evaluator_type == "coco"
    assert (num_classes(name), class_names(name)[79]) == (80, "toothbrush")


def test_bccd(shared: Path) -> None:
    name = register_coco(f"{shared}/data/bccd:val")
    records = DatasetCatalog.get(name)
    assert class_names(name) == ("RBC", "WBC", "Platelets")
    assert (len(records), sum(len(record["annotations"]) for record in records)) == (87, 1137)
    assert all(Path(record["file_name"]).is_file() for record in records)
    assert MetadataCatalog.get(name).has_masks is False
    assert "val" in list_splits(shared / "data/bccd")


def test_a_name_registers_itself(tiny_coco: Tiny) -> None:
    name = register_coco(str(tiny_coco.root))
    assert name == tiny_coco.source
    assert register_coco(name) == name


def test_gaps_in_category_ids_and_their_order(tiny_coco: Tiny) -> None:
    name = register_coco(tiny_coco.source)
    assert class_names(name) == ("box", "cup")
    assert MetadataCatalog.get(name).thing_dataset_id_to_contiguous_id == {3: 0, 7: 1}
    assert [annotation["category_id"] for annotation in DatasetCatalog.get(name)[0]["annotations"]] == [0, 1]


def test_a_changed_file_is_registered_anew(tiny_coco: Tiny) -> None:
    name = register_coco(tiny_coco.source)
    tiny_coco.data["categories"].append({"id": 9, "name": "fork"})
    tiny_coco.save()
    assert register_coco(tiny_coco.source) == name
    assert class_names(name) == ("box", "cup", "fork")


def test_loading_leaves_nothing_of_the_last_load(tiny_coco: Tiny) -> None:
    name = register_coco(tiny_coco.source)
    DatasetCatalog.get(name)[0]["annotations"].clear()
    assert len(DatasetCatalog.get(name)[0]["annotations"]) == 2


def test_errors_name_the_first_five_and_the_command(tiny_coco: Tiny) -> None:
    for annotation in tiny_coco.data["annotations"]:
        annotation["category_id"] = 5
    tiny_coco.save()
    with pytest.raises(ValueError, match=r"(?s)(unknown-category.*){5}and 2 more\nAll of it: explorer data check "):
        DatasetCatalog.get(register_coco(tiny_coco.source))


def test_a_built_in_name_without_its_files() -> None:
    with pytest.raises(ValueError, match=r"instances_val2017\.json.*DETECTRON2_DATASETS"):
        register_coco("coco_2017_val")


def test_a_built_in_name_under_the_datasets_folder(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "coco").symlink_to((shared / "data/coco-tiny").resolve())
    code = (
        "from explorer.data.coco import register_coco; from detectron2.data import DatasetCatalog;"
        "[print(len(DatasetCatalog.get(register_coco(name)))) for name in ('coco_2017_val', 'coco:val2017')]"
    )
    environment = {**os.environ, "DETECTRON2_DATASETS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["50", "50"]


def test_classes_are_fitted_and_checked(tiny_coco: Tiny) -> None:
    name, cfg = register_coco(tiny_coco.source), get_cfg()
    with pytest.raises(ValueError, match=r"has 2 classes \(box, cup\), the model is for 80.*ROI_HEADS.NUM_CLASSES 2"):
        check_fit(cfg, [name])
    fit_classes(cfg, name)
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 2
    check_fit(cfg, [name])
    cfg.MODEL.META_ARCHITECTURE = "RetinaNet"
    fit_classes(cfg, name)
    assert cfg.MODEL.RETINANET.NUM_CLASSES == 2
    check_fit(cfg, [name], train=True)
    cfg.MODEL.META_ARCHITECTURE = "PanopticFPN"
    with pytest.raises(ValueError, match="no panoptic labels"):
        check_fit(cfg, [name])


def test_coco_models_fit_the_small_coco(shared: Path) -> None:
    check_fit(get_cfg(), [register_coco(f"{shared}/data/coco-tiny:val2017")])


def test_mask_training_without_masks(tiny_coco: Tiny) -> None:
    for annotation in tiny_coco.data["annotations"]:
        del annotation["segmentation"]
    tiny_coco.save()
    name, cfg = register_coco(tiny_coco.source), get_cfg()
    fit_classes(cfg, name)
    cfg.MODEL.MASK_ON = True
    check_fit(cfg, [name])
    with pytest.raises(ValueError, match=r"no masks.*MODEL.MASK_ON False"):
        check_fit(cfg, [name], train=True)


def test_data_sets_with_different_classes(tiny_coco: Tiny, shared: Path) -> None:
    names = [register_coco(tiny_coco.source), register_coco(f"{shared}/data/bccd:val")]
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "Unknown"  # whose number of classes is not known
    with pytest.raises(ValueError, match="different classes"):
        check_fit(cfg, names)

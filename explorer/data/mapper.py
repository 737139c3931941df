"""From a data set's record to what a detectron2 model takes: the image read safely, labels that fit every mask format.

Beyond detectron2's own mapper, it reads images as `read_image` does, takes polygons and run-length codes in one data
set, derives Panoptic FPN's labels from panoptic PNGs, and skips an image whose data turn out damaged.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from detectron2.config import configurable
from detectron2.data import detection_utils
from detectron2.data import transforms as T
from detectron2.data.dataset_mapper import DatasetMapper
from detectron2.structures import BoxMode
from pycocotools import mask as mask_api

from explorer.data.augment import CropAroundObject, OtherCamera, RandomTranspose
from explorer.data.images import ImageError, read_image, swap_channels
from explorer.data.panoptic import IGNORE, read_classes, read_labels, semantic_map
from explorer.text import logger_of
from explorer.types import Floats, Pixels

FORMATS = ("BGR", "RGB")
TOO_MANY_SKIPPED = 10
"""From so many damaged images on, training stops when they outnumber the sound ones."""

_SEMANTIC_MODELS = ("PanopticFPN", "SemanticSegmentor")

logger = logger_of(__name__)


class CocoMapper(DatasetMapper):
    """Maps dataset dicts of `load_coco` (and of detectron2's own data sets) to a model's training inputs.

    An image that cannot be decoded is reported once and skipped: the mapper returns None, upon which the loader takes
    another image. Evaluation must not skip any and reads images with
    `explorer.engine.evaluation.evaluate.ReadForTest`.
    """

    @configurable
    def __init__(self, is_train: bool, *, use_semantic: bool = False, **kwargs: Any) -> None:
        super().__init__(is_train, **kwargs)
        if self.image_format not in FORMATS:
            raise ValueError(f"INPUT.FORMAT is {self.image_format!r}; allowed are {', '.join(FORMATS)}")
        if not is_train:
            raise ValueError("CocoMapper maps for training only; evaluation reads with ReadForTest")
        self.use_semantic = use_semantic
        self._skipped: set[str] = set()
        self._mapped = 0

    @classmethod
    def from_config(cls, cfg: Any, is_train: bool = True) -> dict[str, Any]:
        settings: dict[str, Any] = super().from_config(cfg, is_train)
        if cfg.INPUT.CROP.get("AROUND_OBJECT", False):  # detectron2's own configs have no such key
            crop = cfg.INPUT.CROP
            around = {"zoom": tuple(crop.ZOOM), "balanced": crop.BALANCED, "anywhere": crop.ANYWHERE}
            settings["augmentations"] = [
                CropAroundObject(step.crop_type, step.crop_size, **around) if type(step) is T.RandomCrop else step
                for step in settings["augmentations"]
            ]
        if cfg.INPUT.get("RANDOM_TRANSPOSE", False):
            settings["augmentations"].append(RandomTranspose())
        if cfg.INPUT.get("OTHER_CAMERA", 0):
            settings["augmentations"].append(OtherCamera(cfg.INPUT.OTHER_CAMERA))
        return settings | {"use_semantic": cfg.MODEL.META_ARCHITECTURE in _SEMANTIC_MODELS}

    def __call__(self, dataset_dict: Mapping[str, Any]) -> dict[str, Any] | None:
        """Maps one record.

        Returns:
            `image` (3, H, W) uint8 tensor, resized and augmented, `instances` and, for Panoptic FPN, `sem_seg`. None
            for an image that is to be skipped.

        Raises:
            ImageError: too many images cannot be used.
        """
        try:
            mapped = self._map(copy.deepcopy(dict(dataset_dict)))
        except (ImageError, detection_utils.SizeMismatchError) as error:
            self._skip(dataset_dict["file_name"], error)
            return None
        self._mapped += 1
        return mapped

    def _skip(self, file_name: str, error: Exception) -> None:
        if file_name not in self._skipped:
            self._skipped.add(file_name)
            logger.warning("skipped in training: %s", error)
        if len(self._skipped) >= max(TOO_MANY_SKIPPED, self._mapped):
            message = (
                f"{len(self._skipped)} images cannot be decoded, the last one: {error} See: explorer data check --full"
            )
            raise ImageError(message) from error

    def _map(self, record: dict[str, Any]) -> dict[str, Any]:
        image: Pixels = read_image(record["file_name"])
        if self.image_format == "RGB":
            image = swap_channels(image)
        detection_utils.check_image_size(record, image)
        semantic = self._add_labels(record)
        objects = [one for one in record.get("annotations", ()) if not one.get("iscrowd", 0)]
        augmented = T.AugInput(image, boxes=_corners(objects), sem_seg=semantic)
        augmented.classes = np.asarray([one["category_id"] for one in objects], dtype=np.int64)
        transforms = self.augmentations(augmented)
        record["image"] = torch.as_tensor(np.ascontiguousarray(augmented.image.transpose(2, 0, 1)))
        for key in ("sem_seg_file_name", "segments_info"):
            record.pop(key, None)
        if semantic is not None:
            if (augmented.sem_seg == IGNORE).all():
                raise ImageError(f"{record['file_name']}: no pixel has a semantic label")
            record["sem_seg"] = torch.as_tensor(augmented.sem_seg.astype(np.int64))
        if "annotations" in record:
            self._transform_annotations(record, transforms, augmented.image.shape[:2])
        return record

    def _add_labels(self, record: dict[str, Any]) -> npt.NDArray[np.uint8] | None:
        """Fills in masks that only the panoptic PNG has, and returns the semantic map if the model learns from one."""
        annotations = record.get("annotations", ())
        needs_masks = self.use_instance_mask and any("segment_id" in annotation for annotation in annotations)
        if "pan_seg_file_name" not in record or not (needs_masks or self.use_semantic):
            wanted = self.use_semantic and "sem_seg_file_name" in record
            return read_classes(record["sem_seg_file_name"]) if wanted else None
        labels = read_labels(record["pan_seg_file_name"])
        if labels.shape != (record["height"], record["width"]):
            raise ImageError(f"{record['pan_seg_file_name']}: its size {labels.shape} is not the image's")
        for annotation in annotations:
            if needs_masks and "segment_id" in annotation:
                mask = np.asfortranarray(labels == annotation["segment_id"], dtype=np.uint8)
                annotation["segmentation"] = mask_api.encode(mask)
        return semantic_map(labels, record["segments_info"]) if self.use_semantic else None

    def _transform_annotations(self, record: dict[str, Any], transforms: Any, image_size: tuple[int, int]) -> None:
        moved = [
            self._transform(annotation, transforms, image_size, (record["height"], record["width"]))
            for annotation in record.pop("annotations")
            if not annotation.get("iscrowd", 0) and ("segmentation" in annotation or not self.use_instance_mask)
        ]
        # detectron2 takes one format per image: bitmaps wherever a run-length code is among the polygons
        polygons = all(isinstance(annotation.get("segmentation", []), list) for annotation in moved)
        instances = detection_utils.annotations_to_instances(
            moved, image_size, mask_format=self.instance_mask_format if polygons else "bitmask"
        )
        if self.recompute_boxes and instances.has("gt_masks"):
            instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
        record["instances"] = detection_utils.filter_empty_instances(instances)

    def _transform(
        self, annotation: Mapping[str, Any], transforms: Any, image_size: tuple[int, int], size: tuple[int, int]
    ) -> dict[str, Any]:
        wanted = ("bbox", "bbox_mode", "category_id", *(("segmentation",) if self.use_instance_mask else ()))
        moved: dict[str, Any] = {key: annotation[key] for key in wanted}
        if self.recompute_boxes and isinstance(moved["segmentation"], list):
            # crops cut bitmaps exactly, even where a polygon crosses itself
            moved["segmentation"] = mask_api.merge(mask_api.frPyObjects(moved["segmentation"], *size))
        moved = detection_utils.transform_instance_annotations(moved, transforms, image_size)
        if isinstance(moved.get("segmentation"), np.ndarray):
            moved["segmentation"] = np.require(moved["segmentation"], requirements="W")  # torch warns of others
        return moved


def _corners(annotations: Sequence[Mapping[str, Any]]) -> Floats:
    """Returns the boxes of the objects as `(n, 4)` corners in pixels of the image as stored."""
    corners = [BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYXY_ABS) for one in annotations]
    return np.asarray(corners, dtype=np.float64).reshape(-1, 4)

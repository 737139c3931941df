"""Whether a data set fits a configuration: number of classes, masks, panoptic labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from detectron2.data import MetadataCatalog

_THINGS = {
    "GeneralizedRCNN": ("ROI_HEADS",),
    "PanopticFPN": ("ROI_HEADS",),
    "RetinaNet": ("RETINANET",),
}


def fit_classes(cfg: Any, name: str) -> None:
    """Sets the configuration's numbers of classes to those of the registered data set `name`.

    Heads of another size than a checkpoint's start anew; the backbone keeps its weights.
    """
    for node, count, _ in _heads(cfg, name):
        node.NUM_CLASSES = count


def check_fit(cfg: Any, names: Sequence[str], *, train: bool = False) -> None:
    """Makes sure that a model of this configuration can be trained or evaluated on registered data sets.

    Raises:
        ValueError: numbers of classes differ, class names differ between the data sets, or training needs masks or
            panoptic labels that a data set does not have.
    """
    for name in names:
        metadata = MetadataCatalog.get(name)
        for node, count, key in _heads(cfg, name):
            if count != node.NUM_CLASSES:
                raise ValueError(
                    f"{name} has {count} classes ({_some(metadata, key)}), the model is for {node.NUM_CLASSES}. "
                    f"Take a model that was trained on these classes, or train one with {_key(cfg, node)} {count}"
                )
        if metadata.thing_classes != MetadataCatalog.get(names[0]).thing_classes:
            raise ValueError(f"{name} and {names[0]} have different classes; they cannot be used together")
        if train and cfg.MODEL.MASK_ON and not metadata.get("has_masks", True):
            raise ValueError(
                f"{name} has no masks, which {cfg.MODEL.META_ARCHITECTURE} learns from: set MODEL.MASK_ON False"
            )
        if cfg.MODEL.META_ARCHITECTURE == "PanopticFPN" and not metadata.get("stuff_classes"):
            raise ValueError(f"{name} has no panoptic labels (panoptic_<split>.json), which PanopticFPN needs")


def _heads(cfg: Any, name: str) -> Iterator[tuple[Any, int, str]]:
    metadata, architecture = MetadataCatalog.get(name), cfg.MODEL.META_ARCHITECTURE
    anchor_free = ("FCOS",) if cfg.MODEL.PROPOSAL_GENERATOR.NAME == "FCOS" else ()
    for head in (*_THINGS.get(architecture, ()), *anchor_free):
        yield cfg.MODEL[head], len(metadata.thing_classes), "thing_classes"
    if architecture == "PanopticFPN" and metadata.get("stuff_classes"):
        yield cfg.MODEL.SEM_SEG_HEAD, len(metadata.stuff_classes), "stuff_classes"


def _some(metadata: Any, key: str) -> str:
    names = metadata.get(key)
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def _key(cfg: Any, node: Any) -> str:
    head = next(name for name in ("ROI_HEADS", "FCOS", "RETINANET", "SEM_SEG_HEAD") if cfg.MODEL[name] is node)
    return f"MODEL.{head}.NUM_CLASSES"

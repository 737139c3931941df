"""What a config says about its model: input, classes and data, from a yaml config or from a LazyConfig."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from detectron2.config import CfgNode
from detectron2.data import transforms
from omegaconf import DictConfig, OmegaConf

from explorer.engine.windows import Cut, Tiles
from explorer.types import Pixels

Config: TypeAlias = CfgNode | DictConfig
"""detectron2's two kinds of config."""


@dataclass(frozen=True)
class ModelInput:
    """How a photograph becomes a model's input: resizing and channel order, as a config asks at test time.

    Attributes:
        min_size: length of the shorter side after resizing, in pixels; 0 leaves the size alone.
        max_size: upper limit of the longer side, in pixels.
        channel_order: `BGR` or `RGB`.
        zoom: factor by which the sides of a photograph grow where `min_size` leaves the size alone.
    """

    min_size: int
    max_size: int
    channel_order: str
    zoom: float = 1.0

    def __call__(self, image_bgr: Pixels) -> dict[str, Any]:
        """Returns detectron2's input for an image `(height, width, 3)`.

        The mapping holds `image`, float32 `(3, resized height, resized width)` in 0..255 and the model's channel
        order, and the original `height` and `width`, in whose frame the model answers.
        """
        height, width = image_bgr.shape[:2]
        resized = transforms.ResizeTransform(height, width, *self.size_for(height, width)).apply_image(image_bgr)
        return {"image": self.as_tensor(resized).float(), "height": height, "width": width}

    def as_tensor(self, image_bgr: Pixels) -> torch.Tensor:
        """Returns an image `(height, width, 3)` as it is, `(3, height, width)` uint8, in the model's channel order."""
        ordered = image_bgr if self.channel_order == "BGR" else image_bgr[:, :, ::-1]
        return torch.from_numpy(ordered.transpose(2, 0, 1).copy())

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """Returns the (height, width) to which an image is resized, as detectron2's `ResizeShortestEdge` has it.

        An image so long and thin that its shorter side would vanish keeps one pixel there.
        """
        if self.min_size == 0:
            return max(1, round(height * self.zoom)), max(1, round(width * self.zoom))
        shape = transforms.ResizeShortestEdge.get_output_shape(height, width, self.min_size, self.max_size)
        return max(1, shape[0]), max(1, shape[1])


@dataclass(frozen=True)
class ConfigFacts:
    """What the rest of the engine wants to know about a model.

    Attributes:
        model_input: how images are prepared.
        classes: number of object classes.
        stuff_classes: number of semantic classes with "things" as the first, 0 unless the model is panoptic.
        class_names: names that the config gives, else empty.
        stuff_class_names: names of the semantic classes that the config gives, else empty.
        datasets: the data sets of the config, those for training first.
        workers: processes that read images.
        cut: how large photographs are cut into tiles; None where all are looked at whole.
    """

    model_input: ModelInput
    classes: int
    stuff_classes: int
    class_names: tuple[str, ...]
    stuff_class_names: tuple[str, ...]
    datasets: tuple[str, ...]
    workers: int
    cut: Cut | None = None


def config_facts(cfg: Config) -> ConfigFacts:
    """Reads the facts from either kind of config."""
    return _lazy_facts(cfg) if isinstance(cfg, DictConfig) else _yaml_facts(cfg)


def config_sha256(cfg: Config) -> str:
    """Returns the SHA-256 of a config's text: two runs with the same one were configured alike."""
    if isinstance(cfg, DictConfig):  # LazyConfig.to_py needs black
        text = json.dumps(OmegaConf.to_container(cfg), sort_keys=True, default=_named)
    else:
        text = cfg.dump()
    return hashlib.sha256(text.encode()).hexdigest()


def _named(value: Any) -> str:
    """What stands for a class, a function or another object of a LazyConfig in its text."""
    kind = value if isinstance(value, type) or callable(value) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _yaml_facts(cfg: CfgNode) -> ConfigFacts:
    model, names, tiles = cfg.MODEL, cfg.get("EXPLORER", {}), cfg.TEST.get("TILES")
    head = model.RETINANET if model.META_ARCHITECTURE == "RetinaNet" else model.ROI_HEADS
    return ConfigFacts(
        yaml_input(cfg),
        classes=head.NUM_CLASSES,
        stuff_classes=model.SEM_SEG_HEAD.NUM_CLASSES if model.META_ARCHITECTURE == "PanopticFPN" else 0,
        class_names=tuple(names.get("CLASS_NAMES", ())),
        stuff_class_names=tuple(names.get("STUFF_CLASS_NAMES", ())),
        datasets=(*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST),
        workers=cfg.DATALOADER.NUM_WORKERS,
        cut=Tiles(tiles.SIZE, tiles.OVERLAP) if tiles and tiles.SIZE else None,
    )


def yaml_input(cfg: CfgNode) -> ModelInput:
    """Reads from a yaml config how images are prepared at test time.

    Raises:
        ValueError: they are to be enlarged by a factor that is not positive.
    """
    zoom = cfg.INPUT.get("ZOOM_TEST", 1.0)
    if not 0 < zoom < math.inf:
        raise ValueError(f"INPUT.ZOOM_TEST is {zoom:g}: give a positive factor, 1 for photographs at their own size.")
    return ModelInput(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, cfg.INPUT.FORMAT, zoom)


def _lazy_facts(cfg: DictConfig) -> ConfigFacts:
    model, test, names = cfg.model, cfg.dataloader.test, cfg.get("explorer", {})
    resize = test.mapper.augmentations[0]
    return ConfigFacts(
        ModelInput(resize.short_edge_length, resize.max_size, test.mapper.image_format),
        classes=(model.roi_heads if "roi_heads" in model else model).num_classes,
        stuff_classes=model.sem_seg_head.num_classes if "sem_seg_head" in model else 0,
        class_names=tuple(names.get("class_names", ())),
        stuff_class_names=tuple(names.get("stuff_class_names", ())),
        datasets=(*_names(cfg.dataloader.train.dataset.names), *_names(test.dataset.names)),
        workers=test.num_workers,
    )


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)

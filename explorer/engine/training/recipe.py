"""What a training run is made of, from a yaml config or from a LazyConfig."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode, instantiate
from detectron2.data import get_detection_dataset_dicts
from detectron2.data import transforms as T
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import print_csv_format
from detectron2.modeling import build_model
from detectron2.solver import LRMultiplier, build_lr_scheduler, build_optimizer, get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from detectron2.utils import comm
from omegaconf import DictConfig, OmegaConf
from torch import nn

from explorer.data.coco import class_names
from explorer.data.mapper import CocoMapper
from explorer.engine.building import detector_of
from explorer.engine.config_facts import Config, config_facts
from explorer.engine.evaluation.evaluate import run_over, write_detections
from explorer.engine.evaluation.tables import as_text, figure_tables
from explorer.engine.loading import load_detector
from explorer.engine.scales import image_sizes, scales
from explorer.engine.training.hooks import Results
from explorer.engine.training.imitation import Imitation, take_heads
from explorer.engine.training.loggers import logger_names
from explorer.engine.training.stream import Mapper, Sample, TrainingStream, index_sampler
from explorer.text import logger_of

logger = logger_of(__name__)
logger_of("detectron2.data.build")  # it lists the data's classes

HeldOut = Callable[[], Iterator[list[Sample]]]
LOSS_IMAGES = 64
"""Validation loss in a LazyConfig that does not say `train.loss_images`: over how many images."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything that a run needs, whichever kind of config it came from.

    Attributes:
        model: on its device, not wrapped for distributed training.
        optimizer: over the model's parameters, clipping gradients where the config asks for it.
        schedule: sets the learning rate after each iteration.
        stream: this process's training batches.
        held_out: this process's share of the validation images in training format, one per batch.
        evaluate: runs the model over the test sets.
        weights: the file to start from, or None for random weights.
        output_dir: where checkpoints and metrics go.
        iterations: length of the run.
        checkpoint_period: iterations between checkpoints.
        validation_period: iterations between validations; 0 validates at the end only.
        log_period: iterations between rows of metrics.
        precision: dtype of mixed-precision training, or None for float32.
        precise_norms: batches by which batch-norm statistics are recomputed before each validation; 0 for none.
        loggers: names of `LOGGERS` that get the metrics too.
        settings: the config as plain data, for them.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LRMultiplier
    stream: TrainingStream
    held_out: HeldOut
    evaluate: Callable[[nn.Module], Results]
    weights: Path | None
    output_dir: Path
    iterations: int
    checkpoint_period: int
    validation_period: int
    log_period: int = 20
    precision: torch.dtype | None = None
    precise_norms: int = 0
    loggers: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def yaml_recipe(cfg: CfgNode) -> Recipe:
    """Makes the parts of a run from a yaml config whose data sets are registered."""
    cfg = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())
    model = build_model(cfg)
    give_teacher(cfg, model)
    optimizer = _optimizer(cfg, model)
    images = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
    stream = TrainingStream(
        images,
        CocoMapper(cfg, is_train=True),
        images_per_batch=cfg.SOLVER.IMS_PER_BATCH,
        seed=_shared_seed(cfg.SEED),
        sampler=index_sampler(cfg.DATALOADER.SAMPLER_TRAIN, images, cfg.DATALOADER),
        group_by_aspect=cfg.DATALOADER.ASPECT_RATIO_GROUPING,
        workers=cfg.DATALOADER.NUM_WORKERS,
    )
    facts = config_facts(cfg)
    if found := scales(cfg, facts.model_input, facts.cut, image_sizes(cfg.DATASETS.TEST)):
        logger.log(logging.WARNING if found.note() else logging.INFO, found.note() or found.line())
    resize = T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    return Recipe(
        model=model,
        optimizer=optimizer,
        schedule=build_lr_scheduler(cfg, optimizer),
        stream=stream,
        held_out=_held_out(
            cfg.DATASETS.TEST,
            cfg.DATASETS.TRAIN[0],
            CocoMapper(cfg, is_train=True, augmentations=[resize]),
            cfg.TEST.LOSS_IMAGES,
        ),
        evaluate=lambda trained: evaluate_all(cfg, trained),
        weights=Path(cfg.MODEL.WEIGHTS) if cfg.MODEL.WEIGHTS else None,
        output_dir=Path(cfg.OUTPUT_DIR),
        iterations=cfg.SOLVER.MAX_ITER,
        checkpoint_period=cfg.SOLVER.CHECKPOINT_PERIOD,
        validation_period=cfg.TEST.EVAL_PERIOD,
        precision=_precision(cfg.MODEL.DEVICE) if cfg.SOLVER.AMP.ENABLED else None,
        precise_norms=cfg.TEST.PRECISE_BN.NUM_ITER if cfg.TEST.PRECISE_BN.ENABLED else 0,
        loggers=logger_names(cfg.EXPLORER.LOGGER),
        settings=yaml.safe_load(cfg.dump()),
    )


def lazy_recipe(cfg: DictConfig) -> Recipe:
    """Makes the parts of a run from a LazyConfig laid out like detectron2's (`model`, `dataloader`, `train`, …)."""
    model = instantiate(cfg.model).to(cfg.train.device)
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    data, test = cfg.dataloader.train, cfg.dataloader.test
    still = OmegaConf.merge(data.mapper, {"augmentations": test.mapper.augmentations})
    return Recipe(
        model=model,
        optimizer=optimizer,
        schedule=LRMultiplier(optimizer, instantiate(cfg.lr_multiplier), cfg.train.max_iter),
        stream=TrainingStream(
            instantiate(data.dataset),
            instantiate(data.mapper),
            images_per_batch=data.total_batch_size,
            seed=_shared_seed(cfg.train.get("seed", -1)),
            group_by_aspect=data.get("aspect_ratio_grouping", True),
            workers=data.num_workers,
        ),
        held_out=_held_out(
            test.dataset.names,
            as_names(data.dataset.names)[0],
            instantiate(still),
            cfg.train.get("loss_images", LOSS_IMAGES),
        ),
        evaluate=lambda trained: evaluate_all(cfg, trained),
        weights=Path(cfg.train.init_checkpoint) if cfg.train.init_checkpoint else None,
        output_dir=Path(cfg.train.output_dir),
        iterations=cfg.train.max_iter,
        checkpoint_period=cfg.train.checkpointer.period,
        validation_period=cfg.train.eval_period,
        log_period=cfg.train.log_period,
        precision=_precision(cfg.train.device) if cfg.train.amp.enabled else None,
        loggers=logger_names(cfg.train.get("logger", "")),
        settings={"train": OmegaConf.to_container(cfg.train), "optimizer": {"lr": cfg.optimizer.get("lr")}},
    )


def evaluate_all(cfg: Config, model: nn.Module) -> Results:
    """Evaluates `model` on the test sets of its config: figures by task, or by data set and task where several."""
    lazy = isinstance(cfg, DictConfig)
    names = as_names(cfg.dataloader.test.dataset.names) if lazy else cfg.DATASETS.TEST
    out = Path(cfg.train.output_dir if lazy else cfg.OUTPUT_DIR) / "inference"
    detector = detector_of(cfg, model, out.parent.name)
    results: dict[str, Results] = {}
    for number, name in enumerate(names):
        run = run_over(detector, name)
        results[name] = {}
        if comm.is_main_process():
            write_detections(run, out / str(number) if number else out)
            metrics = run.metrics
            results[name] = metrics.values
            print_csv_format(metrics.values)
            for note in metrics.details["notes"]:
                logger.warning("%s: %s", name, note)
            for table in figure_tables(metrics):
                logger.info("%s, %d images, in percent:\n%s", name, metrics.images, as_text(table))
    return next(iter(results.values())) if len(results) == 1 else results


def as_names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Returns a LazyConfig's data-set names, which may be one string, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def give_teacher(cfg: CfgNode, model: nn.Module) -> None:
    """Has the model learn from the detector that `SOLVER.TEACHER` names, if any, and start with its heads.

    Raises:
        ValueError: there is no such detector, or it does not go with this model.
    """
    asked = cfg.SOLVER.TEACHER
    if not asked.NAME:
        return
    teacher = load_detector(asked.NAME, weights=asked.WEIGHTS or None, device=cfg.MODEL.DEVICE, exact=True)
    if teacher.cfg.INPUT.FORMAT != cfg.INPUT.FORMAT:
        raise ValueError(
            f"SOLVER.TEACHER {asked.NAME} reads {teacher.cfg.INPUT.FORMAT}, this model {cfg.INPUT.FORMAT}: "
            "set INPUT.FORMAT to the teacher's."
        )
    Imitation(model, teacher.model, asked.LOSS_WEIGHT)
    taken = take_heads(model, teacher.model)
    logger.info("Distilling from %s; %d tensors of its neck and heads are copied", asked.NAME, len(taken))


def _optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Builds detectron2's SGD, or AdamW with the same keys for weight decay, learning rates and clipping.

    Raises:
        ValueError: `SOLVER.OPTIMIZER` is neither.
    """
    solver = cfg.SOLVER
    optimizer: torch.optim.Optimizer
    if solver.OPTIMIZER == "SGD":
        optimizer = build_optimizer(cfg, model)
        return optimizer
    if solver.OPTIMIZER != "AdamW":
        raise ValueError(f"SOLVER.OPTIMIZER is {solver.OPTIMIZER!r}: use SGD or AdamW.")
    groups = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
    )
    adamw = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
    optimizer = adamw(groups, lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY)
    return optimizer


def _held_out(names: str | Sequence[str], trained_on: str, mapper: Mapper, limit: int) -> HeldOut:
    """Returns a function that reads this process's share of the first annotated test images.

    Only test sets with the classes of the training set, in its order, have a loss; figures go by name.
    """
    names = [name for name in as_names(names) if class_names(name) == class_names(trained_on)]
    if not names or not limit:
        return lambda: iter(())
    images = [image for image in get_detection_dataset_dicts(names, filter_empty=False) if image.get("annotations")]
    share = images[:limit][comm.get_rank() :: comm.get_world_size()]
    return lambda: ([sample] for image in share if (sample := mapper(image)) is not None)


def _precision(device: str) -> torch.dtype | None:
    """Chooses float16 with loss scaling on GPUs, as detectron2 does, and bfloat16 on CPUs that compute in it."""
    if device.startswith("cuda"):
        return torch.float16
    if _computes_in_bfloat16():
        return torch.bfloat16
    logger.warning("This processor cannot convolve in bfloat16, which would be many times slower: training in float32.")
    return None


def _computes_in_bfloat16() -> bool:
    """Says whether oneDNN takes bfloat16 convolutions here; torch's own loops, which stand in for it, are slow."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _shared_seed(seed: int) -> int:
    return seed if seed >= 0 else int(comm.shared_random_seed())

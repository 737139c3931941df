"""Losses on held-out images, by the same loss functions that training minimises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from explorer.engine.training.stream import local_seed


def loss_memory(model: nn.Module) -> dict[str, float]:
    """Returns what dense detectors remember between iterations outside their state dict.

    detectron2's RetinaNet and FCOS divide their losses by a running mean of the number of matched anchors and keep
    it as a plain attribute: whoever wants the same next loss has to carry it along.
    """
    value = getattr(model, "loss_normalizer", None)
    return {} if value is None else {"loss_normalizer": float(value)}


@contextmanager
def _loss_mode(model: nn.Module) -> Iterator[None]:
    """Makes the model return losses without learning from them.

    Containers are set to training, which is what makes detectron2's heads return losses; leaves, that is norms and
    dropout, are set to evaluation, and so are timm's norms, which contain their activation. Modes and the running
    loss normaliser are put back afterwards.
    """
    modes = {module: module.training for module in model.modules()}
    memory = loss_memory(model)
    for module in modes:
        module.training = next(module.children(), None) is not None and not isinstance(module, _BatchNorm)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        if not memory and hasattr(model, "loss_normalizer"):
            del model.loss_normalizer
        vars(model).update(memory)


def validation_loss(model: nn.Module, batches: Iterable[list[dict[str, Any]]]) -> dict[str, float]:
    """Averages each loss of `model` over `batches`, over all processes together.

    Args:
        model: a detectron2 model, not wrapped for distributed training.
        batches: this process's share, in training format (with ground truth) but without random augmentation.

    Returns:
        Mean by loss name, and their sum as `validation_loss`. Empty where no process has a batch. The anchors and
        proposals that the losses sample are the same at every call, so two calls differ by the weights alone.
    """
    sums: dict[str, float] = defaultdict(float)
    seen = 0
    with torch.no_grad(), local_seed(0), EventStorage(), _loss_mode(model):  # the storage drops the heads' statistics
        for batch in batches:
            for name, value in model(batch).items():
                sums[name] += float(value)
            seen += 1
    gathered = comm.all_gather((dict(sums), seen))
    total = sum(count for _, count in gathered)
    if not total:
        return {}
    names = sorted({name for share, _ in gathered for name in share})
    means = {f"validation/{name}": sum(share.get(name, 0.0) for share, _ in gathered) / total for name in names}
    return {"validation_loss": float(np.sum(list(means.values()))), **means}

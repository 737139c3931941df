"""A detector built from its config, with weights from a file or random ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from detectron2.config import instantiate
from detectron2.modeling import build_model
from omegaconf import DictConfig
from torch import nn

import explorer.heads  # noqa: F401 - registers the heads that configs name
from explorer.backbones import BackboneOnly
from explorer.engine.class_names import stuff_names, thing_names
from explorer.engine.config_facts import Config, config_facts
from explorer.engine.detector import Detector
from explorer.engine.devices import cpu_behind, pick_device
from explorer.types import PARTIAL, RANDOM
from explorer.zoo.checkpoints import load_weights

RANDOM_SEED = 0
"""Seed of random weights: two calls build the same network, so that what is measured with it can be repeated."""


def make_detector(
    cfg: Config, name: str, *, weights: Path | None = None, device: str = "auto", allow_partial: bool = False
) -> Detector:
    """Builds the model of a config; without `weights` its weights are random, whatever the config names.

    Random weights are the same in every call (`RANDOM_SEED`), and the global generators stay as they are.

    Args:
        cfg: a yaml config or a LazyConfig.
        name: what to call the detector.
        weights: a checkpoint.
        device: see `pick_device`; `auto` is the CPU, too, where the GPU fails while the model is put there.
        allow_partial: take what fits of a checkpoint that does not fit wholly; the rest stays random.

    Raises:
        ValueError: if the device is unknown, the model finds no objects, or the weights do not fit.
        DeviceError: the GPU that was asked for fails.
    """
    return cpu_behind(device, lambda place: _made(cfg, name, weights, pick_device(place), allow_partial))


def _made(cfg: Config, name: str, weights: Path | None, device: str, allow_partial: bool) -> Detector:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(RANDOM_SEED)
        network = build(cfg, device)
    caveat, remarks = RANDOM, tuple[str, ...]()
    if weights is not None:
        bare = isinstance(network, BackboneOnly)
        report = load_weights(network, weights, allow_partial=allow_partial, allow_more=bare)
        caveat = PARTIAL if report.missing or report.mismatched else ""
        remarks = () if report.complete else (report.counts,)
    return replace(detector_of(cfg, network.eval(), name, weights), caveat=caveat, remarks=remarks)


def detector_of(cfg: Config, model: nn.Module, name: str, weights: Path | None = None) -> Detector:
    """Makes a detector of a model that is built already, whatever its mode and weights.

    Raises:
        ValueError: the config gives another number of class names than classes.
    """
    facts = config_facts(cfg)
    names = thing_names(facts), stuff_names(facts)
    return Detector(model, cfg, name, facts.model_input, *names, weights, cut=facts.cut)


def build(cfg: Config, device: str) -> nn.Module:
    """Builds the model of a yaml config or a LazyConfig on `device`, with random weights."""
    if isinstance(cfg, DictConfig):
        network: nn.Module = instantiate(cfg.model).to(device)
    else:
        placed = cfg.clone()
        placed.defrost()
        placed.MODEL.DEVICE = device
        network = build_model(placed)
    return network

"""A detector run the fast way: detectron2's own model, with the parts that take the time replaced."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads import StandardROIHeads
from torch import Tensor, nn

from explorer.engine.fast.hardware import DtypeName, EngineName, Plan, choose, probe
from explorer.engine.fast.heads import fast_box_head, fast_mask_head, fast_maskiou_head
from explorer.engine.fast.int8 import int8_trunk, missing
from explorer.engine.fast.networks import Network, NotFastError, openvino_network, prepare
from explorer.engine.fast.photos import CalibrationPhotos
from explorer.engine.fast.pooling import BagPooler
from explorer.engine.fast.trunk import FastBackbone, RecallDense, RecallSemantic, Trunk, dense_head
from explorer.engine.pasting import infer
from explorer.features.hooks import is_recorded
from explorer.heads.roi_heads import CenterROIHeads
from explorer.text import logger_of

logger = logger_of(__name__)
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.25, torch.int8: float("inf")}
"""How far maps may be from the plain model's, relative to their largest value, before the next engine is taken.

bfloat16 has 8 bits: trained models differ by 0.05, random ones by more. An engine that computes something else differs
by about 1. In int8 a value beyond the ranges is cut off, so that single cells say little of what a detector finds:
`explorer benchmark --data` measures that.
"""


@dataclass(frozen=True)
class Ready:
    """The parts that stand in for a model's own.

    Attributes:
        parts: by their path in the model.
        plan: how they are run.
        max_rel_error: largest difference of a map from the plain model's, by its largest value, on a noise image; in
            int8 on the first photo of the calibration, where there was one.
    """

    parts: Mapping[str, nn.Module]
    plan: Plan
    max_rel_error: float


class FastModel(nn.Module):
    """Takes and gives what the model does; masks of instances on a CPU are `explorer.engine.pasting.PastedMasks`.

    Made ready with the first image, from the weights that the model has then, and anew where they have been written to
    since (by `load_state_dict`, or in place; not through `.data`, which tells nobody). Limits that are set on the model
    later (score thresholds, numbers of proposals) hold here too. One thread at a time runs it; others wait.
    """

    def __init__(
        self,
        model: nn.Module,
        dtype: DtypeName = "float32",
        engine: EngineName | Literal["auto"] = "auto",
        trunk: Network | None = None,
        *,
        photos: CalibrationPhotos | None = None,
        emulate: bool = False,
    ) -> None:
        """Takes a model and how to run it.

        Args:
            model: a detectron2 model in evaluation mode.
            dtype: see `choose`.
            engine: what runs the convolutions; where it cannot, the next best does, and the log says so.
            trunk: a trunk that is ready, as one that was exported, instead of the model's own.
            photos: those by which ranges of int8 are set; None for the ranges that are kept.
            emulate: take a format that the hardware does not compute in.

        Raises:
            ValueError: there is no such format or engine, not on this hardware, or int8 lacks something.
        """
        super().__init__()
        self._model = (model,)  # a tuple, so that it is no submodule: its training mode is its own affair
        self._trunk, self._photos = trunk, photos
        self._ready: Ready | None = None
        self._made_of: tuple[tuple[int, int], ...] = ()
        self._lock = threading.RLock()
        self.chosen = choose(
            probe(self.device),
            dtype,
            engine,
            emulate=emulate,
            int8_lacks=lambda: "" if trunk else missing(model, photos),
        )
        self.eval()

    def twin(self, model: nn.Module) -> FastModel:
        """Returns the same for another model that holds the same weights; what is ready serves both."""
        self.ready()
        other: FastModel = copy.copy(self)
        other._model = (model,)
        return other

    @property
    def device(self) -> torch.device:
        return next(self._model[0].parameters()).device

    @property
    def plan(self) -> Plan:
        """How it runs; makes it ready if it is not yet."""
        return self.ready().plan

    def ready(self) -> Ready:
        """Makes it ready where it is not, and returns what stands in for what."""
        with self._lock:
            weights = _writes(self._model[0])
            if self._ready is None or (weights != self._made_of and self._trunk is None):
                self._made_of = weights
                self._ready = _make_ready(self._model[0], self.chosen, self._trunk, self._photos)
                why = self._ready.plan.why
                logger.log(logging.WARNING if why else logging.INFO, "fast inference: %s", why or self._ready.plan)
            return self._ready

    def forward(self, batched_inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Runs detectron2's inference on detectron2's inputs.

        The plain model runs where the engine cannot take them, and for who records its layers, which do not run else.
        """
        found: list[dict[str, Any]]
        with self._lock, torch.no_grad():
            parts = {} if is_recorded(self._model[0]) else self.ready().parts
            try:
                found = infer(with_parts(self._model[0], parts), batched_inputs)
            except NotFastError as error:  # OpenVINO pools no map that is smaller than the window: images 1 px wide
                sizes = [tuple(one["image"].shape[-2:]) for one in batched_inputs]
                logger.warning("the plain model takes inputs of %s px: %s", sizes, str(error).partition("\n")[0])
                found = infer(self._model[0], batched_inputs)
        return found


def with_parts(model: nn.Module, parts: Mapping[str, nn.Module]) -> nn.Module:
    """Returns a model like `model` with the parts at some paths replaced.

    Modules on the way to a replaced part are copied without what they hold; all the rest is shared, `model` untouched.
    """
    clone: nn.Module = _shallow(model)
    copied: dict[str, nn.Module] = {"": clone}
    for path, part in parts.items():
        *parents, last = path.split(".")
        at, above = "", clone
        for name in parents:
            at = f"{at}.{name}" if at else name
            if at not in copied:
                copied[at] = _shallow(above._modules[name])
                above._modules[name] = copied[at]
            above = copied[at]
        above._modules[last] = part
    return clone


def _shallow(module: Any) -> Any:
    clone = copy.copy(module)
    clone._modules = dict(module._modules)
    return clone


def _writes(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """Where the weights lie and how often each was written to."""
    weights = model.state_dict(keep_vars=True).values()
    return tuple((own.data_ptr(), 0 if own.is_inference() else own._version) for own in weights)


def _make_ready(model: nn.Module, plan: Plan, given: Network | None, photos: CalibrationPhotos | None) -> Ready:
    """Makes the parts ready by the plan, or by the next best one that gives the model's own maps."""
    failures = []
    simpler = Plan("torch", plan.rest if plan.dtype == torch.int8 else plan.dtype)
    for attempt in (plan, *([simpler] if plan.engine != "torch" else [])):
        try:
            ready = _parts(model, attempt, given, photos)
        except NotFastError as error:
            if given:
                raise
            failures.append(f"{attempt.engine}: {error}")
        else:
            why = "; ".join(filter(None, (plan.why, *(f"{failure}, {attempt.engine} instead" for failure in failures))))
            return replace(ready, plan=replace(attempt, why=why))
    return Ready({}, Plan("torch", torch.float32, "; ".join((*failures, "the plain model instead"))), 0.0)


def _parts(model: nn.Module, plan: Plan, given: Network | None, photos: CalibrationPhotos | None) -> Ready:
    known: Any = model
    trunk = Trunk(model)
    in_integers = plan.dtype == torch.int8
    sample = known.preprocess_image([photos.photos[0]()]).tensor if in_integers and photos else trunk.sample()
    with torch.no_grad():
        wanted = trunk(sample)
    if given:
        network = given
    elif in_integers:
        network = openvino_network(int8_trunk(model, photos)[0], plan.rest)
    else:
        network = prepare(trunk, sample, plan)
    error = relative_error(network(sample), wanted)
    if not error <= TOLERANCE[plan.dtype]:  # NaN is no success
        raise NotFastError(f"its maps differ from the model's by {error:.1e}")
    parts: dict[str, nn.Module] = {"backbone": FastBackbone(known.backbone, network, trunk)}
    if home := dense_head(model):
        parts[home[0]] = RecallDense()
    if trunk.semantic:
        semantic: SemSegFPNHead = known.sem_seg_head
        parts["sem_seg_head"] = RecallSemantic(semantic, trunk.levels[0])
    roi_heads = getattr(model, "roi_heads", None)
    if isinstance(roi_heads, nn.Module) and sample.device.type == "cpu":
        parts |= _roi_parts(roi_heads, replace(plan, dtype=plan.rest) if in_integers else plan)
    return Ready(parts, plan, error)


def _roi_parts(roi_heads: Any, plan: Plan) -> dict[str, nn.Module]:
    """The parts that look at boxes, on a CPU."""
    parts: dict[str, nn.Module] = {}
    for name, part in roi_heads.named_children():
        if isinstance(part, ROIPooler) and BagPooler.takes(part):
            parts[f"roi_heads.{name}"] = BagPooler(part)
    ready: dict[str, nn.Module | None] = {}
    if isinstance(roi_heads, StandardROIHeads) and "roi_heads.box_pooler" in parts:
        ready["box_head"] = fast_box_head(roi_heads, plan)
    if isinstance(roi_heads, (StandardROIHeads, CenterROIHeads)) and "roi_heads.mask_pooler" in parts:
        ready["mask_head"] = fast_mask_head(roi_heads, plan)
    if isinstance(roi_heads, CenterROIHeads):
        ready["maskiou_head"] = fast_maskiou_head(roi_heads, plan)
    return parts | {f"roi_heads.{name}": part for name, part in ready.items() if part is not None}


def relative_error(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Returns the largest difference, each map's by its own largest value; infinite where shapes differ."""
    if [one.shape for one in found] != [one.shape for one in wanted]:
        return float("inf")
    errors = [
        (one - other).abs().max() / other.abs().max().clamp(min=1e-12) for one, other in zip(found, wanted, strict=True)
    ]
    return float(torch.stack(errors).max())

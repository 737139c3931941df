"""Weights into a module, whole or not at all, and out of one as safetensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from explorer.writing import replacing
from explorer.zoo.checkpoints.names import align
from explorer.zoo.checkpoints.reading import CheckpointError, read_checkpoint
from explorer.zoo.registry import BYTE_SCALE

# Nobody misses these: a config sets the first two, detectron2 recomputes the third, and only training counts batches.
_QUIET_ENDINGS = ("pixel_mean", "pixel_std", "num_batches_tracked")
_QUIET_PARTS = ("anchor_generator.cell_anchors",)
_NAMES_SHOWN = 3
_GROUP_DEPTH = 3


@dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint's tensors; `str(report)` says it in lines for a person.

    Attributes:
        source: where the tensors came from.
        loaded: names whose tensors fit, and were copied if the checkpoint as a whole was accepted.
        missing: names of the model that the checkpoint does not have.
        unexpected: names of the checkpoint, as it spells them for this model, that the model does not have.
        mismatched: name -> (shape in the checkpoint, shape in the model).
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def counts(self) -> str:
        """How much of the model the checkpoint filled, in one line."""
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        return (
            f"{self.source}: {len(self.loaded)} of the model's {total} tensors fit, {len(self.missing)} are missing, "
            f"{len(self.mismatched)} of another shape, {len(self.unexpected)} left over."
        )

    @property
    def complete(self) -> bool:
        """Every tensor of the model was there, with its shape, and none was left over."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        lines = [f"{self.source}: {len(self.loaded)} of the model's {total} tensors fit."]
        lines += _grouped("Missing from the checkpoint", self.missing)
        lines += _grouped("Left over in the checkpoint", self.unexpected)
        if self.mismatched:
            lines.append(f"Of another shape ({len(self.mismatched)}):")
            shapes = [f"  {name}: {_difference(*pair)}" for name, pair in self.mismatched.items()]
            lines += shapes[: 2 * _NAMES_SHOWN]
            lines += [f"  … and {len(shapes) - 2 * _NAMES_SHOWN} more"] if len(shapes) > 2 * _NAMES_SHOWN else []
        if hint := self._hint():
            lines.append(hint)
        return "\n".join(lines)

    def _hint(self) -> str:
        if self.missing and all(".ese." in name for name in self.missing):
            return "Only eSE is missing: timm has it on the last block of a stage. Set MODEL.VOVNET.ESE last."
        if any("box_predictor" in name or "mask_head.predictor" in name for name in self.mismatched):
            return "The predictors differ: the checkpoint was trained for another number of classes."
        return ""


def load_weights(
    module: nn.Module,
    source: str | Path | Mapping[str, Tensor],
    *,
    allow_partial: bool = False,
    allow_more: bool = False,
) -> LoadReport:
    """Copies a checkpoint into `module`, in place; names of other makers are translated (`checkpoints.names`).

    All names and shapes are compared before the first number is written, so that a checkpoint which does not fit
    leaves the module as it was. Numbers take the module's type and device: half-precision files are fine.
    Pixel means, anchors and batch counters are neither missed nor in the way.

    Args:
        module: a detector, or a backbone alone.
        source: a file that `read_checkpoint` reads, or tensors by name.
        allow_partial: load what fits and report the rest, as fine-tuning wants it; one fitting tensor is the least.
        allow_more: load what fits wholly, whatever else the checkpoint holds, as a detector's does for its backbone.

    Raises:
        CheckpointError: the file cannot be read, does not fit (the message is the report), or holds numbers that are
            infinite or NaN, which `allow_partial` does not let in.
    """
    given = isinstance(source, Mapping)
    tensors = source if isinstance(source, Mapping) else read_checkpoint(source)
    ours = module.state_dict()
    theirs = align(tensors, ours)
    fitting = {name: tensor for name, tensor in theirs.items() if name in ours and _fits(tensor, ours[name])}
    report = LoadReport(
        source="The given tensors" if given else Path(str(source)).name,
        loaded=_loud(fitting),
        missing=_loud(name for name in ours if name not in theirs),
        unexpected=_loud(name for name in theirs if name not in ours),
        mismatched={
            name: (tuple(tensor.shape), tuple(ours[name].shape))
            for name, tensor in theirs.items()
            if name in ours and name not in fitting
        },
    )
    whole = report.complete or (allow_more and not (report.missing or report.mismatched))
    if not report.loaded or not (whole or allow_partial):
        way_out = "\nTo load only the tensors that fit: --allow-partial (allow_partial=True)." if report.loaded else ""
        raise CheckpointError(f"The checkpoint does not fit the model; nothing was loaded.\n{report}{way_out}")
    ready = {name: tensor.to(ours[name].device, ours[name].dtype) for name, tensor in fitting.items()}
    if broken := [name for name, tensor in ready.items() if not tensor.isfinite().all()]:
        raise CheckpointError(
            f"{report.source} holds numbers that are infinite or NaN, in {len(broken)} of {len(ready)} tensors, such "
            f"as {broken[0]}; nothing was loaded. Its training diverged or it is damaged: take an earlier checkpoint."
        )
    with torch.no_grad():
        for name, tensor in ready.items():
            ours[name].copy_(tensor)
    return report


def save_safetensors(
    state: Mapping[str, Tensor],
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = True,
    bytes_from: int | None = None,
) -> Path:
    """Writes tensors as safetensors, whole or not at all.

    Args:
        state: tensors by name, e.g. `model.state_dict()`.
        path: the file; an older one is replaced.
        metadata: text by key, kept in the file's head.
        half: convolution and linear weights in float16. Norms and biases keep their type: running variances may lie
            outside of float16's range, and they take no room.
        bytes_from: weights of so many numbers or more as int8, each output channel with its own scale.

    Raises:
        ValueError: a weight is not finite in float16.
    """
    from safetensors.torch import save

    path = Path(path)
    ready = {}
    for name, tensor in state.items():
        plain = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        large = bytes_from is not None and plain.numel() >= bytes_from
        if large and plain.is_floating_point() and plain.dim() > 1:
            scale = (plain.flatten(1).abs().amax(1) / 127).clamp(min=1e-12)
            ready[name + BYTE_SCALE] = scale
            plain = (plain / scale.view(-1, *[1] * (plain.dim() - 1))).round().to(torch.int8)
        elif half and plain.is_floating_point() and plain.dim() > 1:
            plain = plain.half()
            if not plain.isfinite().all():
                raise ValueError(f"{name} does not fit float16. Save it with half=False.")
        ready[name] = plain
    with replacing(path) as scratch:
        scratch.write_bytes(save(ready, dict(metadata or {})))
    return path


def _fits(theirs: Tensor, ours: Tensor) -> bool:
    return theirs.shape == ours.shape and theirs.is_floating_point() == ours.is_floating_point()


def _loud(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        name for name in names if not name.endswith(_QUIET_ENDINGS) and not any(part in name for part in _QUIET_PARTS)
    )


def _grouped(title: str, names: tuple[str, ...]) -> list[str]:
    """Lines such as `  backbone.bottom_up.stage5: 12 tensors (OSA5_1.ese.fc.weight, …)`."""
    if not names:
        return []
    groups: dict[str, list[str]] = {}
    for name in names:
        head = ".".join(name.split(".")[:-1][:_GROUP_DEPTH])
        groups.setdefault(head, []).append(name.removeprefix(f"{head}."))
    lines = [f"{title} ({len(names)}):"]
    for head, rest in groups.items():
        shown = ", ".join(rest[:_NAMES_SHOWN]) + (", …" if len(rest) > _NAMES_SHOWN else "")
        lines.append(f"  {head or '(top)'}: {len(rest)} tensor{'s' if len(rest) > 1 else ''} ({shown})")
    return lines


def _difference(theirs: tuple[int, ...], ours: tuple[int, ...]) -> str:
    if theirs == ours:
        return "fractions on one side, whole numbers on the other"
    return f"{_by(theirs)} in the checkpoint, {_by(ours)} in the model"


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"

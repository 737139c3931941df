"""Training a backbone to give the maps that a trained detector's gives.

Boxes say something of a few places of a picture; a teacher's pyramid says something of every cell of every level. A
backbone that learns from both is usable after a fraction of the iterations, and starts best from the teacher's heads,
which then read maps that they know.

Sources: Romero et al., FitNets (arXiv 1412.6550); Li, Jin and Yan, Mimicking Very Efficient Network for Object
Detection (CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

LOSS = "loss_imitation"
_BACKBONE = ("backbone.bottom_up.", "backbone.fpn_lateral")


class Imitation:
    """Adds to a model's losses how far its pyramid is from a teacher's, by hooks, so that no file knows the teacher."""

    def __init__(self, model: nn.Module, teacher: nn.Module, weight: float) -> None:
        """Hooks into a detectron2 model, in place.

        Args:
            model: learns; its losses gain `loss_imitation` while it is in training mode.
            teacher: gives maps of the same names, channels and strides for the same image.
            weight: of the loss.

        Raises:
            ValueError: the two pyramids differ.
        """
        student: Any = model
        known: Any = teacher.eval().requires_grad_(requires_grad=False)
        self._teacher = known.backbone.to(memory_format=torch.channels_last)  # what convolutions read fastest
        self._weight, self._loss = weight, torch.zeros(())
        own, other = student.backbone.output_shape(), self._teacher.output_shape()
        for name, shape in own.items():
            if name not in other or (shape.channels, shape.stride) != (other[name].channels, other[name].stride):
                has = f"{other[name].channels} channels, stride {other[name].stride}" if name in other else "missing"
                raise ValueError(
                    f"The teacher's {name} ({has}) is not the model's ({shape.channels} channels, stride "
                    f"{shape.stride}): MODEL.FPN has to be the same in both."
                )
        self._scale = student.pixel_std / known.pixel_std
        self._shift = (student.pixel_mean - known.pixel_mean) / known.pixel_std
        student.backbone.register_forward_hook(self._watch)
        model.register_forward_hook(self._add)

    def _watch(self, backbone: nn.Module, inputs: tuple[Tensor], maps: Mapping[str, Tensor]) -> None:
        if not backbone.training:
            return
        with torch.no_grad():
            wanted = self._teacher(inputs[0] * self._scale + self._shift)
        self._loss = torch.stack([relative_square(own, wanted[name]) for name, own in maps.items()]).mean()

    def _add(self, model: nn.Module, _: object, output: Any) -> Any:
        return output | {LOSS: self._weight * self._loss} if model.training else output


def take_heads(model: nn.Module, teacher: nn.Module) -> list[str]:
    """Copies the teacher's weights but for its backbone's and lateral convolutions', where they fit.

    Returns:
        The names of what was copied.
    """
    own = model.state_dict()
    taken = {
        name: value
        for name, value in teacher.state_dict().items()
        if not name.startswith(_BACKBONE) and name in own and own[name].shape == value.shape
    }
    model.load_state_dict(taken, strict=False)
    return list(taken)


def relative_square(map_: Tensor, wanted: Tensor) -> Tensor:
    """Returns the mean squared difference of two maps by the mean square of the second, as float32."""
    wanted = wanted.float()
    return (map_.float() - wanted).square().mean() / wanted.square().mean().clamp(min=1e-6)

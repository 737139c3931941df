"""A backbone that learns a teacher's maps: what counts as the same, what is learnt, and what is left alone."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from explorer.config import load_config
from explorer.engine.detector import Detector
from explorer.engine.training.checkpointing import METRICS, read_metrics, read_state
from explorer.engine.training.command import job
from explorer.engine.training.imitation import LOSS, Imitation, relative_square, take_heads
from explorer.engine.training.recipe import give_teacher

pytestmark = pytest.mark.usefixtures("no_log_files")
FASTER = "faster_rcnn_V_39_FPN_3x"


def pair(tiny: Callable[..., Detector], *overrides: str) -> tuple[nn.Module, nn.Module]:
    student = copy.deepcopy(tiny(FASTER, *overrides).model)
    return student, copy.deepcopy(student)


def imitation_loss(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """The loss that a training step on `image` would have, without a step's other parts."""
    known: Imitation = next(iter(model._forward_hooks.values())).__self__  # type: ignore[attr-defined]
    model.train()
    model.backbone(image)  # type: ignore[operator]
    found: torch.Tensor = known._add(model, None, {})[LOSS]
    return found


def test_a_model_has_nothing_to_learn_from_itself_even_where_pixels_are_scaled_otherwise(
    tiny: Callable[..., Detector],
) -> None:
    student, teacher = pair(tiny)
    teacher.pixel_std, teacher.pixel_mean = 2 * teacher.pixel_std, teacher.pixel_mean + 3  # type: ignore[operator]
    Imitation(student, teacher, 1.0)
    photo = torch.rand(1, 3, 64, 96) * 255
    normalised = (photo - student.pixel_mean) / student.pixel_std  # type: ignore[operator]
    with torch.no_grad():
        wanted = teacher.backbone((photo - teacher.pixel_mean) / teacher.pixel_std)  # type: ignore[operator]
        own = student.backbone(normalised)  # type: ignore[operator]
        expected = torch.stack([relative_square(own[name], wanted[name]) for name in own]).mean()
        found = imitation_loss(student, normalised)
    assert expected > 0, "the teacher must see its own normalisation, or this shows nothing"
    torch.testing.assert_close(found, expected)


def test_steps_bring_the_maps_nearer_and_leave_the_teacher_as_it_was(tiny: Callable[..., Detector]) -> None:
    torch.manual_seed(1)
    student, teacher = pair(tiny, "MODEL.BACKBONE.FREEZE_AT", "0", "MODEL.VOVNET.NORM", "BN")
    for weight in student.backbone.parameters():  # type: ignore[union-attr]
        weight.data += 0.02 * torch.randn_like(weight)
    before = copy.deepcopy(teacher.state_dict())
    names = set(student.state_dict())
    Imitation(student, teacher, 2.0)
    assert set(student.state_dict()) == names
    optimizer = torch.optim.Adam(student.backbone.parameters(), 1e-3)  # type: ignore[union-attr]
    image = torch.randn(2, 3, 64, 96)
    losses = []
    for _ in range(12):
        loss = imitation_loss(student, image)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not any(weight.requires_grad for weight in teacher.parameters())


def test_a_model_in_evaluation_mode_gives_what_it_gave(tiny: Callable[..., Detector]) -> None:
    student, teacher = pair(tiny)
    Imitation(student, teacher, 1.0)
    student.eval()
    with torch.no_grad():
        (found,) = student([{"image": torch.rand(3, 48, 64) * 255, "height": 48, "width": 64}])
    assert "instances" in found


def test_another_pyramid_is_refused(tiny: Callable[..., Detector]) -> None:
    student, _ = pair(tiny)
    other = tiny(FASTER, "MODEL.FPN.OUT_CHANNELS", "32").model
    with pytest.raises(ValueError, match=r"p2 \(32 channels, stride 4\) is not the model's \(16 channels"):
        Imitation(student, other, 1.0)
    with pytest.raises(ValueError, match=r"p2 \(missing\)"):
        Imitation(student, tiny("retinanet_V_39_FPN_3x").model, 1.0)


def test_the_heads_are_the_teacher_s_where_they_fit(tiny: Callable[..., Detector]) -> None:
    teacher = tiny(FASTER).model
    model = tiny(FASTER, "MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.VOVNET.CONV_BODY", "V-19-slim-eSE").model
    for weight in model.parameters():
        nn.init.constant_(weight, 7.0)
    taken = set(take_heads(model, teacher))
    assert {"backbone.fpn_output2.weight", "proposal_generator.rpn_head.conv.weight"} < taken
    assert not any("bottom_up" in name or "lateral" in name or "cls_score" in name for name in taken)
    given = teacher.state_dict()
    for name, value in model.state_dict().items():
        if name in taken:
            assert torch.equal(value, given[name])
        elif name.endswith("weight") and value.ndim > 1:
            assert (value == 7).all()


def test_a_training_learns_from_the_detector_that_the_config_names(
    short_training: Callable[..., Namespace], tmp_path: Path
) -> None:
    keys = ["MODEL.FPN.OUT_CHANNELS", "64", "MODEL.FPN.NORM", "GN", "SOLVER.TEACHER.NAME", "demo/V-19-slim-dw"]
    job(short_training(FASTER, *keys))
    rows = [row for row in read_metrics(tmp_path / "run" / METRICS) if LOSS in row]
    assert rows
    assert 0 < rows[-1][LOSS] < 10
    weights = read_state(tmp_path / "run" / "model_final.pth")["model"]
    assert not any("teacher" in name for name in weights)


def test_a_teacher_that_reads_colours_in_another_order_is_refused() -> None:
    keys = ["SOLVER.TEACHER.NAME", "demo/V-19-slim-dw", "INPUT.FORMAT", "RGB", "MODEL.DEVICE", "cpu"]
    with pytest.raises(ValueError, match=r"set INPUT\.FORMAT to the teacher's"):
        give_teacher(load_config(FASTER, keys), nn.Identity())

"""A unit notices the pixels of its theoretical field and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from explorer.backbones.vovnet import VoVNet
from explorer.receptive_field.perturbation import perturb
from explorer.receptive_field.theoretical import theoretical_fields


@pytest.mark.parametrize("layer", ["stage2", "stage3"])
def test_a_vovnets_unit_notices_its_field_alone(layer: str) -> None:
    torch.manual_seed(0)
    network = VoVNet("V-19-slim-dw-eSE", norm="BN", out_features=["stage2", "stage3"]).train()
    field = theoretical_fields(network, (192, 192), ignore_global=True)[layer]
    noticed = perturb(network, field, torch.randn(1, 3, 192, 192))
    assert noticed.outside == 0
    assert 0 < noticed.edge < noticed.inside
    assert noticed.pixels_inside == field.mask(*noticed.unit).sum()
    assert network.training


def test_a_field_that_is_too_small_is_found_out() -> None:
    true = theoretical_fields(nn.Sequential(nn.Conv2d(3, 2, 5, padding=2)), (20, 20))["0"]
    smaller = theoretical_fields(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), (20, 20))["0"]
    network, image = nn.Sequential(nn.Conv2d(3, 2, 5, padding=2)), torch.randn(1, 3, 20, 20)
    assert perturb(network, true, image).outside == 0
    assert perturb(network, replace(smaller, layer="0"), image).outside > 0
    with pytest.raises(ValueError, match="the field's input"):
        perturb(network, true, torch.randn(1, 3, 20, 21))

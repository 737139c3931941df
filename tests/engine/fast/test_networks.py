"""Networks made ready by OpenVINO: how many stay in memory, and which errors mean that it cannot take one."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from explorer.engine.fast import networks
from explorer.engine.fast.networks import MOST_KEPT, NotFastError, openvino_model, openvino_network

pytest.importorskip("openvino")

MANY = """
import gc, torch
from torch import nn
from explorer.engine.fast import networks

class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU(), nn.Conv2d(channels, 4, 3))

    def forward(self, x):
        return (self.layers(x),)

for number in range(30):
    net, x = Net(8 + number).eval(), torch.randn(1, 3, 32 + number, 32)
    ready = networks.openvino_network(networks.openvino_model(net, x), torch.float32)
    assert torch.allclose(ready(x)[0], net(x)[0], atol=1e-4)
    del ready, net
    gc.collect()
    assert len(networks._kept) <= 2
    filled = {str(key): [key] for key in range(50_000)}
    assert all(filled[str(key)] == [key] for key in range(50_000))
print("all there")
"""


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.layer(x),)


def test_few_compiled_models_stay_and_those_in_use_go_on_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MOST_KEPT, "1")
    nets, x = [Small().eval() for _ in range(3)], torch.randn(1, 3, 16, 16)
    ready = [openvino_network(openvino_model(net, x), torch.float32) for net in nets]
    assert len(networks._kept) == 1
    for net, own in zip(nets, ready, strict=True):
        assert torch.allclose(own(x)[0], net(x)[0], atol=1e-4)


def test_no_number_of_models_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MOST_KEPT, "many")
    with pytest.raises(ValueError, match=f"{MOST_KEPT} is 'many': give how many"):
        openvino_network(openvino_model(Small().eval(), torch.randn(1, 3, 16, 16)), torch.float32)


def test_what_openvino_has_no_rule_for_is_not_fast() -> None:
    class Histogram(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return (torch.histc(x, 5),)

    with pytest.raises(NotFastError, match="OpenVINO cannot convert it"):
        openvino_model(Histogram(), torch.randn(1, 3, 8, 8))


def test_errors_that_are_no_engines_go_through() -> None:
    class Dying(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] can't allocate memory")

    with pytest.raises(RuntimeError, match="can't allocate memory") as caught:
        openvino_model(Dying(), torch.randn(1, 3, 8, 8))
    assert not isinstance(caught.value, NotFastError)


@pytest.mark.slow
def test_thirty_models_can_be_let_go_of_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MOST_KEPT, "2")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MANY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "all there"), done.stderr

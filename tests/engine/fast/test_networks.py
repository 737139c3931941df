"""Networks made ready by OpenVINO: those let go of leave memory, and which errors mean that it cannot take one."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from explorer.engine.fast.networks import NotFastError, openvino_core, openvino_model, openvino_network

pytest.importorskip("openvino")

MANY = """
import gc, torch
from pathlib import Path
from torch import nn
from explorer.engine.fast import networks

class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.last = nn.Linear(channels, 1 << 20)  # 32 MB and more

    def forward(self, x):
        return (self.last(self.layers(x)),)

def resident_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

taken = []
for number in range(30):
    net, x = Net(8 + number % 4).eval(), torch.randn(1, 3, 32 + number, 32)
    ready = networks.openvino_network(networks.openvino_model(net, x), torch.float32)
    assert torch.allclose(ready(x)[0], net(x)[0], atol=1e-4)
    del ready, net
    gc.collect()
    taken.append(resident_mb())
    filled = {str(key): [key] for key in range(50_000)}
    assert all(filled[str(key)] == [key] for key in range(50_000))
print(taken[-1] - taken[9])
"""


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.layer(x),)


def test_networks_in_use_go_on_running_when_others_are_let_go_of() -> None:
    nets, x = [Small().eval() for _ in range(3)], torch.randn(1, 3, 16, 16)
    ready = [openvino_network(openvino_model(net, x), torch.float32) for net in nets]
    last = ready.pop()(x)[0]  # the maps of one that is gone
    gc.collect()
    for net, own in zip(nets, ready, strict=False):
        assert torch.allclose(own(x)[0], net(x)[0], atol=1e-4)
    assert torch.allclose(last, nets[-1](x)[0], atol=1e-4)
    assert openvino_core() is openvino_core()


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
def test_thirty_models_let_go_of_in_one_process_leave_no_weights_in_memory() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MANY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 200  # twenty of them weigh 800 MB

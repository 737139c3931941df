"""Models of the page in another number format: which one, and that it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from explorer.engine.fast import model as fast_model
from explorer.engine.fast.hardware import Hardware, UnavailableError
from explorer.engine.loading import load_detector
from explorer.ui.actions import number_format
from explorer.ui.actions.compare import compare
from explorer.ui.actions.models import Models, memory_mb
from explorer.ui.actions.speed import inputs_of

NAME = "demo/V-19-slim-dw"


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the machine can do, wherever it is asked."""

    def has(**said: bool) -> None:
        monkeypatch.setattr("explorer.engine.fast.hardware.probe", lambda _: Hardware("cpu", **said))
        monkeypatch.setattr(fast_model, "probe", lambda _: Hardware("cpu", **said))

    return has


def test_what_models_compute_in_is_said_above_the_pictures(hardware: Any, photo: Path) -> None:
    hardware(bfloat16=True)
    models = Models(inference={"dtype": "auto"}, warm=False)
    found = compare(models, [NAME], photo, timed=False)
    assert found.cautions[0] == (
        f"{NAME} runs in bfloat16, which this hardware supports natively. Scores and boxes differ slightly from those "
        "in float32."
    )
    fast = models.get(NAME).fast
    assert fast is not None
    assert fast.plan.dtype is torch.bfloat16
    assert inputs_of(models, [NAME], found.image_bgr)[NAME].endswith(", bfloat16")


def test_float32_is_explained_where_the_format_was_left_open(hardware: Any, photo: Path) -> None:
    hardware(bfloat16=False)
    found = compare(Models(inference={"dtype": "auto"}, warm=False), [NAME], photo, timed=False)
    assert found.cautions[0] == f"{NAME} runs in float32: this hardware has neither native bfloat16 nor int8."
    assert not compare(Models(warm=False), [NAME], photo, timed=False).formats


def test_a_format_that_is_not_available_is_refused_at_the_start(hardware: Any) -> None:
    hardware(bfloat16=False)
    number_format.check_inference({})
    number_format.check_inference({"dtype": "auto", "exact": False})
    number_format.check_inference({"dtype": "bfloat16", "emulate": True})
    for dtype, words in (("bfloat16", "no native bfloat16"), ("int8", "int8 cannot be used"), ("float8", "'float8'")):
        with pytest.raises(ValueError, match=words) as caught:
            number_format.check_inference({"dtype": dtype})
        assert isinstance(caught.value, UnavailableError) == (dtype != "float8")


def test_openvino_runs_int8_alone_and_its_maps_count_as_memory(hardware: Any) -> None:
    hardware(bfloat16=True, openvino=True, int8=True)
    engines = {dtype: number_format.engine_of({"dtype": dtype}, "cpu") for dtype in ("float32", "auto", "int8")}
    assert engines == {"float32": "torch", "auto": "torch", "int8": "auto"}
    hardware(bfloat16=False, openvino=True, int8=True)
    assert number_format.engine_of({"dtype": "auto"}, "cpu") == "auto"
    plain, engine = (load_detector(NAME, device="cpu", engine=engine) for engine in ("torch", "openvino"))
    assert memory_mb(engine) > memory_mb(plain) + 100

"""Exports say what the model says, are read as data, and refuse what could be more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.config import load_config
from explorer.data.images import read_image
from explorer.engine.building import make_detector
from explorer.engine.detector import Detector
from explorer.engine.fast import export as export_module
from explorer.engine.fast.export import FORMATS, ExportError, check_onnx, export, is_export, load_export
from explorer.engine.loading import load_detector
from explorer.zoo.trained import EXPORT

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


def photos_in(coco_tiny: Path) -> list[Path]:
    found = sorted((coco_tiny / "val2017").glob("*.jpg"))
    assert len(found) >= 3
    return found


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo/V-19-slim-dw", device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "240"], exact=True)


@pytest.fixture(scope="module")
def photo(coco_tiny: Path) -> np.ndarray:
    return read_image(photos_in(coco_tiny)[0])


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_an_export_is_a_model(demo: Detector, photo: np.ndarray, coco_tiny: Path, tmp_path: Path, kind: str) -> None:
    record = export(demo, photo, tmp_path / "out", kind)  # type: ignore[arg-type]
    assert record["max_rel_error"] < 1e-4
    assert record["outputs"][:5] == ["p2", "p3", "p4", "p5", "p6"]
    assert json.loads((tmp_path / "out" / EXPORT).read_text())["sha256"] == record["sha256"]
    assert is_export(tmp_path / "out")
    read = load_detector(tmp_path / "out", device="cpu")
    assert read.class_names == demo.class_names
    for path in photos_in(coco_tiny)[:2]:
        found, wanted = read.detect(read_image(path)).detections, demo.detect(read_image(path)).detections
        assert len(found) == len(wanted) > 0
        np.testing.assert_array_equal(found.classes, wanted.classes)
        np.testing.assert_allclose(found.boxes_xyxy, wanted.boxes_xyxy, atol=0.05)
    with pytest.raises(ValueError, match="its own weights"):
        load_detector(tmp_path / "out", exact=True)
    with pytest.raises(ValueError, match=r"runs on the CPU: the device is 'meta'"):
        load_detector(tmp_path / "out", device="meta")


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
@pytest.mark.parametrize("name", ["hgnetv2_b1", pytest.param("repvgg_a0", marks=pytest.mark.slow)])
def test_a_timm_peer_is_exported(name: str, kind: str, photo: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    keys = ["MODEL.TIMM.NAME", name, "MODEL.TIMM.NORM", "FrozenBN", "INPUT.MIN_SIZE_TEST", "160"]
    peer = make_detector(load_config("timm/faster_rcnn_hgnetv2_b1_FPN_3x", keys), name, device="cpu")
    assert export(peer, photo, tmp_path, kind)["max_rel_error"] < 1e-4  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_an_export_of_centermask_gives_its_boxes_masks_and_scores(
    tiny_centermask: Detector, photo: np.ndarray, tmp_path: Path, kind: str
) -> None:
    record = export(tiny_centermask, photo, tmp_path, kind)  # type: ignore[arg-type]
    assert record["max_rel_error"] < 1e-4
    assert record["outputs"] == ["p3", "p4", "p5", "p6", "p7", *(f"dense head {i}" for i in range(15))]
    found, wanted = (one.detect(photo).detections for one in (load_detector(tmp_path, device="cpu"), tiny_centermask))
    assert len(found) == len(wanted) > 0
    np.testing.assert_allclose(np.sort(found.scores), np.sort(wanted.scores), atol=1e-3)
    assert found.masks is not None
    assert found.mask_scores is not None


def test_a_missing_package_of_a_format_is_named_with_its_command(
    tiny: Callable[..., Detector], photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"onnx needs onnx and onnxruntime.* pip install 'vovnet-explorer\[export\]'"):
        export(tiny("faster_rcnn_V_19_slim_dw_FPNLite_3x"), photo, tmp_path, "onnx")
    assert list(tmp_path.iterdir()) == []


def test_deformable_convolutions_go_to_openvino_and_not_to_onnx(
    tiny: Callable[..., Detector], photo: np.ndarray, tmp_path: Path
) -> None:
    wide = ["MODEL.FPN.OUT_CHANNELS", "64", "MODEL.VOVNET.CONV_BODY", "V-19-eSE"]
    deformable = tiny("centermask_V_39_eSE_dcn_FPN_ms_3x", *wide)
    assert export(deformable, photo, tmp_path / "openvino", "openvino")["max_rel_error"] < 1e-4
    with pytest.raises(ExportError, match=r"ONNX cannot represent this model .*deform_conv2d"):
        export(deformable, photo, tmp_path / "onnx", "onnx")


def test_torchscript_is_written_and_not_read(demo: Detector, photo: np.ndarray, tmp_path: Path) -> None:
    assert export(demo, photo, tmp_path, "torchscript")["max_rel_error"] < 1e-4
    with pytest.raises(ValueError, match="TorchScript is code"):
        load_export(tmp_path)


def test_what_was_changed_is_not_read(demo: Detector, photo: np.ndarray, tmp_path: Path) -> None:
    export(demo, photo, tmp_path, "openvino")
    weights = tmp_path / "trunk.bin"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ValueError, match="not the file that was exported"):
        load_export(tmp_path)
    (tmp_path / EXPORT).write_text("{")
    with pytest.raises(ValueError, match="is not an exported model"):
        load_export(tmp_path)


def test_what_differs_is_not_kept(
    demo: Detector, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "relative_error", lambda *maps: 2e-4)
    with pytest.raises(ExportError, match=r"differs from the model by 2\.0e-04"):
        export(demo, photo, tmp_path, "onnx")
    assert not list(tmp_path.iterdir())


def test_the_call_is_checked(demo: Detector, photo: np.ndarray, tmp_path: Path, tiny: Callable[..., Detector]) -> None:
    with pytest.raises(ValueError, match="format 'tflite'"):
        export(demo, photo, tmp_path, "tflite")  # type: ignore[arg-type]
    assert FORMATS == ("onnx", "openvino", "torchscript")


def network(**changes: object) -> object:
    """A small ONNX model with one weight."""
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [2.0])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    node = onnx.helper.make_node("Mul", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:], [weight])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


def test_onnx_with_other_operators_or_other_files_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    plain = network()
    onnx.save(plain, file)
    check_onnx(file)
    foreign = network()
    foreign.opset_import.append(onnx.helper.make_opsetid("com.somebody", 1))
    file.write_bytes(foreign.SerializeToString())
    with pytest.raises(ValueError, match=r"operators of com\.somebody"):
        check_onnx(file)
    outside = network()
    tensor = outside.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    file.write_bytes(outside.SerializeToString())
    with pytest.raises(ValueError, match=r"other files \(w\)"):
        check_onnx(file)
    inner = network()
    hidden = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    inner.graph.node.append(hidden)
    file.write_bytes(inner.SerializeToString())
    with pytest.raises(ValueError, match="other files"):
        check_onnx(file)
    file.write_bytes(b"no onnx")
    with pytest.raises(ValueError, match="not an ONNX file"):
        check_onnx(file)


def test_a_trunk_keeps_any_batch_and_size(demo: Detector, tmp_path: Path) -> None:
    from explorer.engine.fast.export import write_trunk
    from explorer.engine.fast.networks import onnx_network
    from explorer.engine.fast.trunk import Trunk

    write_trunk(Trunk(demo.model), tmp_path / "trunk.onnx", "onnx")
    images = torch.randn(2, 3, 96, 160)
    with torch.no_grad():
        wanted = Trunk(demo.model)(images)
    for found, own in zip(onnx_network(tmp_path / "trunk.onnx")(images), wanted, strict=True):
        torch.testing.assert_close(found, own, rtol=1e-3, atol=1e-3)

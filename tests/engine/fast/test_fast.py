"""The fast way gives what the model gives: maps, pooled boxes, detections; and takes the next best where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes, Instances
from torch import nn

from explorer.backbones import TimmBackbone
from explorer.data.aerial import make_aerial, render_scene
from explorer.data.coco import register_coco
from explorer.data.images import read_image
from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.fast import model as fast_model
from explorer.engine.fast.folding import fold_norms
from explorer.engine.fast.hardware import Hardware, Plan, choose, probe
from explorer.engine.fast.model import FastModel, with_parts
from explorer.engine.fast.networks import NotFastError, prepare
from explorer.engine.fast.pooling import BagPooler
from explorer.engine.fast.trunk import Trunk
from explorer.engine.loading import fast, load_detector
from explorer.engine.speed.modes import MODES, NotHereError, make_runner
from explorer.types import Detections

OLD = Hardware("cpu", bfloat16=False)
ZEN = Hardware("cpu", bfloat16=True, compiler=True, openvino=True)
ARM = Hardware("cpu", bfloat16=True, compiler=True)
HOPPER = Hardware("cuda", bfloat16=True, compiler=True)


@pytest.mark.parametrize(
    ("hardware", "dtype", "engine", "expected"),
    [
        (OLD, "auto", "auto", ("torch", torch.float32)),
        (ZEN, "auto", "auto", ("openvino", torch.bfloat16)),
        (ZEN, "float32", "auto", ("openvino", torch.float32)),
        (ZEN, "auto", "torch", ("torch", torch.bfloat16)),
        (ZEN, "auto", "compile", ("compile", torch.bfloat16)),
        (ARM, "auto", "auto", ("torch", torch.bfloat16)),
        (HOPPER, "auto", "auto", ("torch", torch.bfloat16)),
        (HOPPER, "float32", "compile", ("compile", torch.float32)),
    ],
)
def test_the_plan_follows_from_the_hardware(
    hardware: Hardware, dtype: str, engine: str, expected: tuple[str, torch.dtype]
) -> None:
    assert choose(hardware, dtype, engine) == Plan(*expected)  # type: ignore[arg-type]


def test_what_is_not_there_is_replaced_and_said() -> None:
    plan = choose(OLD, "auto", "compile")
    assert (plan.engine, plan.dtype) == ("torch", torch.float32)
    assert "neither native bfloat16" in plan.reason
    assert "no compiler" in plan.why
    assert "not installed" in choose(OLD, "float32", "openvino").why
    assert choose(HOPPER, "float32", "openvino").engine == "torch"
    with pytest.raises(ValueError, match="number format 'float16'"):
        choose(ZEN, "float16")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="engine 'tensorrt'"):
        choose(ZEN, "auto", "tensorrt")  # type: ignore[arg-type]


def test_norms_fold_into_the_convolutions_before_them() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), FrozenBatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    layers.append(nn.BatchNorm2d(4)).append(nn.GroupNorm(2, 4)).eval()
    for norm in (layers[1], layers[4]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.1, 2)
        nn.init.normal_(norm.weight)
    image = torch.randn(2, 3, 9, 7)
    with torch.no_grad():
        before = layers(image)
        assert fold_norms(layers) == 2
        torch.testing.assert_close(layers(image), before)
    assert not any(isinstance(part, (FrozenBatchNorm2d, nn.BatchNorm2d)) for part in layers)
    learning = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    assert fold_norms(learning) == 0


@pytest.mark.parametrize("norm", ["", "FrozenBN"])
def test_branches_of_a_timm_network_merge(norm: str) -> None:
    torch.manual_seed(0)
    network = TimmBackbone("repvgg_a0", norm=norm).eval()
    for part in network.modules():
        if hasattr(part, "running_var"):
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.6, 1.4)
    image = torch.randn(1, 3, 96, 160)
    with torch.no_grad():
        before = network(image)
        fold_norms(network)
        for name, wanted in before.items():
            torch.testing.assert_close(network(image)[name], wanted, rtol=1e-4, atol=1e-5 * wanted.abs().max().item())
    assert not any(hasattr(part, "running_var") for part in network.modules())


def boxes_of_all_kinds(count: int, seed: int) -> Boxes:
    """Small and large, thin, across every border, outside, and without width."""
    random = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 2, generator=random) * torch.tensor([300.0, 200.0])
    half = torch.rand(count, 2, generator=random) ** 3 * 200
    boxes = torch.cat((middle - half, middle + half), 1)
    boxes[0] = torch.tensor([10.0, 10.0, 10.0, 30.0])
    boxes[1] = torch.tensor([290.0, 190.0, 400.0, 300.0])
    boxes[2] = torch.tensor([-90.0, -90.0, -20.0, -20.0])
    return Boxes(boxes)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("scales", [(1 / 4, 1 / 8, 1 / 16, 1 / 32), (1 / 8,)])
def test_pooling_is_torchvision_s(scales: tuple[float, ...], sampling_ratio: int) -> None:
    torch.manual_seed(0)
    plain = ROIPooler((7, 5) if len(scales) == 1 else 7, scales, sampling_ratio, "ROIAlignV2")
    maps = [torch.randn(2, 6, int(200 * scale), int(300 * scale)) for scale in scales]
    boxes = [boxes_of_all_kinds(40, 0), boxes_of_all_kinds(30, 1)]
    pooled = BagPooler(plain)([one.contiguous(memory_format=torch.channels_last) for one in maps], boxes)
    torch.testing.assert_close(pooled, plain(maps, boxes), rtol=1e-4, atol=1e-5)
    assert BagPooler(plain)(maps, [Boxes(torch.zeros(0, 4))] * 2).shape[0] == 0


def test_other_poolers_stay() -> None:
    assert not BagPooler.takes(ROIPooler(7, (1 / 4,), 0, "ROIAlign"))
    assert not BagPooler.takes(ROIPooler(7, (1 / 4,), 0, "ROIPool"))
    assert not BagPooler.takes(nn.Identity())


def photos_in(coco_tiny: Path) -> list[Path]:
    found = sorted((coco_tiny / "val2017").glob("*.jpg"))
    assert len(found) >= 3
    return found


def assert_same(found: Detections, wanted: Detections) -> None:
    assert len(found) == len(wanted) > 0
    np.testing.assert_array_equal(found.classes, wanted.classes)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes_xyxy, wanted.boxes_xyxy, atol=0.05)
    assert (found.masks is None) == (wanted.masks is None)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("model", ["demo/V-19-slim-dw", "demo/MobileNetV2"])
def test_photos_give_the_same_boxes_classes_and_order(coco_tiny: Path, model: str, engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    keys = ["INPUT.MIN_SIZE_TEST", "320"]
    plain = load_detector(model, device="cpu", overrides=keys, lowest_score=0.05, exact=True)
    quick = fast(plain, "float32", engine)  # type: ignore[arg-type]
    assert quick.fast is not None
    assert quick.fast.ready().max_rel_error < 1e-4
    assert {"backbone", "roi_heads.box_pooler", "roi_heads.box_head"} < quick.fast.ready().parts.keys()
    for path in photos_in(coco_tiny)[:3]:  # three sizes, one readied network
        photo = read_image(path)
        assert_same(quick.detect(photo).detections, plain.detect(photo).detections)


@pytest.mark.parametrize(
    "config",
    [
        "mask_rcnn_V_39_FPN_3x",
        "panoptic_fpn_V_39_FPN_3x",
        "retinanet_V_39_FPN_3x",
        "fcos_V_39_FPN_3x",
        "panoptic_centermask_V_39_eSE_FPN_ms_3x",
    ],
)
def test_every_kind_of_detector_runs_the_fast_way(
    tiny: Callable[..., Detector], noise: np.ndarray, config: str
) -> None:
    """Random weights give scores so alike that order means little: the raw maps and the counts are compared."""
    if config.startswith("fcos"):
        small = ["model.backbone.bottom_up.spec=V-19-slim-dw-eSE", "model.test_score_thresh=0"]
        size = [f"dataloader.test.mapper.augmentations.0.{key}=64" for key in ("short_edge_length", "max_size")]
        plain = load_detector(config, overrides=[*small, *size], device="cpu", exact=True)
    else:
        plain = tiny(config, *(["MODEL.FPN.OUT_CHANNELS", "64"] if "centermask" in config else []))
    quick = fast(plain, "float32", "torch")
    assert quick.fast is not None
    assert quick.fast.ready().max_rel_error < 1e-4
    found, wanted = quick.detect(noise), plain.detect(noise)
    np.testing.assert_allclose(np.sort(found.detections.scores), np.sort(wanted.detections.scores), atol=1e-3)
    assert (found.detections.masks is None) == (wanted.detections.masks is None)
    if wanted.panoptic is not None:
        assert found.panoptic is not None
        assert (found.panoptic.segment_ids == wanted.panoptic.segment_ids).mean() > 0.95


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_parts_of_centermask_run_the_fast_way(tiny_centermask: Detector, noise: np.ndarray, engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    quick = fast(tiny_centermask, "float32", engine)  # type: ignore[arg-type]
    assert quick.fast is not None
    heads = {f"roi_heads.{name}" for name in ("mask_pooler", "mask_head", "maskiou_head")}
    assert quick.fast.ready().parts.keys() == {"backbone", "proposal_generator.fcos_head", *heads}
    model: Any = tiny_centermask.model
    features = {name: torch.randn(2, 64, 128 >> level, 160 >> level) for level, name in enumerate(("p3", "p4", "p5"))}
    given = []
    for _ in range(2):
        both = [Instances((1024, 1280)), Instances((900, 1000))]
        for one, (seed, count) in zip(both, ((0, 30), (1, 20)), strict=True):
            one.pred_boxes, one.scores = Boxes(4 * boxes_of_all_kinds(count, seed).tensor), torch.full((count,), 0.5)
            one.pred_classes = torch.arange(count)
        given.append(both)
    clone: Any = with_parts(model, quick.fast.ready().parts)
    with torch.no_grad():
        found, wanted = (
            one.roi_heads.forward_with_given_boxes(features, own)
            for one, own in zip((clone, model), given, strict=True)
        )
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.pred_masks, theirs.pred_masks, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.mask_scores, theirs.mask_scores, rtol=1e-4, atol=1e-5)
    detected, exact = (one.detect(noise).detections for one in (quick, tiny_centermask))
    np.testing.assert_allclose(np.sort(detected.scores), np.sort(exact.scores), atol=1e-3)
    assert detected.mask_scores is not None


def test_bfloat16_finds_objects_in_a_photo(coco_tiny: Path) -> None:
    """Nothing found in half precision is a known complaint about this family of detectors."""
    if not probe(torch.device("cpu")).bfloat16:
        pytest.skip("this processor does not compute in bfloat16")
    plain = load_detector("demo/V-19-slim-dw", device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "320"], exact=True)
    quick = fast(plain, "bfloat16", "torch")
    found, wanted = 0, 0
    for path in photos_in(coco_tiny)[:3]:
        photo = read_image(path)
        found += len(quick.detect(photo).detections)
        wanted += len(plain.detect(photo).detections)
    assert abs(found - wanted) <= 0.2 * wanted


def test_limits_set_on_the_model_hold_for_its_fast_way(tiny_mask_rcnn: Detector, noise: np.ndarray) -> None:
    quick = fast(tiny_mask_rcnn, "float32", "torch")
    assert len(quick.detect(noise).detections) > 3
    predictor = quick.model.roi_heads.box_predictor
    before = predictor.test_topk_per_image
    try:
        predictor.test_topk_per_image = 3
        assert len(quick.detect(noise).detections) == 3
    finally:
        predictor.test_topk_per_image = before


def test_weights_written_later_hold_for_the_fast_way(tiny_mask_rcnn: Detector, noise: np.ndarray) -> None:
    quick = fast(tiny_mask_rcnn, "float32", "torch")
    model = quick.model
    ready = quick.fast.ready()
    quick.detect(noise)
    assert quick.fast.ready() is ready, "made once, while nothing is written"
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    others = {name: tensor * 1.1 if name.startswith("backbone.fpn_output") else tensor for name, tensor in own.items()}
    try:
        model.load_state_dict(others)
        assert_same(quick.detect(noise).detections, tiny_mask_rcnn.detect(noise).detections)
        assert quick.fast.ready() is not ready
    finally:
        model.load_state_dict(own)


def test_no_proposal_is_no_error(tiny_mask_rcnn: Detector, noise: np.ndarray) -> None:
    quick = fast(tiny_mask_rcnn, "float32", "torch")
    predictor = quick.model.roi_heads.box_predictor
    before = predictor.test_score_thresh
    try:
        predictor.test_score_thresh = 1.0
        found = quick.detect(noise).detections
        assert len(found) == 0
        assert found.masks == ()
    finally:
        predictor.test_score_thresh = before


def test_the_model_itself_stays_as_it_was(tiny_mask_rcnn: Detector, noise: np.ndarray) -> None:
    model = tiny_mask_rcnn.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modules = dict(model.named_modules())
    fast(tiny_mask_rcnn, "float32", "torch").detect(noise)
    assert dict(model.named_modules()) == modules
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    clone = with_parts(model, {"roi_heads.box_head": nn.Identity()})
    assert isinstance(clone.roi_heads.box_head, nn.Identity)
    assert clone.backbone is model.backbone
    assert dict(model.named_modules()) == modules


def test_an_engine_that_fails_or_errs_is_not_taken(tiny_mask_rcnn: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = Trunk(tiny_mask_rcnn.model)

    def wrong(module: nn.Module, sample: torch.Tensor, plan: Plan) -> object:
        if plan.engine == "compile":
            raise NotFastError("no luck")
        network = prepare(module, sample, plan)
        return (lambda x: tuple(1.01 * out for out in network(x))) if isinstance(module, Trunk) else network

    monkeypatch.setattr(fast_model, "probe", lambda device: ZEN)
    monkeypatch.setattr(fast_model, "prepare", wrong)
    ready = FastModel(tiny_mask_rcnn.model, "float32", "compile").ready()
    assert not ready.parts, "a trunk that is off by one percent"
    assert "no luck" in ready.plan.why
    assert "differ from the model's by 1.0e-02" in ready.plan.why
    monkeypatch.setattr(
        fast_model, "prepare", lambda *given: wrong(*given) if given[2].engine == "compile" else prepare(*given)
    )
    ready = FastModel(tiny_mask_rcnn.model, "float32", "compile").ready()
    assert ready.plan.engine == "torch"
    assert ready.parts
    assert trunk.levels == ("p2", "p3", "p4", "p5", "p6")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "openvino", "compile"])
@pytest.mark.parametrize("config", ["faster_rcnn_V_39_FPN_3x", "faster_rcnn_R_50_FPN_3x", "faster_rcnn_Mv2_FPNLite_3x"])
def test_every_engine_agrees_on_full_networks(config: str, engine: str) -> None:
    from explorer.config import load_config
    from explorer.engine.building import make_detector

    hardware = probe(torch.device("cpu"))
    if not {"torch": True, "openvino": hardware.openvino, "compile": hardware.compiler}[engine]:
        pytest.skip(f"{engine} cannot be used here")
    torch.manual_seed(0)
    detector = make_detector(load_config(config), config, device="cpu")
    for dtype, bound in (("float32", 1e-4), *([("bfloat16", 0.25)] if hardware.bfloat16 else [])):
        ready = FastModel(detector.model, dtype, engine).ready()  # type: ignore[arg-type]
        assert ready.plan.engine == engine, ready.plan.why
        assert ready.max_rel_error < bound


@pytest.mark.slow
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "eager"])
@pytest.mark.parametrize("model", ["demo/V-19-slim-dw", "demo/MobileNetV2"])
def test_every_mode_finds_the_same_in_photos_and_scenes(coco_tiny: Path, model: str, mode: str) -> None:
    plain = load_detector(model, device="cpu", lowest_score=0.05, exact=True)
    pictures = [read_image(path) for path in photos_in(coco_tiny)[:4]]
    pictures += [render_scene(3, index=index).image for index in range(4)]
    for stage in ("backbone", "detector"):
        try:
            runner = make_runner(plain, mode, [plain.model_input(pictures[0])], stage)
        except NotHereError as error:
            pytest.skip(str(error))
        assert runner.max_rel_error < (1e-4 if runner.dtype == torch.float32 else 0.25)
    assert runner.detector is not None
    counts = np.zeros(2)
    for picture in pictures:
        found, wanted = (one.detect(picture).detections for one in (runner.detector, plain))
        counts += len(found), len(wanted)
        if runner.dtype == torch.float32:
            assert_same(found, wanted)
    assert counts[1] > 100
    assert abs(counts[0] - counts[1]) < 0.1 * counts[1]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["demo/V-19-slim-dw", "demo/V-19-slim-dw-bccd"])
def test_bfloat16_keeps_average_precision(tmp_path: Path, request: pytest.FixtureRequest, model: str) -> None:
    if not probe(torch.device("cpu")).bfloat16:
        pytest.skip("this processor does not compute in bfloat16")
    if model.endswith("bccd"):
        data = register_coco(f"{request.getfixturevalue('shared')}/data/bccd:test")
    else:
        make_aerial(tmp_path, images=300, seed=1)  # the whole set: half of it says 0.3 by chance
        data = register_coco(tmp_path)
    plain = load_detector(model, device="cpu", exact=True)
    exact, half = (evaluate(one, data).metrics.values["bbox"]["AP"] for one in (plain, fast(plain, "bfloat16")))
    assert exact > 40
    assert abs(half - exact) < 0.3


@pytest.mark.parametrize("threads", [1, 2])
def test_an_engine_that_fails_says_so_and_goes_on(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO pools no map that is smaller than the window; alone, one thread would give the last run's output."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    layer = nn.MaxPool2d(3, 2, ceil_mode=True)
    network = prepare(layer, torch.zeros(1, 3, 8, 8), Plan("openvino", torch.float32))
    for size, fails in ((8, False), (2, True), (8, False), (2, True), (16, False)):
        image = torch.rand(1, 3, size, size)
        if fails:
            with pytest.raises(RuntimeError, match="MaxPool"):
                network(image)
        else:
            torch.testing.assert_close(network(image)[0], layer(image))


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_photos_too_thin_for_the_engine_are_answered_by_the_model(size: tuple[int, int]) -> None:
    photo = np.full((*size, 3), 90, np.uint8)
    found, exact = (load_detector("demo/V-19-slim-dw", exact=way).detect(photo).detections for way in (False, True))
    np.testing.assert_allclose(found.scores, exact.scores, atol=1e-4)

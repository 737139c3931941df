"""What maps are turned into, held against what others compute."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.modeling.poolers import assign_boxes_to_levels
from detectron2.structures import Boxes
from sklearn.decomposition import PCA

from explorer.backbones.specs import VARIANTS
from explorer.backbones.vovnet import VoVNet
from explorer.data.aerial import render_scene
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.features.cam import detection_cam, eigen_cam, gradient_map
from explorer.features.capture import feature_maps, input_frame
from explorer.features.health import channel_health, effective_rank
from explorer.features.maps import channel, energy, top_channels, value_range
from explorer.features.pca import pca_rgb, principal_components
from explorer.features.places import crop
from explorer.features.scores import assigned_level, score_box
from explorer.features.usage import layer_usage
from explorer.types import FeatureMap, Frame

RNG = np.random.default_rng(0)


def a_map(channels: int = 6, rows: int = 8, columns: int = 10, layer: str = "p2") -> FeatureMap:
    values = RNG.normal(size=(channels, rows, columns)).astype(np.float32)
    size = (4 * rows, 4 * columns)
    return FeatureMap(layer, values, Frame(size, size, size, (4, 4)))


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo/V-19-slim-dw", device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "160"])


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return render_scene(3, size=(160, 200)).image


def test_energy_is_the_length_of_the_vector_without_the_padding() -> None:
    feature = a_map()
    padded = FeatureMap("p2", feature.values, Frame((30, 40), (30, 40), (32, 40), (4, 4)))
    np.testing.assert_allclose(energy(feature).values, np.linalg.norm(feature.values, axis=0), rtol=1e-6)
    assert energy(padded).values.shape == (8, 10)
    short = FeatureMap("p2", feature.values, Frame((20, 40), (20, 40), (32, 40), (4, 4)))
    assert energy(short).values.shape == (5, 10)
    assert "not necessarily an object" in energy(feature).says


def test_channels_are_ranked_by_what_is_asked() -> None:
    feature = a_map()
    feature.values[3] *= 10
    feature.values[5] = 0
    feature.values[5, 2:4, 2:4] = 1
    assert top_channels(feature, 1)[0].channel == 3
    assert top_channels(feature, 1, by="variance")[0].channel == 3
    assert top_channels(feature, 1, by="contrast", box_xyxy=(8, 8, 16, 16))[0].channel == 5
    assert [one.score for one in top_channels(feature, 9)] == sorted(
        (np.sqrt((values.astype(np.float64) ** 2).mean()) for values in feature.values), reverse=True
    )
    np.testing.assert_array_equal(channel(feature, 3).values, feature.values[3])
    for call, words in [
        (lambda: channel(feature, 6), "no channel 6; it has 6, 0 to 5"),
        (lambda: top_channels(feature, 0), "at least one channel"),
        (lambda: top_channels(feature, 1, by="size"), "cannot be ranked by 'size'"),  # type: ignore[arg-type]
        (lambda: top_channels(feature, 1, by="contrast"), "give box_xyxy"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


def test_principal_components_are_scikit_learns() -> None:
    vectors = RNG.normal(size=(200, 7)) @ RNG.normal(size=(7, 7))
    basis, reference = principal_components(vectors), PCA(3).fit(vectors)
    np.testing.assert_allclose(np.abs(basis.axes @ reference.components_.T), np.eye(3), atol=1e-6)
    np.testing.assert_allclose(np.abs(basis.project(vectors)), np.abs(reference.transform(vectors)), atol=1e-6)


def test_shared_channels_give_equal_vectors_equal_colours() -> None:
    first = a_map()
    second = FeatureMap("p3", first.values[:, ::-1].copy(), first.frame)
    a, b = pca_rgb([first, second], share="channels")
    np.testing.assert_array_equal(a.values, b.values[::-1])
    assert a.is_color
    with pytest.raises(ValueError, match="p2 6"):
        pca_rgb([first, a_map(5)], share="channels")
    wide = pca_rgb([first, a_map(5, layer="other")], share="places")
    assert [view.layer for view in wide] == ["p2", "other"]


def test_one_range_of_values_for_several_views() -> None:
    views = [energy(a_map()), energy(a_map())]
    together = np.concatenate([view.values.ravel() for view in views])
    assert value_range(views, percentile=100) == pytest.approx((together.min(), together.max()))
    with pytest.raises(ValueError, match="pca has colours"):
        value_range(pca_rgb([a_map()]))


def test_an_object_is_cut_out_where_it_lies() -> None:
    feature = a_map()
    part = crop(feature, (8, 12, 16, 20), margin=0)
    np.testing.assert_array_equal(part.values, feature.values[:, 3:5, 2:4])
    np.testing.assert_allclose(part.frame.to_image((0, 0, 2, 2)), (8, 12, 16, 20))
    assert crop(feature, (8, 12, 16, 20), margin=1).values.shape == (6, 6, 6)
    with pytest.raises(ValueError, match="in a photo of 40 × 32 pixels"):
        crop(feature, (50, 0, 60, 9))


def test_effective_rank_is_that_of_the_singular_values() -> None:
    matrix = RNG.normal(size=(9, 4)) @ RNG.normal(size=(4, 30))
    share = np.linalg.svd(matrix, compute_uv=False) / np.linalg.svd(matrix, compute_uv=False).sum()
    share = share[share > 1e-12]
    assert effective_rank(matrix) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-4)
    assert effective_rank(np.eye(5)) == pytest.approx(5)
    assert effective_rank(np.zeros((3, 4))) == 0


def test_dead_and_saturated_channels_are_counted() -> None:
    feature = a_map()
    feature.values[1] = 0
    feature.values[2] = 6
    feature.values[2, 0, 0] = 0
    health = channel_health(feature)
    assert (health.dead, health.saturated) == ((1,), (2,))
    assert health.zeros == pytest.approx((80 + 1) / 480)
    assert 1 <= health.effective_rank <= 5
    assert channel_health([feature, a_map()]).dead == ()
    with pytest.raises(ValueError, match="maps of one layer"):
        channel_health([feature, a_map(layer="p3")])


@pytest.mark.parametrize("name", VARIANTS)
def test_usage_is_the_energy_of_the_weights_that_read_each_layer(name: str) -> None:
    spec = VARIANTS[name]
    net = VoVNet(name)
    usages = layer_usage(net)
    assert len(usages) == sum(spec.blocks_per_stage)
    for block in usages:
        concat = net.get_submodule(block.block).concat[0]  # type: ignore[index]
        energies = (concat.weight.detach().double() ** 2).sum(dim=(0, 2, 3))
        starts = np.cumsum((0, *block.channels))
        assert starts[-1] == concat.in_channels
        expected = [float(energies[a:b].sum() / energies.sum()) for a, b in pairwise(starts)]
        assert block.share == pytest.approx(expected)
        assert len(block.share) == spec.layers_per_block + 1
        assert block.per_channel == pytest.approx(np.array(expected) * starts[-1] / block.channels)


def test_timms_vovnet_has_usage_and_other_networks_have_none() -> None:
    timm = pytest.importorskip("timm")
    assert len(layer_usage(timm.create_model("ese_vovnet19b_dw"))) == 4
    with pytest.raises(ValueError, match="no OSA block"):
        layer_usage(torch.nn.Conv2d(3, 3, 1))


@pytest.mark.parametrize("side", [4, 20, 60, 111, 113, 223, 225, 400, 900])
def test_a_box_belongs_to_detectron2s_level(side: int, demo: Detector) -> None:
    frame = Frame((1000, 1000), (1000, 1000), (1024, 1024))
    box = (50, 50, 50 + side, 50 + side)
    expected = assign_boxes_to_levels([Boxes(torch.tensor([box], dtype=torch.float32))], 2, 5, 224, 4)
    assert assigned_level(demo.model, frame, box) == f"p{2 + int(expected)}"


def test_scores_are_those_of_the_detections(demo: Detector, scene: np.ndarray) -> None:
    found = demo.detect(scene).detections
    model_input = demo.model_input(scene)
    with torch.no_grad():
        images = demo.model.preprocess_image([model_input])  # type: ignore[operator]
        features = demo.model.backbone(images.tensor)  # type: ignore[operator]
    frame = input_frame(demo.model, model_input)
    score = score_box(demo.model, features, frame, found.boxes_xyxy[0], int(found.classes[0]))
    assert score.probability == pytest.approx(float(found.scores[0]), abs=0.25)  # the box itself, not its proposal
    assert score.level == assigned_level(demo.model, frame, found.boxes_xyxy[0])


def test_scores_of_centermask_are_those_of_its_detections(tiny_centermask: Detector, scene: np.ndarray) -> None:
    found = tiny_centermask.detect(scene).detections
    model: Any = tiny_centermask.model
    model_input = tiny_centermask.model_input(scene)
    with torch.no_grad():
        features = model.backbone(model.preprocess_image([model_input]).tensor)
    frame = input_frame(model, model_input)
    for row in range(3):
        score = score_box(model, features, frame, found.boxes_xyxy[row], int(found.classes[row]))
        assert score.probability == pytest.approx(float(found.scores[row]), abs=0.01)  # clipped boxes can be alike
        assert score.level in model.proposal_generator.in_features
    with pytest.raises(ValueError, match="There is no class 80; the model has 80"):
        score_box(model, features, frame, found.boxes_xyxy[0], 80)
    cam = detection_cam(model, model_input, found.boxes_xyxy[0].tolist(), int(found.classes[0]))
    assert cam.view.values.max() > 0


@pytest.mark.parametrize(("side", "level"), [(30, "p3"), (100, "p3"), (200, "p4"), (400, "p5"), (700, "p6")])
def test_a_box_belongs_to_the_level_that_learns_it(side: int, level: str, tiny_centermask: Detector) -> None:
    """CenterMask's ranges are of the largest distance from a location to a side: about half of the box's own."""
    frame = Frame((1024, 1024), (1024, 1024), (1024, 1024))
    assert assigned_level(tiny_centermask.model, frame, (50, 50, 50 + side, 50 + side)) == level
    with pytest.raises(ValueError, match="No location of GeneralizedRCNN is assigned to the box"):
        assigned_level(tiny_centermask.model, frame, (50, 50, 51, 51))


def test_eigen_cam_is_the_first_singular_vector() -> None:
    feature = a_map()
    vectors = feature.values.reshape(6, -1).T.astype(np.float64)
    _, _, right = np.linalg.svd(vectors, full_matrices=False)
    projection = vectors @ right[0]
    expected = np.maximum(projection * np.sign(projection.sum()), 0).reshape(8, 10)
    np.testing.assert_allclose(eigen_cam(feature).values, expected, atol=1e-5)


def test_gradient_maps_by_hand() -> None:
    activations, gradients = torch.randn(1, 5, 4, 3), torch.randn(1, 5, 4, 3)
    weights = gradients[0].mean(dim=(1, 2))
    grad_cam = torch.relu((weights[:, None, None] * activations[0]).sum(0))
    torch.testing.assert_close(gradient_map(activations, gradients).squeeze(), grad_cam)
    hires = torch.relu((gradients * activations)[0].sum(0))
    torch.testing.assert_close(gradient_map(activations, gradients, at_place=True).squeeze(), hires)


@pytest.mark.parametrize("layer", [None, "stage3"])
def test_a_detections_cam_is_gradients_by_hand(layer: str | None, demo: Detector, scene: np.ndarray) -> None:
    found = demo.detect(scene).detections
    box, index = found.boxes_xyxy[0].tolist(), int(found.classes[0])
    model_input = demo.model_input(scene)
    hooks = [len(module._forward_hooks) for module in demo.model.modules()]
    cam = detection_cam(demo.model, model_input, box, index, layer=layer)
    assert hooks == [len(module._forward_hooks) for module in demo.model.modules()]
    assert all(parameter.grad is None for parameter in demo.model.parameters())
    images = demo.model.preprocess_image([model_input])  # type: ignore[operator]
    kept: list[torch.Tensor] = []
    stage = demo.model.backbone.bottom_up.stage3  # type: ignore[union-attr]
    handle = stage.register_forward_hook(lambda _m, _i, output: kept.append(output))
    features = demo.model.backbone(images.tensor.requires_grad_())  # type: ignore[operator]
    handle.remove()
    score = score_box(demo.model, features, input_frame(demo.model, model_input), box, index)
    activations = kept[0] if layer else features[cam.level]
    (gradients,) = torch.autograd.grad(score.logit, activations)
    expected = gradient_map(activations.detach(), gradients).squeeze().numpy()
    rows, columns = cam.view.values.shape  # without the padding
    np.testing.assert_allclose(cam.view.values, expected[:rows, :columns], atol=1e-5)
    assert cam.probability == pytest.approx(score.probability, abs=1e-5)


def test_maps_of_levels_are_of_the_same_photo(demo: Detector, scene: np.ndarray) -> None:
    maps = feature_maps(demo.model, demo.model_input(scene), ["p2", "p5"])
    for feature in maps.values():
        rows, columns = feature.values.shape[1:]
        np.testing.assert_allclose(feature.frame.to_image((0, 0, columns, rows))[2:], (224, 160), atol=25)

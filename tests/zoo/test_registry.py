import json
import math
from pathlib import Path

import pytest

from explorer.config import config_path
from explorer.zoo import registry
from explorer.zoo.cards import Card, Measured


@pytest.fixture(scope="module")
def rows(shared: Path) -> dict:
    return json.loads((shared / "zoo/released_models.json").read_text())


@pytest.fixture(scope="module")
def upstream(shared: Path) -> dict:
    return json.loads((shared / "golden/upstream_state_dict.json").read_text())


@pytest.fixture(scope="module")
def centermasks(shared: Path) -> dict:
    return json.loads((shared / "zoo/centermask2_models.json").read_text())


def test_every_released_row_is_an_entry_with_its_numbers(rows):
    released = [entry for entry in registry.entries() if entry.released and "CenterMask" not in entry.task]
    assert [dict(entry.released) for entry in released] == rows["results"]
    assert len({entry.name for entry in registry.entries()}) == len(registry.entries())


def test_every_released_centermask_is_an_entry_with_its_numbers(centermasks):
    entries = {entry.weights[0]: entry for entry in registry.entries() if "CenterMask" in entry.task}
    named = {*centermasks["configs"]} - {*centermasks["configs_without_table_row"]}
    assert {entry.name for entry in entries.values()} == named
    published = [row for table in centermasks["centermask2_tables"] for row in table["rows"]]
    met = set()
    for row in published:
        if row["model_url"] not in entries:
            assert row["method"].startswith(("Mask R-CNN", "Panoptic-FPN", "YOLACT", "CenterMask (maskrcnn-benchmark)"))
            continue
        entry, suffix = entries[row["model_url"]], "_tta" if "TTA" in row["method"] else ""
        met.add(entry.name)
        aps = entry.released[f"box_ap{suffix}"], entry.released[f"mask_ap{suffix}"]
        assert aps == (row["box_ap"], row["mask_ap"])
        assert entry.released.get("pq") == row.get("pq")
        if not suffix:
            assert entry.backbone == row["backbone"]
            gpu = "Titan Xp" if "lite" in entry.name else "V100"
            assert entry.released_time == (row["inference_s"], gpu)
            assert entry.released["metrics_url"] == row["metrics_url"]
        if "backbone_params_m" in row:
            assert entry.released["params_m"] == row["backbone_params_m"]
    assert met == named


def test_parameters_of_centermasks_equal_the_releases_tensors(shared):
    upstream = json.loads((shared / "golden/centermask_state_dict.json").read_text())
    for entry in registry.entries():
        if "CenterMask" in entry.task:
            shapes = upstream[f"{entry.name}.yaml"]
            assert entry.params_m == round(registry.count_parameters(shapes) / 1e6, 1)
            assert entry.backbone_fpn_params_m == round(registry.count_parameters(shapes, "backbone.") / 1e6, 1)


def test_what_the_release_prints_wrongly_is_said():
    notes = {entry.name: entry.note for entry in registry.entries()}
    assert "wrong way round" in notes["panoptic_centermask_V_39_eSE_FPN_ms_3x"]
    assert "Titan Xp" in notes["centermask_lite_V_39_eSE_FPN_ms_4x"]
    assert "test-time augmentation" in notes["centermask_V_99_eSE_FPN_ms_3x"]
    assert len(registry.remarks()) == 6


def test_weights_start_with_the_released_link_and_go_on_with_mirrors(rows):
    for entry in registry.entries():
        if entry.released and not entry.note:
            assert entry.weights[0] == entry.released["model_url"]
        assert all(url.startswith("https://") for url in entry.weights)
        if not entry.bundled and "dropbox" in entry.weights[0]:
            assert len(entry.weights) >= 2
            assert len({url.split("/s/")[1].removesuffix("?dl=1") for url in entry.weights}) == 1
    imagenet = {e.backbone: e.weights[0] for e in registry.entries() if e.name.startswith("imagenet/")}
    assert imagenet == rows["imagenet_backbones"]


def test_faster_rcnn_resnets_take_faster_rcnn_weights_and_say_so():
    rows = [entry for entry in registry.detectors() if "CenterMask" not in entry.task]
    noted = {entry.name: entry for entry in rows if entry.note and entry.released}
    assert sorted(noted) == ["faster_rcnn_R_101_FPN_3x", "faster_rcnn_R_50_FPN_3x", "faster_rcnn_X_101_FPN_3x"]
    model_zoo = pytest.importorskip("detectron2.model_zoo.model_zoo")._ModelZooUrls
    for name, entry in noted.items():
        theirs = f"COCO-Detection/{name.replace('X_101', 'X_101_32x8d')}"
        suffix = model_zoo.CONFIG_PATH_TO_URL_SUFFIX[theirs]
        assert entry.weights == (f"{model_zoo.S3_PREFIX}{theirs}/{suffix}",)
        assert "mask_rcnn" in entry.released["model_url"]
        assert "Mask R-CNN" in entry.note


def test_every_detector_has_a_config_that_is_shipped():
    for entry in registry.detectors():
        assert config_path(entry.config).is_file()


def test_licences():
    licences = {entry.name: entry.licence for entry in registry.entries()}
    assert licences["faster_rcnn_V_39_FPN_3x"] == "CC BY-NC 4.0"
    assert licences["mask_rcnn_R_50_FPN_3x"] == licences["faster_rcnn_R_50_FPN_3x"] == "CC BY-SA 3.0"
    assert licences["imagenet/V-99-eSE"] == "CC BY-NC 4.0"
    assert licences["timm/ese_vovnet39b.ra_in1k"] == "Apache-2.0"


def test_parameters_equal_the_releases_tensors(upstream):
    checked = 0
    for entry in registry.entries():
        shapes = upstream.get(f"{entry.name}.yaml")
        if shapes:
            assert entry.params_m == round(registry.count_parameters(shapes) / 1e6, 1)
            assert entry.backbone_fpn_params_m == round(registry.count_parameters(shapes, "backbone.") / 1e6, 1)
            checked += 1
    assert checked == len(upstream) == 16


@pytest.mark.parametrize(
    ("name", "detector", "backbone_fpn"),
    [
        ("faster_rcnn_V_19_FPN_3x", 28.1, None),
        ("faster_rcnn_R_50_FPN_3x", 41.7, None),
        ("faster_rcnn_V_39_FPN_3x", 43.1, None),
        ("faster_rcnn_V_57_FPN_3x", 59.3, None),
        ("faster_rcnn_R_101_FPN_3x", 60.6, None),
        ("faster_rcnn_V_99_FPN_3x", 87.4, None),
        ("faster_rcnn_X_101_FPN_3x", 104.8, None),
        ("faster_rcnn_V_19_FPNLite_3x", None, 11.1),
        ("faster_rcnn_V_19_dw_FPNLite_3x", None, 6.4),
        ("faster_rcnn_V_19_slim_FPNLite_3x", None, 3.4),
        ("faster_rcnn_V_19_slim_dw_FPNLite_3x", None, 2.1),
    ],
)
def test_both_parameter_figures(name, detector, backbone_fpn):
    entry = registry.get(name)
    assert detector in (None, entry.params_m)
    assert backbone_fpn in (None, entry.backbone_fpn_params_m)


@pytest.mark.parametrize("name", ["faster_rcnn_R_50_FPN_3x", "mask_rcnn_X_101_FPN_3x", "panoptic_fpn_R_101_FPN_3x"])
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_resnet_parameters_equal_the_built_models(name):
    torch = pytest.importorskip("torch")
    from detectron2.modeling import build_model

    from explorer.config import load_config

    entry = registry.get(name)
    with torch.device("meta"):
        model = build_model(load_config(entry.config, ["MODEL.DEVICE", "meta"]))
    assert entry.params_m == round(sum(p.numel() for p in model.parameters()) / 1e6, 1)
    assert entry.backbone_fpn_params_m == round(sum(p.numel() for p in model.backbone.parameters()) / 1e6, 1)


def test_timm_entries_carry_what_their_training_normalised_with():
    timm = pytest.importorskip("timm")
    named = [entry for entry in registry.entries() if entry.name.startswith("timm/")]
    assert len(named) == 4
    for entry in named:
        sets = dict(zip(entry.overrides[::2], entry.overrides[1::2], strict=True))
        trained = timm.get_pretrained_cfg(entry.name.removeprefix("timm/"))
        assert trained.hf_hub_id == entry.name
        assert json.loads(sets["MODEL.PIXEL_MEAN"]) == pytest.approx([255 * value for value in trained.mean])
        assert json.loads(sets["MODEL.PIXEL_STD"]) == pytest.approx([255 * value for value in trained.std])
        assert sets["INPUT.FORMAT"] == "RGB"
        assert entry.weights == (f"https://huggingface.co/{entry.name}/resolve/main/model.safetensors",)


def test_status_and_path_follow_the_cache(cache):
    entry = registry.get("faster_rcnn_V_39_FPN_3x")
    assert entry.path == cache / "weights/faster_rcnn_V_39_FPN_3x.pth"
    assert registry.get("timm/ese_vovnet39b.ra_in1k").path.suffix == ".safetensors"
    assert entry.status == "source refuses since 2025"
    assert registry.get("faster_rcnn_R_50_FPN_3x").status == "download"
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"x")
    assert entry.status == "cached"


def test_a_demo_appears_first_when_its_file_is_there(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    from explorer.zoo.checkpoints import save_safetensors

    state = {"backbone.conv.weight": torch.zeros(2, 100_000), "roi_heads.fc.weight": torch.zeros(3, 100_000)}
    state |= {"backbone.norm.weight": torch.zeros(9), "backbone.norm.running_var": torch.ones(9)}
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    assert not registry._demos()
    (tmp_path / "V-19-slim-dw").mkdir()
    save_safetensors(state, registry.bundled_file("V-19-slim-dw"))
    measured = Measured("scenes", 2, 7, box={"AP": (30.0, 20.0, 40.0)})
    card = Card("V2-19-Slim-DW", "a.yaml", "MIT", "knows cars", "2 iterations", measured, sha256="0f")
    card.write(registry.bundled_file("V-19-slim-dw").with_suffix(".json"))
    (entry,) = registry._demos()
    assert (entry.name, entry.status, entry.licence) == ("demo/V-19-slim-dw", "bundled", "MIT")
    assert (entry.backbone, entry.config, entry.sha256, entry.note, entry.card) == (
        *("V2-19-Slim-DW", "a.yaml", "0f", "knows cars"),
        card,
    )
    assert (entry.params_m, entry.backbone_fpn_params_m) == (0.5, 0.2)


def test_an_unknown_name_offers_near_ones():
    with pytest.raises(ValueError, match=r"no 'faster_rcnn_v39'.*Did you mean faster_rcnn_V_39_FPN_3x"):
        registry.get("faster_rcnn_v39")


def test_everything_is_json():
    text = json.dumps([entry.as_dict() for entry in registry.entries()])
    wanted = {"name", "task", "backbone", "params_m", "released", "licence", "status"}
    assert all(wanted <= set(entry) for entry in json.loads(text))


CLASSIFIERS = {
    "faster_rcnn_Mv2_FPNLite_3x": 1280,
    "faster_rcnn_V_19_FPNLite_3x": 1024,
    "faster_rcnn_V_19_dw_FPNLite_3x": 1024,
    "faster_rcnn_V_19_slim_FPNLite_3x": 512,
    "faster_rcnn_V_19_slim_dw_FPNLite_3x": 512,
}
"""Channels before the classifier of 1,000 classes that the releases' "params" of the lightweight rows count."""


def trained(shapes, prefix=""):
    """Numbers that training changes, those of norms included, which detectors freeze."""
    names = [
        name for name in shapes if name.startswith(prefix) and "running_" not in name and "num_batches" not in name
    ]
    return sum(math.prod(shapes[name]) for name in names)


def cut(count):
    """In millions, as those tables have it: cut after the first decimal, not rounded."""
    return math.floor(count / 1e5) / 10


def test_released_params_of_lightweight_rows_count_an_imagenet_classifier(upstream):
    for name, channels in CLASSIFIERS.items():
        count = trained(upstream[f"{name}.yaml"], "backbone.bottom_up.")
        if "Mv2" in name:  # the detector's ends before the convolution from 320 to 1,280 channels and its norm
            count += 320 * 1280 + 2 * 1280
        assert registry.get(name).released["params_m"] == cut(count + 1000 * channels + 1000), name


def test_released_params_of_the_other_rows_count_centermask(shared):
    shapes = json.loads((shared / "golden/centermask_state_dict.json").read_text())
    for backbone in ("R_50", "R_101", "X_101", "V_39_eSE", "V_57_eSE", "V_99_eSE"):
        released = registry.get(f"faster_rcnn_{backbone.removesuffix('_eSE')}_FPN_3x").released
        count = registry.count_parameters(shapes[f"centermask_{backbone}_FPN_ms_3x.yaml"])
        assert released["params_m"] == pytest.approx(count / 1e6, abs=0.08), backbone  # cut or rounded

import pytest
import torch
from omegaconf import OmegaConf

from explorer.config import LAZY_KEYS, config_path
from explorer.zoo import downloads, registry, resolve
from explorer.zoo.resolve import adopt_weights, fetch_weights, find_weights
from explorer.zoo.resolve import resolve as find

NAME = "faster_rcnn_V_39_FPN_3x"


@pytest.fixture
def weights(cache, tmp_path):
    """A file that stands for the released weights, handed in to the cache."""
    torch.save({"w": torch.ones(1)}, tmp_path / "mine.pth")
    return adopt_weights(registry.get(NAME), tmp_path / "mine.pth")


def test_a_zoo_name_gives_config_and_weights(weights):
    found = find(NAME, offline=True)
    assert (found.name, found.weights, found.entry) == (NAME, weights, registry.get(NAME))
    assert found.cfg.MODEL.VOVNET.CONV_BODY == "V-39-eSE"


def test_a_zoo_name_without_its_weights_says_how_to_get_them(cache):
    with pytest.raises(downloads.DownloadError, match=f"explorer zoo fetch {NAME} --from FILE"):
        find(NAME, offline=True)


def test_own_weights_need_no_download(cache, tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"x")
    found = find(NAME, weights=tmp_path / "mine.pth", offline=True)
    assert found.weights == tmp_path / "mine.pth"
    assert not cache.exists()


def test_a_config_file_has_no_weights(tmp_path):
    from explorer.config import config_path

    copy = tmp_path / "mine.yaml"
    copy.write_text(config_path(NAME).read_text().replace("Base-", f"{config_path(NAME).parent}/Base-"))
    found = find(str(copy), overrides=["MODEL.VOVNET.CONV_BODY", "V-57-eSE"])
    assert (found.name, found.weights, found.entry) == ("mine", None, None)
    assert found.cfg.MODEL.VOVNET.CONV_BODY == "V-57-eSE"


def test_a_shipped_config_that_is_no_zoo_entry_is_found():
    assert find("retinanet_V_39_FPN_3x").weights is None


def test_backbone_weights_bring_their_pixels_and_overrides_win(cache, tmp_path):
    (tmp_path / "hub.safetensors").write_bytes(b"x")
    name = "timm/ese_vovnet57b.ra4_e3600_r256_in1k"
    path = adopt_weights(registry.get(name), tmp_path / "hub.safetensors")
    found = find("faster_rcnn_V_57_FPN_3x", weights=name, offline=True)
    assert found.weights == path
    assert found.cfg.MODEL.PIXEL_MEAN == [127.5] * 3
    assert (found.cfg.MODEL.VOVNET.ESE, found.cfg.INPUT.FORMAT) == ("last", "RGB")
    own = find("faster_rcnn_V_57_FPN_3x", weights=name, overrides=["INPUT.FORMAT", "BGR"], offline=True)
    assert own.cfg.INPUT.FORMAT == "BGR"


def test_an_imagenet_backbone_is_no_model():
    with pytest.raises(ValueError, match=r"is an ImageNet backbone, not a detector.*--weights timm/ese_vovnet39b"):
        find("timm/ese_vovnet39b.ra_in1k")


@pytest.mark.parametrize("model", ["faster_rcnn_V39", "nothing/like_it.yaml"])
def test_unknown_models_offer_near_names(model):
    with pytest.raises(ValueError, match="is not a model of the zoo, a configuration file") as failure:
        find(model)
    assert ("faster_rcnn_V_39_FPN_3x" in str(failure.value)) == (model == "faster_rcnn_V39")


def test_unknown_weights_are_named(weights):
    with pytest.raises(ValueError, match=r"'nowhere\.pth' are neither a file nor in the zoo"):
        find(NAME, weights="nowhere.pth")


def test_bundled_weights_are_there_at_once(tmp_path, monkeypatch):
    entry = registry.ZooEntry("demo/x", "Demo", "x", "x.yaml", "Apache-2.0", bundled=tmp_path / "x.safetensors")
    assert fetch_weights(entry, offline=True) == entry.bundled
    with pytest.raises(ValueError, match="are part of the package"):
        adopt_weights(entry, tmp_path / "y")


def test_downloads_come_from_the_entrys_sources(monkeypatch, cache):
    calls = []
    monkeypatch.setattr(resolve, "fetch", lambda *args, **options: calls.append((args, options)))
    for name, anyway in (("faster_rcnn_R_50_FPN_3x", False), (NAME, True)):
        entry = registry.get(name)
        fetch_weights(entry, anyway=anyway)
        args, options = calls.pop()
        assert args == (entry.path, entry.weights)
        assert options["name"] == name


def test_every_address_of_the_zoo_and_detectron2s_short_form_is_found(weights, cache, tmp_path):
    entry = registry.get(NAME)
    assert [find_weights(address, offline=True)[0] for address in entry.weights] == [weights] * len(entry.weights)
    (tmp_path / "r50.pkl").write_bytes(b"x")
    other = next(entry for entry in registry.entries() if any("/detectron2/" in url for url in entry.weights))
    path = adopt_weights(other, tmp_path / "r50.pkl")
    assert find_weights(other.weights[0].replace("https://dl.fbaipublicfiles.com/detectron2/", "detectron2://")) == (
        path,
        other.overrides,
    )


def test_an_address_outside_the_zoo_is_not_fetched_and_the_way_out_is_named():
    with pytest.raises(ValueError, match=r"download https://dl\.fbaipublicfiles\.com/detectron2/X/y\.pkl and give"):
        find_weights("detectron2://X/y.pkl")


def test_no_weights_need_nothing():
    assert find_weights("") == (None, ())


def write_config(path, named):
    path.write_text(f"_BASE_: {config_path(NAME)}\nMODEL:\n  WEIGHTS: {named}\n")
    return path


def test_weights_that_a_config_file_names_are_taken(weights, tmp_path):
    own = tmp_path / "mine.pth"
    assert find(write_config(tmp_path / "file.yaml", own)).weights == own
    assert find(write_config(tmp_path / "name.yaml", NAME), offline=True).weights == weights


def test_given_weights_go_before_overrides_and_those_before_the_files(tmp_path):
    given, overriding = tmp_path / "given.pth", tmp_path / "overriding.pth"
    for path in (given, overriding):
        path.write_bytes(b"x")
    config, overrides = write_config(tmp_path / "c.yaml", "nowhere.pth"), ["MODEL.WEIGHTS", str(overriding)]
    assert find(config, overrides=overrides).weights == overriding
    assert find(config, weights=given, overrides=overrides).weights == given


def test_all_that_weights_of_the_zoo_need_can_be_said_to_a_lazy_config():
    assert {key for entry in registry.entries() for key in entry.overrides[::2]} <= set(LAZY_KEYS)


@pytest.fixture
def timm_weights(cache, tmp_path):
    (tmp_path / "hub.safetensors").write_bytes(b"x")
    name = "timm/ese_vovnet39b.ra_in1k"
    return name, adopt_weights(registry.get(name), tmp_path / "hub.safetensors")


@pytest.mark.parametrize("by_override", [False, True])
def test_a_lazy_config_gets_what_the_weights_need(timm_weights, by_override):
    name, path = timm_weights
    given = {"overrides": [f"train.init_checkpoint={name}"]} if by_override else {"weights": name}
    found = find("fcos_V_39_FPN_3x", offline=True, **given)
    model, data = found.cfg.model, found.cfg.dataloader
    assert found.weights == path
    assert (list(model.pixel_mean), list(model.pixel_std)) == ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    assert (data.train.mapper.image_format, data.test.mapper.image_format) == ("RGB", "RGB")
    assert model.backbone.bottom_up.ese == "last"
    assert "input_format" not in model


def test_overrides_of_a_lazy_config_win_over_what_the_weights_need(timm_weights):
    overrides = ["dataloader.train.mapper.image_format=BGR", "model.pixel_std=[1,1,1]"]
    cfg = find("fcos_V_39_FPN_3x", weights=timm_weights[0], overrides=overrides, offline=True).cfg
    assert (cfg.dataloader.test.mapper.image_format, list(cfg.model.pixel_std)) == ("BGR", [1, 1, 1])
    assert OmegaConf.select(cfg, "model.pixel_mean")[0] == 123.675


def test_a_lazy_config_without_a_place_for_what_the_weights_need_is_refused(timm_weights, tmp_path):
    path = tmp_path / "resnet.py"
    path.write_text(
        "from detectron2 import model_zoo\n"
        "base = model_zoo.get_config('COCO-Detection/fcos_R_50_FPN_1x.py')\n"
        "model, dataloader, train = base.model, base.dataloader, base.train\n"
    )
    with pytest.raises(ValueError, match=r"need MODEL\.VOVNET\.ESE last.*no such key"):
        find(path, weights=timm_weights[0], offline=True)

import pytest
import torch

from explorer.zoo import downloads, registry, resolve
from explorer.zoo.resolve import adopt_weights, fetch_weights
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
    with pytest.raises(ValueError, match="is no model of the zoo and no configuration file") as failure:
        find(model)
    assert ("faster_rcnn_V_39_FPN_3x" in str(failure.value)) == (model == "faster_rcnn_V39")


def test_unknown_weights_are_named(weights):
    with pytest.raises(ValueError, match=r"'nowhere\.pth' are neither a file nor a name of the zoo"):
        find(NAME, weights="nowhere.pth")


def test_bundled_weights_are_there_at_once(tmp_path, monkeypatch):
    entry = registry.ZooEntry("demo/x", "Demo", "x", "x.yaml", "Apache-2.0", bundled=tmp_path / "x.safetensors")
    assert fetch_weights(entry, offline=True) == entry.bundled
    with pytest.raises(ValueError, match="come with the package"):
        adopt_weights(entry, tmp_path / "y")


def test_downloads_come_from_the_entrys_sources(monkeypatch, cache):
    calls = []
    monkeypatch.setattr(resolve, "fetch", lambda *args, **options: calls.append((args, options)))
    entry = registry.get(NAME)
    fetch_weights(entry)
    ((args, options),) = calls
    assert args == (entry.path, entry.weights)
    assert options["name"] == NAME

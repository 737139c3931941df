"""Weights whose source refuses: what is said of them, and the user's own mirror."""

import pytest

from explorer.config import load_config
from explorer.zoo import registry
from explorer.zoo.downloads import DownloadError, cache
from explorer.zoo.downloads.mirrors import VARIABLE, Mirror, mirror
from explorer.zoo.refusals import instead, living, refusal, timm_weights, train_command
from explorer.zoo.registry import REFUSED
from explorer.zoo.resolve import fetch_weights, find_weights
from tests.zoo.conftest import Page

NAME = "faster_rcnn_V_39_FPN_3x"
RELEASED = "faster_V_39_eSE_ms_3x.pth"
BODY = bytes(range(256)) * 40


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(cache, "download", lambda *_, **__: pytest.fail("a connection was opened"))


def test_sixteen_detectors_and_eight_backbones_are_refused_and_the_rest_lives(cache):
    plain = [entry for entry in registry.detectors() if entry.released and "CenterMask" not in entry.task]
    assert [entry.status for entry in plain].count(REFUSED) == 16
    assert {entry.backbone.split("-")[0] for entry in plain if not entry.refuses} == {"R", "X"}
    backbones = [entry for entry in registry.entries() if entry.task == registry.IMAGENET_TASK]
    assert [entry.name for entry in backbones if entry.refuses] == [
        entry.name for entry in backbones if entry.name.startswith("imagenet/")
    ]
    assert sum(entry.refuses for entry in backbones) == 8
    assert not any(entry.refuses for entry in registry.entries() if entry.bundled)


@pytest.mark.parametrize(
    "entry", [entry for entry in registry.entries() if entry.refuses], ids=lambda entry: entry.name
)
def test_what_is_said_instead_exists(entry, cache, no_network):
    """The config can be read, the weights are the zoo's and of its backbone, and the rows named are not refused."""
    said = refusal(entry)
    assert "\n" not in said
    assert f"explorer zoo fetch {entry.name} --from FILE" in said
    if weights := timm_weights(entry):
        assert not registry.get(weights).refuses
        assert weights in said
    if entry.config:
        words = train_command(entry).split()
        assert words[:3] == ["explorer", "train", "--config-file"]
        cfg = load_config(words[3])
        assert train_command(entry) in said
        body = cfg.MODEL.VOVNET.CONV_BODY if "vovnet" in cfg.MODEL.BACKBONE.NAME else "MobileNetV2"
        if "mobilenet" in cfg.MODEL.BACKBONE.NAME or "vovnet" in cfg.MODEL.BACKBONE.NAME:
            assert registry.variant_of(entry) == body
        assert not weights or registry.get(weights).backbone == body
        assert all(registry.get(name).status == "download" for name in living(entry))
    else:
        assert registry.variant_of(entry) == entry.backbone


def test_a_refused_file_is_not_asked_for(cache, no_network):
    with pytest.raises(DownloadError, match=r"source refuses since 2025.*explorer train --config-file"):
        fetch_weights(registry.get(NAME))
    with pytest.raises(DownloadError, match="take timm's weights, timm/ese_vovnet39b"):
        find_weights("imagenet/V-39-eSE")
    assert "timm has none" in instead(registry.get("imagenet/V-99-eSE"))


def test_one_that_is_here_is_used(cache, no_network):
    entry = registry.get(NAME)
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(BODY)
    assert fetch_weights(entry) == entry.path


@pytest.mark.parametrize("name", [f"{NAME}.pth", RELEASED])
def test_a_folder_is_a_mirror_also_offline(name, cache, tmp_path, monkeypatch, no_network):
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(folder))
    entry = registry.get(NAME)
    assert entry.status == REFUSED
    (folder / name).write_bytes(BODY)
    assert entry.status == "mirror"
    assert fetch_weights(entry, offline=True).read_bytes() == BODY
    assert entry.status == "cached"
    assert registry.get("faster_rcnn_V_57_FPN_3x").status == REFUSED


def test_a_backbones_file_may_lie_in_a_folder_as_in_the_cache(cache, tmp_path, monkeypatch, no_network):
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet/V-39-eSE.pth").write_bytes(BODY)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    path, _ = find_weights("imagenet/V-39-eSE")
    assert path.read_bytes() == BODY


def test_an_address_is_a_mirror(site, cache, monkeypatch):
    monkeypatch.setenv(VARIABLE, site.url + "/base/")
    site.status(f"/base/{NAME}.pth", 404)
    site.add(f"/base/{RELEASED}", Page(BODY))
    entry = registry.get(NAME)
    assert entry.status == "mirror"
    assert fetch_weights(entry).read_bytes() == BODY
    assert [path for path, _ in site.requests] == [f"/base/{NAME}.pth", f"/base/{RELEASED}"]


def test_a_hub_repository_is_a_mirror(site, cache, monkeypatch):
    monkeypatch.setenv(VARIABLE, "somebody/vovnet-weights")
    assert mirror() == Mirror(base="https://huggingface.co/somebody/vovnet-weights/resolve/main")
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    site.add(f"/somebody/vovnet-weights/resolve/main/{NAME}.pth", Page(BODY))
    assert fetch_weights(registry.get(NAME)).read_bytes() == BODY


def test_hub_addresses_are_huggingface_hubs_own(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv(VARIABLE, "user/name")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    (address,) = mirror().addresses(["imagenet/V-39-eSE.pth"])
    assert address == hub.hf_hub_url("user/name", "imagenet/V-39-eSE.pth", endpoint="https://huggingface.co")


def test_a_mirror_without_the_file_is_named_and_what_is_not_refused_still_comes(site, cache, monkeypatch):
    monkeypatch.setenv(VARIABLE, site.url)
    for name in (f"{NAME}.pth", RELEASED):
        site.status(f"/{name}", 404)
    with pytest.raises(DownloadError, match=rf"(?s){site.url}/{NAME}\.pth answered 404.*--from FILE"):
        fetch_weights(registry.get(NAME))
    assert all("dropbox" not in path for path, _ in site.requests)


@pytest.mark.parametrize("said", ["/no/such/folder", "ftp://host/x", "a/b/c", "name"])
def test_what_is_no_place_is_refused(said, monkeypatch):
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(ValueError, match=f"{VARIABLE} is '{said}': give an existing folder"):
        mirror()

"""Files that circulate are recognised by checksum; a name alone proves nothing."""

import hashlib
import json
from dataclasses import replace

import pytest

from explorer.backbones import VARIANTS
from explorer.zoo import registry
from explorer.zoo.identify import identify, known
from explorer.zoo.identify.convert import convert
from explorer.zoo.identify.known import UNKNOWN, Pixels, recognise
from tests.fixtures.wild import WILD, streampetr

FCOS3D = "fcos3d_vovnet_imgbackbone-remapped.pth"
ROWS = known._rows()


@pytest.fixture
def as_known(tmp_path, monkeypatch):
    """A file of a known name, listed with a checksum of its own."""

    def make(kind, **facts):
        (row,) = [row for row in ROWS if row["file"] == FCOS3D]
        WILD[kind](tmp_path / kind)
        digest = hashlib.new(kind_of := facts.pop("by", "md5"), (tmp_path / kind).read_bytes()).hexdigest()
        plain = {key: value for key, value in row.items() if key != "md5"}
        monkeypatch.setattr(known, "_rows", lambda: [{**plain, kind_of: digest[: facts.pop("digits", 64)], **facts}])
        return tmp_path / kind

    return make


def test_the_list_is_sound():
    assert len({row["file"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.keys() <= {"file", "variant", "title", "md5", "sha256", "licence", "address", "pixels", "source"}
        assert row["address"].startswith("https://")
        assert row.get("variant", "V-39") in VARIANTS
        assert len(row.get("md5", 32 * "0")) == 32
        assert len(row.get("sha256", "")) in (0, 8, 64)
        assert bytes.fromhex(row.get("sha256", "")) is not None
        if "pixels" in row:
            assert Pixels.read(row["pixels"]).as_dict() == row["pixels"]
    by_file = {row["file"]: row for row in ROWS}
    assert by_file[FCOS3D]["md5"] == "ff1ac3040eabf0f0e54c3c594c26021e"
    assert sum("1e100" in row["title"] for row in ROWS) == 6
    assert sum("vision-toolbox" in row["title"] for row in ROWS) == 8


def test_timms_rows_say_what_timm_says():
    timm = pytest.importorskip("timm")
    for row in (row for row in ROWS if row["title"].startswith("timm")):
        cfg = timm.get_pretrained_cfg(row["file"].split("-")[0])
        assert row["licence"].lower() == cfg.license
        assert row["pixels"]["mean"] == pytest.approx([255 * value for value in cfg.mean])
        assert row["pixels"]["std"] == pytest.approx([255 * value for value in cfg.std])


@pytest.mark.parametrize(("by", "digits"), [("md5", 32), ("sha256", 64), ("sha256", 8)])
def test_a_file_is_recognised_by_its_checksum_whatever_its_name(by, digits, as_known):
    found = identify(as_known("streampetr.pth", by=by, digits=digits, licence="MIT"))
    assert (found.known.by, found.known.licence) == ("checksum", "MIT")
    assert (found.channel_order, found.pixel_mean) == ("BGR", (103.53, 116.28, 123.675))
    sets = dict(zip(found.overrides[::2], found.overrides[1::2], strict=True))
    assert (sets["INPUT.FORMAT"], sets["MODEL.PIXEL_MEAN"]) == ("BGR", "[103.53, 116.28, 123.675]")
    json.dumps(found.as_dict())


def test_a_name_alone_gives_an_address_and_no_channel_order(tmp_path):
    streampetr(tmp_path / FCOS3D)
    assert recognise(tmp_path / FCOS3D).variant == "V-99-eSE"
    assert identify(tmp_path / FCOS3D).known is None  # it holds another network
    WILD["vovnet27_slim_ese.pth"](tmp_path / "vovnet27_slim-dd43306a.pth")
    found = identify(tmp_path / "vovnet27_slim-dd43306a.pth")
    assert found.known.by == "name"
    assert found.known.address.endswith("/v0.0.1/vovnet27_slim-dd43306a.pth")
    assert (found.channel_order, found.pixel_mean, found.known.licence) == (UNKNOWN, (), "")


def test_an_unknown_file_is_not_recognised(tmp_path):
    streampetr(tmp_path / "f.pth")
    assert recognise(tmp_path / "f.pth") is None


def test_a_file_in_the_zoos_cache_is_the_zoos(cache):
    entry = registry.get("timm/ese_vovnet57b.ra4_e3600_r256_in1k")
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"whatever")
    found = recognise(entry.path)
    assert (found.by, found.title, found.licence) == ("zoo", entry.name, "Apache-2.0")
    assert found.pixels == Pixels("RGB", (127.5,) * 3, (127.5,) * 3)


def test_a_known_files_order_and_mean_go_with_it_when_it_is_converted(as_known, tmp_path):
    path = as_known("streampetr.pth")
    rgb, bgr = tmp_path / "rgb.safetensors", tmp_path / "bgr.safetensors"
    done = convert(path, rgb, channel_order="rgb")
    assert done.flipped
    assert identify(rgb).pixel_mean == (123.675, 116.28, 103.53)
    assert "MODEL.PIXEL_STD" in done.overrides
    convert(rgb, bgr, channel_order="bgr")
    assert (identify(bgr).channel_order, identify(bgr).pixel_std) == ("BGR", (57.375, 57.12, 58.395))


@pytest.mark.parametrize("said", [None, [], {"order": "GRB"}, {"order": ["RGB"]}, "RGB"])
def test_what_is_no_channel_order_means_unknown(said):
    assert Pixels.read(said) == Pixels()


@pytest.mark.parametrize("mean", [[1, 2], "abc", [1, 2, True], [float("nan"), 0, 0], [1e9, 0, 0], None])
def test_what_is_no_mean_means_none(mean):
    assert Pixels.read({"order": "RGB", "mean": mean}) == Pixels("RGB")
    assert replace(Pixels("RGB"), mean=(1.0, 2.0, 3.0)).reversed().mean == (3.0, 2.0, 1.0)


def test_a_bundled_detectors_config_says_what_images_it_takes():
    (entry,) = (entry for entry in registry.entries() if entry.name == "demo/V-19-slim-dw")
    pixels = recognise(entry.path).pixels
    assert (pixels.order, pixels.mean) == ("BGR", (103.53, 116.28, 123.675))

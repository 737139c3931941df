import dataclasses
import hashlib
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from explorer.cli.zoo import app
from explorer.zoo import registry

NAME = "faster_rcnn_V_39_FPN_3x"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EXPLORER_OFFLINE", raising=False)
    monkeypatch.delenv("EXPLORER_MIRROR", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_gives_every_entry_as_json(run, tmp_path):
    result = run("list", "--json", "-")
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    assert [entry["name"] for entry in listed] == [entry.name for entry in registry.entries()]
    wanted = {"name", "task", "backbone", "params_m", "released", "licence", "status"}
    assert all(wanted <= set(entry) for entry in listed)
    run("list", "--json", tmp_path / "zoo.json")
    assert json.loads((tmp_path / "zoo.json").read_text()) == listed


def test_the_table_shows_every_name_and_number_in_100_columns(run):
    result = run("list")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "…" not in result.stdout
    for entry in registry.entries():
        (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == [entry.name]]
        assert entry.licence in line
        assert (entry.status if entry.status != registry.REFUSED else "refused") in line
        if entry.released:
            assert str(entry.released["box_ap"]) in line
            assert f"{entry.params_m}/{entry.backbone_fpn_params_m}" in line


def test_show_tells_both_parameter_figures_and_the_note(run):
    text = " ".join(run("show", "faster_rcnn_R_50_FPN_3x").stdout.split())
    assert "41.7 M whole detector, 26.8 M backbone and FPN; the release's table says 51.2 M" in text
    assert "links Mask R-CNN's weights" in text
    assert "40.2 (small 24.2, medium 43.5, large 52.0)" in text
    assert json.loads(run("show", NAME, "--json", "-").stdout)["released"]["box_ap"] == 42.7


@pytest.mark.parametrize("command", ["show", "fetch"])
def test_an_unknown_name_is_a_wrong_call(run, command):
    result = run(command, "faster_rcnn_V39")
    assert result.exit_code == 2
    assert "Did you mean faster_rcnn_V_39_FPN_3x" in result.stderr


def test_fetch_takes_a_file_then_works_offline(run, tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    result = run("fetch", NAME, "--from", tmp_path / "mine.pth")
    assert result.exit_code == 0
    assert digest in result.stdout
    assert "CC BY-NC 4.0" in result.stdout
    again = json.loads(run("fetch", NAME, "--offline", "--json", "-").stdout)
    assert again["sha256"] == digest
    assert again["path"] == str(registry.get(NAME).path)


def test_fetch_that_fails_exits_1_and_says_what_to_do(run, monkeypatch):
    entry = dataclasses.replace(registry.get(NAME), weights=("http://127.0.0.1:9/x.pth",))
    monkeypatch.setattr(registry, "get", lambda name: entry)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    result = run("fetch", NAME)
    assert result.exit_code == 1
    assert "http://127.0.0.1:9/x.pth could not be reached" in result.stderr
    assert f"explorer zoo fetch {NAME} --from FILE" in result.stderr
    offline = run("fetch", NAME, "--offline")
    assert offline.exit_code == 1
    assert "EXPLORER_OFFLINE" in offline.stderr


def test_fetch_from_nowhere_is_a_wrong_call(run, tmp_path):
    result = run("fetch", NAME, "--from", tmp_path / "none.pth")
    assert result.exit_code == 2
    assert "is not a file" in result.stderr


def test_listing_loads_no_torch():
    code = (
        "import sys; from explorer.zoo import registry; registry.entries(); import explorer.cli.zoo;"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_identify_says_what_a_file_holds(run, tmp_path):
    from tests.fixtures.wild import dd3d

    dd3d(tmp_path / "weights.pth")
    result = run("identify", tmp_path / "weights.pth")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "V-19-slim-dw-eSE, V2 (eSE), eSE on every block" in text
    assert "fcos2d_head: 1 tensors (head)" in text
    assert "(with optimizer state)" in text
    assert (
        json.loads(run("identify", tmp_path / "weights.pth", "--json", "-").stdout)["prefix"] == "backbone.bottom_up."
    )
    refused = run("identify", tmp_path / "none.pth")
    assert refused.exit_code == 2
    assert "there is no such file" in refused.stderr


def test_convert_writes_a_clean_file_and_says_what_it_is(run, tmp_path):
    from tests.fixtures.wild import toolbox

    toolbox(tmp_path / "f.pth")
    out = tmp_path / "out.safetensors"
    result = run("convert", tmp_path / "f.pth", "--source-order", "rgb", "--channel-order", "bgr", "--out", out)
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "V-27-slim" in text
    assert "channel order BGR" in text
    assert "MODEL.VOVNET.STEM_STRIDES [2, 1, 1]" in text
    assert "pixel mean" in text
    assert out.is_file()
    refused = run("convert", tmp_path / "f.pth", "--to", "timm", "--out", out)
    assert refused.exit_code == 2
    assert "--to release or --to img_backbone" in refused.stderr


def test_what_is_refused_is_said_before_a_download_is_tried(run, monkeypatch):
    monkeypatch.setattr(
        "explorer.zoo.downloads.cache.download", lambda *_, **__: pytest.fail("a connection was opened")
    )
    assert "refused: not downloadable since 2025" in " ".join(run("list").stdout.split())
    shown = " ".join(run("show", NAME).stdout.split())
    assert "source refuses since 2025" in shown
    assert f"explorer train --config-file {NAME} MODEL.WEIGHTS timm/ese_vovnet39b.ra_in1k" in shown
    result = run("fetch", NAME)
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "faster_rcnn_R_50_FPN_3x, faster_rcnn_R_101_FPN_3x, faster_rcnn_X_101_FPN_3x" in result.stderr
    monkeypatch.setenv("EXPLORER_MIRROR", "no such place")
    for words in (["list"], ["show", NAME], ["fetch", NAME]):
        result = run(*words)
        assert result.exit_code == 2
        assert "EXPLORER_MIRROR is 'no such place': give an existing folder" in result.stderr

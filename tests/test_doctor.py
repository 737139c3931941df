"""What the doctor finds, on this machine as it is and on one with parts broken."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch

from explorer import doctor
from explorer.doctor import Check, Report


def test_the_main_job_runs_here() -> None:
    assert doctor.check_detection() == Check("detection", "ok", "the smallest detector runs on the CPU")


def test_versions_here_meet_the_metadata() -> None:
    assert doctor.check_packages().status == "ok"
    assert doctor.check_torch().found.startswith(f"torch {version('torch')}")
    assert doctor.check_torch().status == doctor.check_detectron2().status == "ok"


def test_a_missing_and_an_old_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"gradio": "", "plotly": "5.1"}
    monkeypatch.setattr(doctor, "installed", lambda name: versions.get(name, "2.0"))
    check = doctor.check_extra("app", "the app")
    assert check.status == "warning"
    assert "gradio is missing" in check.problem
    assert "plotly is 5.1, not" in check.problem
    assert "[app]" in check.remedy


def test_extras_are_told_apart() -> None:
    assert {need.name for need in doctor.requirements("timm")} == {"timm"}
    assert "torch" in {need.name for need in doctor.requirements()}
    assert "gradio" not in {need.name for need in doctor.requirements()}


def test_an_old_torch_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: "2.9.0" if name == "torch" else "99")
    check = doctor.check_packages()
    assert check.status == "error"
    assert "torch is 2.9.0" in check.problem
    assert check.remedy == "make repair"


def test_torchvision_of_another_build_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nms(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr("torchvision.ops.nms", nms)
    check = doctor.check_torch()
    assert (check.status, check.problem) == ("error", "operator torchvision::nms does not exist")
    assert not Report((check,)).can_detect


def test_a_missing_detectron2_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detectron2.modeling", None)
    assert doctor.check_detectron2().status == "error"


def test_a_detector_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "REHEARSAL_CONFIG", "no_such_config")
    check = doctor.check_detection()
    assert check.status == "error"
    assert "no_such_config" in check.problem


def test_outside_a_checkout_each_missing_part_has_a_command_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_in_checkout", lambda: False)

    def build(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'detectron2'", name="detectron2")

    monkeypatch.setattr("explorer.engine.building.build", build)
    assert doctor.check_detection().remedy == doctor.ADD_DETECTRON2
    problem = "error while loading shared libraries: libcrypto.so.1.1: cannot open shared object file"
    monkeypatch.setattr(doctor, "start_database", lambda _: problem)
    assert doctor.check_database().remedy == doctor.ADD_MONGODB_FOR_OPENSSL_3
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    assert doctor.check_database().remedy == 'pip install "vovnet-explorer[browse]"'


def test_a_driver_without_a_usable_gpu_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.check_gpu().status == "warning"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert doctor.check_gpu().status == "ok"


def test_low_precision_is_unknown_rather_than_a_crash_in_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert "bfloat16 in hardware: no" in doctor.check_processor().found


def test_no_compiler_is_a_warning_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    check = doctor.check_compiler()
    assert check.status == "warning"
    assert check.remedy.startswith("sudo apt-get install g++")


def test_no_browser_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert doctor.check_browser().remedy == "sudo apt-get install chromium"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo libcrypto.so.1.1 is missing; exit 127", "libcrypto.so.1.1 is missing"),
        ("exit 1", "it printed no message"),
        ('echo \'{"msg":"Waiting for connections"}\'; exec sleep 60', None),
        ("exec sleep 60", "it printed no message"),
    ],
)
def test_a_database_that_starts_or_not(tmp_path: Path, script: str, problem: str | None) -> None:
    mongod = tmp_path / "mongod"
    mongod.write_text(f"#!/bin/sh\n{script}\n")
    mongod.chmod(0o755)
    assert doctor.start_database(mongod, timeout_s=1) == problem


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in str(doctor.start_database(tmp_path / "mongod"))


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "not" / "yet"))
    assert doctor.check_cache().status == "ok"
    assert str(tmp_path / "not" / "yet") in doctor.check_cache().found
    assert not (tmp_path / "not").exists()
    monkeypatch.setattr(doctor, "SCARCE_MB", 1e12)
    assert "little space" in doctor.check_cache().problem
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be written" in doctor.check_cache().problem


def test_absent_distributions_have_no_version() -> None:
    with pytest.raises(PackageNotFoundError):
        version("no-such-distribution")
    assert doctor.installed("no-such-distribution") == ""

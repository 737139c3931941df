"""The package as others meet it: what importing it costs, and that what it promises is there."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import explorer

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "torchvision", "detectron2", "gradio", "fiftyone", "ipywidgets", "plotly", "matplotlib", "numpy"}


def loaded_after(code: str) -> set[str]:
    """Runs code in a fresh interpreter and returns the top-level names of all modules it has loaded."""
    program = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_after("import explorer")


def test_building_the_command_line_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_after("import explorer.cli, typer; typer.main.get_command(explorer.cli.app)")


def test_what_needs_no_model_loads_none() -> None:
    code = "import explorer; explorer.compare, explorer.read_truth, explorer.object_sizes"
    assert not {"torch", "torchvision", "detectron2"} & loaded_after(code)


def test_the_probe_sees_a_heavy_import() -> None:
    assert HEAVY & loaded_after("import explorer; explorer.Detections")


@pytest.mark.parametrize("name", [name for name in explorer.__all__ if name != "__version__"])
def test_every_promised_name_is_there(name: str) -> None:
    promised = getattr(explorer, name)
    assert promised.__name__.rpartition(".")[2] == name
    assert callable(promised)
    assert name in dir(explorer)


@pytest.mark.parametrize("name", [name for name in explorer.__all__ if name != "__version__"])
def test_every_promised_name_says_what_it_takes(name: str) -> None:
    """A function its parameters, a data class the attributes that it does not inherit, in a list of each."""
    from explorer.api.autopsy import autopsy

    promised = autopsy if name == "autopsy" else getattr(explorer, name)  # which is a package, too
    takes = (
        vars(promised).get("__annotations__", {})
        if inspect.isclass(promised)
        else inspect.signature(promised).parameters
    )
    told = inspect.getdoc(promised) or ""
    assert told.partition("\n")[0].endswith(".")
    assert [one for one in takes if not one.startswith("_") and f"    {one}:" not in told] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        explorer.nothing  # noqa: B018


def test_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "explorer", "--help"], capture_output=True, text=True, check=True)
    assert "doctor" in done.stdout


def test_constraints_pin_every_dependency_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(line) for lines in (project["dependencies"], *extras.values()) for line in lines]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {pin.name.lower(): pin for pin in map(Requirement, (line for line in lines if line and line[0] != "#"))}
    assert all([part.operator for part in pin.specifier] == ["=="] for pin in pins.values())
    for need in wanted:
        (pinned,) = pins[need.name].specifier
        assert need.specifier.contains(pinned.version), f"constraints.txt has {pinned.version}, wanted {need}"


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "detectron2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.mark.parametrize(
    "work",
    [
        "from explorer.cli import main; main(['evaluate', 'demo/V-19', '--data', 'nowhere'])",
        "from explorer.cli import main; main(['train', 'demo/V-19'])",
        "import explorer; explorer.load_detector('demo/V-19')",
    ],
)
def test_without_detectron2_one_line_says_how_to_add_it(work: str) -> None:
    """pip cannot bring it along: it is on no index under its own name."""
    done = subprocess.run([sys.executable, "-c", f"{WITHOUT}\n{work}"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "detectron2 is not installed, and pip cannot bring it along. Add it with: " in last
    assert "load_detector" in work or len(done.stderr.strip().splitlines()) == 1


def test_without_ipywidgets_a_widget_says_how_to_add_it() -> None:
    """Everything else works without them."""
    program = WITHOUT.replace("detectron2", "ipywidgets") + "\nimport explorer; explorer.Run; explorer.SideBySide"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: explorer.SideBySide needs ipywidgets, which is not installed: pip ")
    assert "[notebooks]" in last


def test_the_commands_that_need_no_detectron2_run_without_it() -> None:
    for words in (["--help"], ["zoo", "list"], ["data", "make", "aerial", "--help"]):
        program = f"{WITHOUT}\nfrom explorer.cli import main; main({words})"
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)


@pytest.mark.slow
def test_all_that_is_imported_of_detectron2_is_there_when_its_engine_is() -> None:
    """The page and the App import it before their threads start, or as their first step; two halves at once fail."""
    program = "import sys, detectron2.engine; print(*(name for name in sys.modules if name.startswith('detectron2')))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "explorer").rglob("*.py")]
    used = {
        name for text in sources for name in re.findall(r"^\s*(?:from|import) (detectron2[\w.]*)", text, re.MULTILINE)
    }
    assert len(used) > 20
    assert used <= set(done.stdout.split())


def test_a_wheel_names_the_source_that_make_takes() -> None:
    from explorer import doctor

    assert doctor.DETECTRON2_COMMIT in (ROOT / "tools/install.py").read_text()
    assert doctor.DETECTRON2_COMMIT in doctor.ADD_DETECTRON2
    assert f'"{doctor.MONGODB_FOR_OPENSSL_3}"' in (ROOT / "tools/install.py").read_text()

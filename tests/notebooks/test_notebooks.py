"""The tutorials: each runs in a real kernel, keeps to the house's rules, and is the script beside it."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
LIMIT_S = 600  # for a cell, on a machine that is busy with other things
MOST_LINES, MOST_BYTES = 12, 300_000

SMALL: dict[str, dict[str, Any]] = {
    "01_meet_the_backbones": {"SIZE": (240, 320), "ROUNDS": 1},
    "02_look_at_features": {"IMAGES": 2, "PHOTO": 1},
    "03_measure_receptive_fields": {"IMAGES": 2, "PHOTO": 1, "INPUTS": 1},
    "04_train_and_evaluate": {
        "TRAIN_IMAGES": 4,
        "VAL_IMAGES": 2,
        "ITERATIONS": 4,
        "KILL_AT": 3,
        "CHECKPOINT_EVERY": 2,
    },
    "05_compare_backbones_on_small_objects": {"IMAGES": 4, "PHOTO": 0, "HELP_IMAGES": 1},
    "06_browse_in_fiftyone": {"IMAGES": 2, "APP": False},
}
"""Parameters with which the ordinary tests run each tutorial: everything happens, on next to no data."""

WIDGETS = ("anywidget", "figures in widgets need anywidget, which is not installed")
NEEDED = {script.stem: [WIDGETS] for script in SCRIPTS}
NEEDED["06_browse_in_fiftyone"] = [("explorer.browser", "explorer.browser is not here")]
"""Modules without which a tutorial cannot run, and what to say then."""

Kernel = Any


def read(script: Path) -> Any:
    return pytest.importorskip("jupytext").read(script)


def execute(notebook: Any, path: Path) -> None:
    """Runs a notebook as `pytest --nbmake` does, and fails with the cell's own error."""
    import nbformat

    nbformat.write(notebook, path)
    nb_run = pytest.importorskip("nbmake.nb_run")
    result = nb_run.NotebookRun(path, LIMIT_S).execute()
    assert result.error is None, f"cell {result.error.failing_cell_index}: {result.error.trace[-3000:]}"
    refuse_warnings(result.nb)


def execute_in(kernel: Kernel, notebook: Any, folder: Path) -> None:
    """Runs a notebook in a kernel that runs others, too, from a clean name space and in a folder of its own."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell

    notebook.cells.insert(0, new_code_cell(f"%reset -f\n%cd -q {folder}"))
    client = NotebookClient(notebook, km=kernel, timeout=LIMIT_S)
    try:
        client.execute()  # raises the cell's own error
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
    refuse_warnings(notebook)


def refuse_warnings(notebook: Any) -> None:
    """Fails where a cell of a notebook that ran shows warnings."""
    said = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "stream"]
    complaints = [output.text for output in said if output.name == "stderr"]
    assert not complaints, f"a cell shows warnings: {complaints}"


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters(notebook: Any) -> Any:
    (cell,) = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    return cell


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What kernels inherit: this project, and a database of these tests' own."""
    folder = tmp_path_factory.mktemp("kernels")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(ROOT), prepend=":")
        patched.setenv("FIFTYONE_DATABASE_DIR", str(folder / "database"))
        patched.setenv("FIFTYONE_CONFIG_PATH", str(folder / "fiftyone.json"))
        yield


@pytest.fixture(scope="module")
def kernel(environment: None) -> Iterator[Kernel]:
    """A kernel for all tutorials, since what they import takes longer than they do; `slow` ones have their own."""
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync

    kernel = AsyncKernelManager(kernel_name="python3")
    yield kernel
    if kernel.has_kernel:
        run_sync(kernel.shutdown_kernel)(now=True)


@pytest.fixture
def here(script: Path, environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, with widgets' figures at hand."""
    for module, why in NEEDED.get(script.stem, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(why)
    monkeypatch.chdir(tmp_path)  # where a kernel starts
    return tmp_path


@pytest.mark.notebook
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_tutorial_runs_on_next_to_no_data(script: Path, here: Path, kernel: Kernel) -> None:
    notebook = read(script)
    cell = parameters(notebook)
    given = SMALL[script.stem]
    known = {target.id for line in ast.parse(cell.source).body for target in _targets(line)}
    assert given.keys() <= known, "the tutorial has no such parameter"
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())  # as papermill injects them
    execute_in(kernel, notebook, here)


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_tutorial_runs_as_it_stands(script: Path, here: Path) -> None:
    execute(read(script), here / f"{script.stem}.ipynb")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_stored_notebook_is_the_script(script: Path) -> None:
    stored = script.with_suffix(".ipynb")
    written, kept = read(script), read(stored)
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [
        (cell.cell_type, cell.source) for cell in written.cells
    ], f"{stored.name} is not {script.name}: python tools/notebooks.py {script.stem}"
    assert stored.stat().st_size <= MOST_BYTES
    outputs = [output for cell in code(kept) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds & {"image/png", "image/jpeg"}
    assert kinds <= {"image/png", "image/jpeg", "text/html", "text/plain"}, "only what a code host can show is stored"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_tutorial_keeps_to_the_rules(script: Path) -> None:
    notebook = read(script)
    assert notebook.cells[0].cell_type == "markdown"
    assert "**" in notebook.cells[0].source, "the first cell asks the question"
    assert {"DATA", "MODEL"} <= {
        target.id for line in ast.parse(parameters(notebook).source).body for target in _targets(line)
    }
    for cell in code(notebook):
        assert len(cell.source.splitlines()) <= MOST_LINES, cell.source
        assert not re.search(r"sys\.path|^\s*[!%]|\bpip\b", cell.source, re.MULTILINE), cell.source
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, (ast.FunctionDef, ast.ClassDef)), cell.source
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert ast.unparse(node) == "import explorer as ex"
    assert isinstance(ast.parse(code(notebook)[-1].source).body[-1], ast.Assert), "the end asserts what was shown"


def test_the_index_links_every_tutorial() -> None:
    index = (FOLDER / "README.md").read_text()
    for script in SCRIPTS:
        assert f"({script.stem}.ipynb)" in index
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", index):
        assert (FOLDER / target).exists(), target
    for module in re.findall(r"`(explorer(?:\.\w+)+)`", index):
        assert importlib.util.find_spec(module), module


def test_every_link_of_a_tutorial_is_there() -> None:
    for script in SCRIPTS:
        for target in re.findall(r"\]\(((?!http)[^)#]+)\)", script.read_text()):
            assert (FOLDER / target).exists(), f"{script.name}: {target}"


def test_stored_notebooks_are_paired() -> None:
    for script in SCRIPTS:
        metadata = json.loads(script.with_suffix(".ipynb").read_text())["metadata"]
        assert metadata["jupytext"]["formats"] == "ipynb,py:percent"


def _targets(line: ast.stmt) -> list[ast.Name]:
    """The names that an assignment gives values to."""
    targets = line.targets if isinstance(line, ast.Assign) else []
    flat = [item for target in targets for item in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [item for item in flat if isinstance(item, ast.Name)]

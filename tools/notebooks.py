"""Runs the tutorials' scripts and stores them as notebooks with static pictures: `python tools/notebooks.py [NAME…]`.

Scripts `notebooks/NN_*.py` are edited and reviewed; this tool generates the notebooks from them. Figures and widgets
are stored as pictures, rendered by Chromium through Playwright, so that a notebook is smaller than `MOST_KB` and
can be read without running it.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from painting import painter
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
MOST_KB, LIMIT_S = 300, 600
_PLOTLY = "application/vnd.plotly.v1+json"
_PHOTO_KB = 30
_STILLS = """
from explorer.ui.widgets.panel import Panel

def _still(self, **_):
    figure = self.still()
    bundle = {"text/plain": repr(self)}
    return bundle | ({"application/vnd.plotly.v1+json": figure.to_plotly_json()} if figure is not None else {})

Panel._repr_mimebundle_ = _still
"""
"""Runs in the kernel first: a widget is stored as the figure that it shows."""


def main() -> None:
    """Runs and stores the notebooks named on the command line, or all."""
    parser = argparse.ArgumentParser(description="Run the tutorials and store them with static pictures.")
    parser.add_argument("names", nargs="*", help="names such as 01_meet_the_backbones; all by default")
    parser.add_argument("--words", action="store_true", help="only update text cells; code must be unchanged")
    given = parser.parse_args()
    names = given.names or [path.stem for path in sorted(FOLDER.glob("[0-9]*.py"))]
    if given.words:
        for name in names:
            take_over_words(FOLDER / f"{name}.py", FOLDER / f"{name}.ipynb")
        return
    with painter() as paint:
        for name in names:
            start = time.perf_counter()
            notebook = run(jupytext.read(FOLDER / f"{name}.py"))
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs = [settle(output, paint) for output in cell.outputs if is_kept(output)]
            kilobytes = store(notebook, FOLDER / f"{name}.ipynb")
            print(f"{name}: {time.perf_counter() - start:.0f} s, {kilobytes:.0f} kB")


def take_over_words(script: Path, stored: Path) -> None:
    """Puts a script's text into its stored notebook, whose outputs stay.

    Raises:
        SystemExit: the code is another one, so that it has to be run.
    """
    written, kept = jupytext.read(script).cells, nbformat.read(stored, 4)  # type: ignore[no-untyped-call]
    codes = [[cell.source for cell in cells if cell.cell_type == "code"] for cells in (written, kept.cells)]
    if codes[0] != codes[1]:
        raise SystemExit(f"{stored.name} ran other code than {script.name} has: run it, without --words")
    ran = iter([cell for cell in kept.cells if cell.cell_type == "code"])
    kept.cells = [next(ran) if cell.cell_type == "code" else cell for cell in written]
    store(kept, stored)


def run(notebook: Any) -> Any:
    """Executes a notebook in a kernel of its own and returns it with its outputs."""
    os.environ |= {"PLOTLY_RENDERER": "plotly_mimetype", "FIFTYONE_DATABASE_VALIDATION": "false"}  # a note on versions
    client = NotebookClient(notebook, timeout=LIMIT_S, resources={"metadata": {"path": str(FOLDER)}})
    client.store_widget_state = False
    with client.setup_kernel():
        first: Any = nbformat.v4.new_code_cell(_STILLS)  # type: ignore[no-untyped-call]
        notebook.cells.append(first)  # nbclient runs cells of the notebook only
        client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1, store_history=False)
        notebook.cells.pop()
        for place, cell in enumerate(notebook.cells):
            client.execute_cell(cell, place)
    return notebook


def is_kept(output: Any) -> bool:
    """Whether an output is worth storing: a bar that has gone is not, nor a server's page that nobody else can open."""
    data = output.get("data", {})
    framed = "<iframe" in str(data.get("text/html", ""))
    return not framed and "application/vnd.jupyter.widget-view+json" not in data and output.output_type != "error"


def settle(output: Any, paint: Any) -> Any:
    """Puts a picture in the place of a figure."""
    data = output.get("data", {})
    if figure := data.pop(_PLOTLY, None):
        kind, picture = compressed(paint(figure))
        data[kind] = base64.b64encode(picture).decode()
        data.pop("text/html", None)
    return output


def store(notebook: Any, path: Path) -> float:
    """Writes a notebook and returns its size in kilobytes.

    Raises:
        SystemExit: it is too large.
    """
    for place, cell in enumerate(notebook.cells):
        cell.metadata.pop("execution", None)
        cell.id = f"cell-{place:02d}"  # random ones would differ each time
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py"}
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    kilobytes = path.stat().st_size / 1000
    if kilobytes > MOST_KB:
        raise SystemExit(f"{path.name} has {kilobytes:.0f} kB, more than {MOST_KB}: show less, or smaller")
    return kilobytes


def compressed(png: bytes) -> tuple[str, bytes]:
    """Returns a picture as PNG, or where that is large as a JPEG or a PNG of few colours, whichever is smaller."""
    if len(png) < 1000 * _PHOTO_KB:
        return "image/png", png
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    ways: dict[str, Image.Image] = {"JPEG": picture, "PNG": picture.quantize(64, dither=Image.Dither.NONE)}
    found = []
    for kind, given in ways.items():
        buffer = io.BytesIO()
        given.save(buffer, kind, quality=60, optimize=True)
        found.append((f"image/{kind.lower()}", buffer.getvalue()))
    return min(found, key=lambda one: len(one[1]))


if __name__ == "__main__":
    main()

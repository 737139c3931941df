"""A data set and detections in FiftyOne in one call, as a result that shows its figures and opens the App."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import RunLike
from explorer.api.result import Result
from explorer.browser.database import connect, database_explained
from explorer.browser.export import Changes, write_corrected
from explorer.browser.state import KEY, protocol_of_dataset
from explorer.browser.views import Shown, save_views, views_of
from explorer.report.tables import Grid
from explorer.scoring.columns import Run
from explorer.scoring.outcomes import FOUND, FoundRule, found_words
from explorer.scoring.protocols import COCO, Protocol, protocol_of
from explorer.types import Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class BrowsedData(Result):
    """A data set with detections in FiftyOne's database.

    Attributes:
        dataset: the `fiftyone.Dataset`, for everything that FiftyOne does.
        data: `PATH[:SPLIT]` of the annotations that it was imported from.
        fields: sample field of the detections of each run that was given, in that order.
        written: what this call had to write: `images`, and the fields of new runs; empty if all was there.
    """

    dataset: Any
    data: str
    fields: tuple[str, ...]
    written: tuple[str, ...]

    @property
    def title(self) -> str:
        done = f"written: {', '.join(self.written)}" if self.written else "nothing new to write"
        return f"{self.dataset.name}, {len(self.dataset):,} images; {done}"

    def tables(self) -> list[Grid]:
        """Returns one row per run: its field, what counts as found, and its AP, overall and by size."""
        names = ("AP", "AP50", *protocol_of_dataset(self.dataset).ap_by_size)
        rows = []
        for field, run in self._runs.items():
            figures = [run["figures"].get(name) for name in names]
            shown = ["–" if value is None else f"{value:.1f}" for value in figures]
            rows.append((field, found_words(run["iou"], run["score"]), *shown))
        return [Grid(("field", "found", *names), tuple(rows))] if rows else []

    def sentences(self) -> list[str]:
        """Returns the protocol, if there are runs that it scores."""
        return [f"{protocol_of_dataset(self.dataset)}"] if self._runs else []

    def figure(self) -> go.Figure:
        """Draws the number of boxes in each saved view, which the database counts."""
        from explorer.figures.browser import boxes_by_view

        return boxes_by_view({row["view"]: row["boxes"] for row in self.rows() if row["boxes"] is not None})

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer browse --json`: what was written, the figures of runs, and the views."""
        return {
            "protocol": protocol_of_dataset(self.dataset).as_facts(),
            "dataset": self.dataset.name,
            "images": len(self.dataset),
            "written": list(self.written),
            "runs": self._runs,
            "views": self.dataset.list_saved_views(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per saved view: its name, what it shows, and how many images and boxes it selects."""
        return [
            {
                "view": name,
                "shows": shown.says,
                "images": len(shown.view),
                "boxes": shown.view.count(f"{shown.field}.detections") if shown.field else None,
            }
            for name, shown in self._shown.items()
        ]

    @property
    def views(self) -> dict[str, Any]:
        """The saved views, each a `fiftyone.DatasetView`, by name, such as `A: small misses`."""
        return {name: shown.view for name, shown in self._shown.items()}

    def show(self, *, height_px: int = 700) -> Any:
        """Opens the App below a notebook's cell, or in a browser tab outside of a notebook.

        Args:
            height_px: height of the App in the notebook.

        Returns:
            The `fiftyone.Session`. In a script, call its `wait()`.

        Raises:
            OSError: no port is free.
        """
        from explorer.browser.serve import show

        return show(self.dataset, height_px=height_px)

    def export(self, path: str | Path) -> Changes:
        """Writes the annotations as they were corrected in the App, in COCO format.

        Annotations that were not changed keep all their keys. Objects tagged `reject` are left out, and detections
        tagged `accept` are added.

        Args:
            path: the new annotation file.

        Returns:
            The number of objects that were relabelled, moved, added, removed and tagged.

        Raises:
            ValueError: the original annotations cannot be read, or an object has a class that they do not have.
            OSError: the file cannot be written.
        """
        return write_corrected(self.dataset, self.data, Path(path))

    @property
    def _runs(self) -> dict[str, Any]:
        runs = self.dataset.info[KEY]["runs"]
        return {field: runs[field] for field in self.fields or runs}

    @cached_property
    def _shown(self) -> dict[str, Shown]:
        return dict(views_of(self.dataset))


def browse(
    data: str | Path,
    runs: Sequence[RunLike] = (),
    *,
    name: str | None = None,
    found: FoundRule = FOUND,
    protocol: str | Protocol | None = None,
    match_by: str | None = None,
    rebuild: bool = False,
    device: str = "auto",
    tile: int | None = None,
    overlap: float = 0.2,
    progress: Progress | None = None,
) -> BrowsedData:
    """Imports a data set and detections into FiftyOne's database, evaluates every box, and saves views of the errors.

    Only what is missing is written; tags and corrections made in the App are kept. FiftyOne's plugin of this package
    is installed as well.

    Args:
        data: `PATH[:SPLIT]` of a data set.
        runs: folders that `evaluate` wrote, runs read from one, results files, or names of models, which are evaluated
            first; their detections are cached.
        name: name of the data set in FiftyOne; None for folder and split.
        found: IoU and score from which an object counts as found.
        protocol: name of a benchmark's rules, such as `ai-tod`, or a `Protocol`; None for those of the data set in the
            database or of the runs, otherwise COCO's.
        match_by: whether results refer to images by `id` or `file_name`; None to decide by the file, see `load_run`.
        rebuild: import everything again; tags and corrections are lost.
        device: where models run: `auto`, `cpu`, `cuda` or `cuda:N`.
        tile: side of the overlapping tiles that models run on, in pixels; None for that of the config.
        overlap: share of a tile's side that neighbouring tiles have in common.
        progress: called with the number of images that are done and their total, for each step anew.

    Raises:
        ValueError: the data, a run or a model cannot be read, a run is in no folder, or the database has another data
            set of this name or one with other rules.
        DatabaseError: FiftyOne is not installed, or its database does not start.
        DownloadError: a model's weights cannot be downloaded.
    """
    fiftyone = connect()
    with database_explained():
        from explorer.browser.build import build, kept_protocol
        from explorer.browser.runs import as_runs
        from explorer.browser.serve import install_plugin

        source, rules = str(data), None if protocol is None else protocol_of(protocol)
        kept = None if rebuild else kept_protocol(source, name)  # by which models are run and scored, then
        how: dict[str, Any] = {"device": device, "tile": tile, "overlap": overlap, "protocol": rules or kept or COCO}
        folders = as_runs([_folder_of(run) for run in runs], source, progress=progress, **how)
        built = build(
            source,
            folders,
            name=name,
            rebuild=rebuild,
            found=found,
            match_by=match_by,
            protocol=rules,
            progress=progress,
        )
        if built.written or not built.dataset.list_saved_views():
            save_views(built.dataset)
        install_plugin(Path(fiftyone.config.plugins_dir))
        return BrowsedData(built.dataset, source, built.fields, built.written)


def _folder_of(run: RunLike) -> str:
    if isinstance(run, Run):
        if run.folder is None:
            raise ValueError(
                f"The run of {run.name} was not read from a folder. Give the folder itself, as written by "
                "`evaluate(…, out=FOLDER)` or `explorer evaluate --out FOLDER`."
            )
        return str(run.folder)
    return str(run)

"""Training, and what a run logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.result import Result
from explorer.engine.training.checkpointing import METRICS, read_metrics
from explorer.engine.training.command import train as run
from explorer.report.tables import Grid
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.engine.training.hooks import OnStep


@dataclass(frozen=True, eq=False, repr=False)
class TrainingReport(Result):
    """A finished training run.

    Attributes:
        folder: folder of the checkpoints and logs; `load_detector` and `evaluate` take it as a model.
        figures: metrics of the last evaluation in percent, by task and name.
        log: the logged scalars, one mapping per iteration, with `iteration` from 0.
    """

    folder: Path
    figures: Mapping[str, Mapping[str, float]]
    log: tuple[Mapping[str, float], ...]

    @property
    def title(self) -> str:
        last = f", {int(self.log[-1]['iteration']) + 1:,} iterations" if self.log else ""
        return f"Training run in {self.folder}{last}"

    def tables(self) -> list[Grid]:
        """Returns the figures of the last evaluation."""
        values = [(task, name, f"{value:.2f}") for task, own in self.figures.items() for name, value in own.items()]
        return [Grid(("task", "figure", "percent"), tuple(values))] if values else []

    def sentences(self) -> list[str]:
        """Returns a note if the training was not evaluated."""
        return [] if self.figures else ["The run was not evaluated: no validation set was given."]

    def figure(self) -> go.Figure:
        """Draws the loss and its parts by iteration."""
        from explorer.figures.training import training_curves

        return training_curves({self.folder.name: self.log}, parts=True)

    def to_dict(self) -> dict[str, Any]:
        """Returns the folder, the figures and the log."""
        return plain({"folder": self.folder, "figures": self.figures, "log": self.log})  # type: ignore[no-any-return]

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Returns one row per iteration that was logged."""
        return self.log


def train(
    config: str | Path,
    data: str | Path,
    val: str | Path | None = None,
    *,
    out: str | Path,
    weights: str | Path | None = None,
    overrides: Sequence[str] = (),
    resume: bool = False,
    on_step: OnStep | None = None,
) -> TrainingReport:
    """Trains a detector in this process. The log is written to `log.txt` in the output folder.

    Args:
        config: a config file, or the name of a bundled config, such as `aerial/faster_rcnn_V_19_slim_dw`.
        data: the training set, `PATH[:SPLIT]`; the number of classes is taken from it.
        val: the validation set; None for no evaluation.
        out: folder for checkpoints, figures and logs.
        weights: initial weights, a checkpoint or a zoo name; None for those of the config.
        overrides: further `KEY VALUE` pairs, such as `["SOLVER.MAX_ITER", "400"]`; `key=value` for a LazyConfig.
        resume: continue from the last checkpoint in `out`; the result is bit-identical to an uninterrupted run.
        on_step: called after every step with the number of steps done, the total and the latest scalars.

    Raises:
        ValueError: the config or the data is invalid; the message names the remedy.
        FloatingPointError: training diverged; the message gives the iteration, the learning rate and a remedy.
    """
    tests = () if val is None else (str(val),)
    if Path(config).suffix == ".py":
        given = {"dataloader.train.dataset.names": str(data), "train.output_dir": str(out)}
        given |= {"dataloader.test.dataset.names": tests[0]} if tests else {}
        given |= {"train.init_checkpoint": str(weights)} if weights is not None else {}
        settings = [f"{key}={value}" for key, value in given.items()]
    else:
        settings = ["DATASETS.TRAIN", repr((str(data),)), "DATASETS.TEST", repr(tests), "OUTPUT_DIR", str(out)]
        settings += ["MODEL.WEIGHTS", str(weights)] if weights is not None else []
    figures = run(config, [*settings, *overrides], resume=resume, on_step=on_step)
    return TrainingReport(Path(out), figures, tuple(read_metrics(Path(out) / METRICS)))

"""Operators of the plugin: what FiftyOne asks the user, and which function of this package then does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from explorer.browser import actions
from explorer.browser.evaluation import metrics_by_size
from explorer.browser.names import GROUND_TRUTH
from explorer.browser.state import protocol_of_dataset

ANY = "any"


class CompareModels(foo.Operator):
    """Shows the objects that one run finds and another does not."""

    @property
    def config(self) -> Any:
        """What FiftyOne calls it."""
        return foo.OperatorConfig(
            name="compare_models", label="Compare two runs: who finds what", dynamic=True, view_target=False
        )

    def resolve_input(self, ctx: Any) -> Any:
        """Asks for two runs, and a size."""
        inputs = types.Object()
        runs = actions.runs_in(ctx.dataset)
        if _need_runs(inputs, runs, 2):
            return types.Property(inputs)
        inputs.enum("a", runs, label="Found by", required=True, default=runs[0])
        inputs.enum("b", runs, label="Missed by", required=True, default=runs[1])
        sizes = protocol_of_dataset(ctx.dataset).size_labels
        inputs.enum("size", [ANY, *sizes], label="Object size", default=ANY)
        return types.Property(inputs, view=types.View(label="Compare two runs"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Shows them, and counts all four cases."""
        a, b, size = ctx.params["a"], ctx.params["b"], ctx.params.get("size", ANY)
        counts = actions.who_finds(ctx.dataset, a, b, None if size == ANY else size)
        ctx.ops.set_view(actions.only_found_by(ctx.dataset, a, b, None if size == ANY else size))
        return {
            "counts": [{"who": who, "objects": number} for who, number in counts.items()],
            "found": f"An object is found by {actions.rules(ctx.dataset, a, b)}.",
        }

    def resolve_output(self, ctx: Any) -> Any:
        """Shows the counts."""
        outputs = types.Object()
        table = types.TableView()
        table.add_column("who", label="found by")
        table.add_column("objects", label="objects")
        outputs.list("counts", types.Object(), view=table)
        outputs.str("found", view=types.MarkdownView())
        return types.Property(outputs)


class ShowSmallMisses(foo.Operator):
    """Shows the smallest objects, in COCO the small ones, that a run does not find."""

    @property
    def config(self) -> Any:
        """What FiftyOne calls it."""
        return foo.OperatorConfig(name="show_small_misses", label="Show small misses", dynamic=True, view_target=False)

    def resolve_input(self, ctx: Any) -> Any:
        """Asks for a run."""
        inputs = types.Object()
        runs = actions.runs_in(ctx.dataset)
        if not _need_runs(inputs, runs, 1):
            inputs.enum("run", runs, label="Missed by", required=True, default=runs[0])
        return types.Property(inputs, view=types.View(label="Small objects that are missed"))

    def execute(self, ctx: Any) -> None:
        """Shows them."""
        ctx.ops.set_view(actions.small_misses(ctx.dataset, ctx.params["run"]))


class ExplainMiss(foo.Operator):
    """Follows the selected object through a detector and draws the boxes that decided about it."""

    @property
    def config(self) -> Any:
        """What FiftyOne calls it."""
        return foo.OperatorConfig(
            name="explain_miss", label="Explain a miss: follow the selected object", dynamic=True, view_target=False
        )

    def resolve_input(self, ctx: Any) -> Any:
        """Asks for a run whose model can be built again."""
        inputs = types.Object()
        chosen = actions.selected_object(ctx.selected_labels)
        runs = actions.runs_with_models(ctx.dataset)
        if chosen is None:
            _stop(inputs, f"Select one object of {GROUND_TRUTH} in an image first.")
        elif not _need_runs(inputs, runs, 1, "whose model is known: make one with explorer evaluate --out"):
            inputs.enum("run", runs, label="Follow it through", required=True, default=runs[0])
        return types.Property(inputs, view=types.View(label="Where the object is lost"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Follows it; the model is kept for the next object."""
        chosen = actions.selected_object(ctx.selected_labels)
        if chosen is None:
            raise ValueError(f"select one object of {GROUND_TRUTH} in an image first")
        return actions.explain_object(ctx.dataset, ctx.params["run"], *chosen)

    def resolve_output(self, ctx: Any) -> Any:
        """Shows the drawing above the story."""
        outputs = types.Object()
        outputs.plot("figure", layout=ctx.results["layout"], config={"displayModeBar": False})
        outputs.str("story", view=types.MarkdownView())
        return types.Property(outputs, view=types.View(label="Where the object is lost"))


class EvaluateBySize(foo.EvaluationMetric):
    """COCO's AP of small, medium and large objects, of any evaluation of detections."""

    @property
    def config(self) -> Any:
        """What FiftyOne calls it."""
        return foo.EvaluationMetricConfig(
            name="evaluate_by_size",
            label="AP of small objects (COCO)",
            description="COCO's AP of small, medium and large objects, in percent; equal to pycocotools.",
            eval_types=["detection"],
            aggregate_key="APs",
            lower_is_better=False,
        )

    def compute(self, samples: Any, results: Any, **_: Any) -> float | None:
        """Returns AP of small objects, the metric's one number; those of other sizes are put beside it."""
        figures = actions.figures_of(samples, results.config.gt_field, results.config.pred_field)
        results.custom_metrics = (results.custom_metrics or {}) | metrics_by_size(figures)
        return figures["APs"]

    def get_fields(self, samples: Any, config: Any, eval_key: str) -> list[str]:
        """Adds no fields."""
        return []


class RunModel(foo.Operator):
    """Runs a detector on the images of the view."""

    @property
    def config(self) -> Any:
        """What FiftyOne calls it."""
        return foo.OperatorConfig(
            name="run_model",
            label="Run a model of the zoo on the view",
            execute_as_generator=True,
            allow_delegated_execution=True,
        )

    def resolve_input(self, ctx: Any) -> Any:
        """Asks for a model and a field."""
        inputs = types.Object()
        choices = types.AutocompleteView(allow_user_input=True)
        for name in actions.model_names():
            choices.add_choice(name, label=name)
        inputs.str(
            "model",
            label="Model",
            description="A zoo name, a config file, a training run or a checkpoint",
            required=True,
            view=choices,
        )
        inputs.str("field", label="Field", description="For its detections; after the model if empty")
        return types.Property(inputs, view=types.View(label="Run a model"))

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Writes an image's detections when it is done, so that what is done stays."""
        view = ctx.target_view() if hasattr(ctx, "target_view") else ctx.view
        for done, total in actions.detect(view, ctx.params["model"], ctx.params.get("field") or None):
            share, words = done / max(1, total), f"{done} of {total} images"
            if ctx.delegated:
                ctx.set_progress(progress=share, label=words)
            else:
                yield ctx.ops.set_progress(progress=share, label=words)
        if not ctx.delegated:
            yield ctx.ops.reload_dataset()


OPERATORS = (CompareModels, ShowSmallMisses, ExplainMiss, EvaluateBySize, RunModel)


def _need_runs(inputs: Any, runs: list[str], number: int, which: str = "") -> bool:
    """Says so where there are too few runs."""
    if len(runs) >= number:
        return False
    wanted = which or f"of explorer browse: this data set has {len(runs)}"
    _stop(inputs, f"This needs {number} run{'s' if number > 1 else ''} {wanted}.")
    return True


def _stop(inputs: Any, why: str) -> None:
    problem = inputs.view("problem", types.Warning(label=why))
    problem.invalid = True

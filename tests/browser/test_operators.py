"""Operators and the panel, without a database: what they ask, what they show, and that the plugin names them all."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.filterwarnings("ignore")

PLUGIN = Path(__file__).resolve().parents[2] / "explorer/browser/plugin"
RUNS = {
    name: {"name": name, "path": "/nowhere", "fingerprint": name * 20, "stage": "done"}
    | {"iou": 0.75, "score": 0.5, "figures": {}}
    for name in ("a", "b")
}


class Dataset:
    """Remembers which labels it was asked to show."""

    def __init__(self, runs: dict[str, Any] = RUNS, columns: list[list[Any]] | None = None) -> None:
        state = {"source": "x:val", "fingerprint": "f", "runs": runs, "complete": True, "version": 2}
        self.info = {"vovnet_explorer": state} if runs is not None else {}
        self.columns = columns

        self.filters: list[tuple[str, str]] = []

    @property
    def _dataset(self) -> Any:
        return self

    def has_field(self, name: str) -> bool:
        return True

    def filter_labels(self, name: str, condition: Any, only_matches: bool = True) -> Any:
        view = Dataset(self.info["vovnet_explorer"]["runs"])
        view.filters = [*self.filters, (name, str(condition.to_mongo()))]
        return view

    def values(self, paths: list[str], unwind: bool = False) -> list[list[Any]]:
        assert self.columns is not None
        return self.columns


@dataclass
class Context:
    """What FiftyOne hands to an operator."""

    dataset: Any
    params: dict[str, Any] = field(default_factory=dict)
    selected_labels: list[dict[str, str]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    shown: list[Any] = field(default_factory=list)
    delegated: bool = False
    view: Any = None

    def __post_init__(self) -> None:
        self.ops = SimpleNamespace(
            set_view=self.shown.append,
            clear_view=lambda: self.shown.append("everything"),
            set_progress=lambda **what: what,
            reload_dataset=lambda: "reload",
        )
        state, data = dict[str, Any](), dict[str, Any]()
        self.panel = SimpleNamespace(
            get_state=lambda key, default=None: state.get(key, default),
            set_state=state.__setitem__,
            set_data=data.__setitem__,
            state=state,
            data=data,
        )


@pytest.fixture
def operators(fiftyone_module: Any) -> Any:
    from explorer.browser import operators

    return operators


def asked(operator: Any, context: Context) -> dict[str, Any]:
    """The names of what is asked for, and whether it can go on."""
    properties: dict[str, Any] = operator.resolve_input(context).to_json()["type"]["properties"]
    return properties


def test_the_plugin_registers_what_its_file_lists(operators: Any) -> None:
    listed = yaml.safe_load((PLUGIN / "fiftyone.yml").read_text())
    spec = importlib.util.spec_from_file_location("plugin_under_test", PLUGIN / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    registered: list[str] = []
    module.register(SimpleNamespace(register=lambda kind: registered.append(kind().config.name)))
    assert sorted(registered) == sorted(listed["operators"] + listed["panels"])


def test_compare_shows_who_finds_what(operators: Any) -> None:
    columns = [[True, True, False, None, False], [False, True, True, None, False], ["small"] * 4 + ["large"]]
    context = Context(Dataset(columns=columns), {"a": "a", "b": "b", "size": "small"})
    operator = operators.CompareModels()
    assert set(asked(operator, context)) == {"a", "b", "size"}
    answer = operator.execute(context)
    counts = answer["counts"]
    assert answer["found"] == "An object is found by a: IoU ≥ 0.75, score ≥ 0.5; b: IoU ≥ 0.75, score ≥ 0.5."
    assert {row["who"]: row["objects"] for row in counts} == {"both": 1, "only a": 1, "only b": 1, "neither": 0}
    [(name, condition), *as_used] = context.shown[0].filters
    assert name == "ground_truth"
    assert "a_found" in condition
    assert "small" in condition
    assert [(name, "0.5" in score) for name, score in as_used] == [("a", True), ("b", True)]
    assert operator.resolve_output(context).to_json()["type"]["properties"]["counts"]


def test_small_misses_are_shown(operators: Any) -> None:
    context = Context(Dataset(), {"run": "b"})
    operators.ShowSmallMisses().execute(context)
    assert "b_found" in context.shown[0].filters[0][1]


@pytest.mark.parametrize("runs", [{}, {"a": RUNS["a"]}])
def test_too_few_runs_are_explained(operators: Any, runs: dict[str, Any]) -> None:
    problem = asked(operators.CompareModels(), Context(Dataset(runs)))["problem"]
    assert problem["invalid"]
    assert "needs 2 runs" in problem["view"]["label"]


@pytest.mark.parametrize(
    "selected",
    [[], [{"field": "b", "sample_id": "s", "label_id": "l"}], 2 * [{"field": "ground_truth"}]],
    ids=["nothing", "a detection", "two"],
)
def test_explaining_needs_one_object(operators: Any, selected: list[dict[str, str]]) -> None:
    context = Context(Dataset(), selected_labels=selected)
    assert "Select one object" in asked(operators.ExplainMiss(), context)["problem"]["view"]["label"]
    with pytest.raises(ValueError, match="select one object"):
        operators.ExplainMiss().execute(context)


def test_explaining_passes_the_object_on(operators: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"field": "ground_truth", "sample_id": "s", "label_id": "l"}
    context = Context(Dataset(), {"run": "a"}, [chosen])
    answer = {"figure": [], "layout": {"height": 520}, "story": "lost"}
    monkeypatch.setattr(
        operators.actions, "explain_object", lambda *given: answer if given[1:] == ("a", "s", "l") else 0
    )
    assert operators.ExplainMiss().execute(context) == answer
    context.results = answer
    shown = operators.ExplainMiss().resolve_output(context).to_json()["type"]["properties"]
    assert list(shown) == ["figure", "story"]
    assert shown["figure"]["view"]["layout"] == {"height": 520}


def test_a_model_runs_with_progress(operators: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators.actions, "detect", lambda view, model, name: iter([(1, 2), (2, 2)]))
    context = Context(Dataset(), {"model": "demo/V-19-slim-dw"})
    *steps, last = operators.RunModel().execute(context)
    assert [step["progress"] for step in steps] == [0.5, 1]
    assert last == "reload"
    assert operators.RunModel().config.allow_delegated_execution


def test_the_metric_names_all_sizes(operators: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.browser.evaluation import SIZE_METRIC

    figures = {"AP": 20.0, "APs": 10.0, "APm": 30.0, "APl": None}
    monkeypatch.setattr(operators.actions, "figures_of", lambda *_: figures)
    results = SimpleNamespace(config=SimpleNamespace(gt_field="g", pred_field="p"), custom_metrics=None)
    operator = operators.EvaluateBySize()
    operator.plugin_name = yaml.safe_load((PLUGIN / "fiftyone.yml").read_text())["name"]
    assert operator.compute(None, results) == 10
    assert {entry["key"]: entry["value"] for entry in results.custom_metrics.values()} == {"APs": 10.0, "APm": 30.0}
    assert operator.uri == SIZE_METRIC


@pytest.fixture
def panel(operators: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from explorer.browser import panel

    figure = {"data": [], "layout": {"height": 300}}
    names = ("ap_by_size", "found_by_size", "found_by_class", "errors")
    diff = {"words": "who is better", "sizes": ["small", "large"], "figures": dict.fromkeys(names, figure)}
    monkeypatch.setattr(panel, "kept_diff", lambda *_: diff)
    return panel.BackboneDiff()


def test_the_panel_draws_two_runs(panel: Any) -> None:
    context = Context(Dataset())
    panel.on_load(context)
    assert (context.panel.state["a"], context.panel.state["b"]) == ("a", "b")
    assert list(context.panel.data) == ["ap_by_size", "found_by_size", "found_by_class", "errors"]
    assert {"top", "words_shown", *context.panel.data} <= set(panel.render(context).to_json()["type"]["properties"])


@pytest.mark.parametrize(
    ("method", "params", "wanted"),
    [
        ("show_found", {"trace": "only a", "x": "small", "relative_path": "found_by_size"}, ["a_found", "small"]),
        ("show_found", {"trace": "only b", "x": "car", "relative_path": "found_by_class"}, ["b_found", "car"]),
        ("show_missed", {"trace": "b", "x": 0.85}, ["b_found", "large"]),
        ("show_errors", {"trace": "a", "x": "box off"}, ["localisation"]),
        ("show_errors", {"trace": "a", "x": "missed"}, ["a_error", "missed"]),
    ],
)
def test_a_bar_leads_to_its_boxes(panel: Any, method: str, params: dict[str, Any], wanted: list[str]) -> None:
    context = Context(Dataset(), params)
    panel.on_load(context)
    getattr(panel, method)(context)
    conditions = str(context.shown[0].filters)
    assert all(word in conditions for word in wanted), conditions


def test_the_panel_explains_what_is_missing(panel: Any) -> None:
    lonely = Context(Dataset({}))
    panel.on_load(lonely)
    assert "Two runs are needed" in str(panel.render(lonely).to_json())
    same = Context(Dataset())
    panel.on_load(same)
    same.params["value"] = "a"
    panel.choose_b(same)
    assert "Choose two different runs" in str(panel.render(same).to_json())


def test_figures_of_a_panel_are_plain(as_scene_run: Callable[[str], Any]) -> None:
    import json

    from explorer.browser.diff import compared
    from explorer.errors.bootstrap import bootstrap
    from explorer.errors.oracles import fix_by_size
    from explorer.errors.taxonomy import classify_errors
    from explorer.figures.errors import ap_by_size, error_types
    from explorer.scoring.matching import match
    from explorer.scoring.outcomes import FoundRule, found_by
    from explorer.scoring.sizes import COCO_BINS

    matches = [match(as_scene_run(name), bins=COCO_BINS) for name in ("better", "worse")]
    points = [FoundRule(score=0.3).of(own) for own in matches]
    taking = [found_by(own, point) for own, point in zip(matches, points, strict=True)]
    diff = json.loads(json.dumps(compared(matches, points)))
    bars = {bar["name"]: sum(bar["y"]) for bar in diff["figures"]["found_by_size"]["data"]}
    only_first = ((taking[0] >= 0) & (taking[1] < 0) & ~matches[0].run.truth.crowds).sum()
    assert bars["only better"] == only_first > 0
    errors = diff["figures"]["errors"]["data"]
    page = error_types({"better": fix_by_size(classify_errors(matches[0].run), COCO_BINS)})
    assert errors[0]["x"] == [trace.name for trace in page.data]  # the page's words and colours
    drawn = ap_by_size([bootstrap(own, 20) for own in matches])
    assert [bar["marker"]["color"] for bar in errors] == [own.error_y.color for own in drawn.data][:2]
    assert "AP of worse minus better" in diff["words"]
    assert "better: IoU ≥ 0.5, score ≥ 0.3; worse: IoU ≥ 0.5, score ≥ 0.3" in diff["words"]
    assert "too few images" in diff["words"]  # ten images, not all of them with small objects

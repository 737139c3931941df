"""How a data set looks in the App: one colour per run, and each run's numbers in a group of their own."""

from __future__ import annotations

from typing import Any

from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.browser.state import KEY
from explorer.types import SIZES

_TRUTH_COLOR = "#2ecc71"
_RUN_COLORS = ("#ff8c1a", "#4da3ff", "#e667c6", "#ffd84d", "#9b7bff", "#4de0d0")
"""They stand out against photographs and from each other; the objects are green."""


def arrange(dataset: Any) -> None:
    """Sets colours, and sorts the sidebar."""
    import fiftyone as fo

    runs = [name for name in dataset.info[KEY]["runs"] if dataset.has_field(name)]
    colors = {GROUND_TRUTH: _TRUTH_COLOR} | {
        name: _RUN_COLORS[place % len(_RUN_COLORS)] for place, name in enumerate(runs)
    }
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="field", fields=[{"path": path, "fieldColor": color} for path, color in colors.items()]
    )
    groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    own = {name: _numbers(RunFields(name)) for name in runs}
    moved = {path for paths in own.values() for path in paths}
    for group in groups:
        group.paths = [path for path in group.paths if path not in moved]
        group.expanded = group.name in {"tags", "labels"}
    named = [fo.SidebarGroupDocument(name=name, paths=paths, expanded=True) for name, paths in own.items()]
    known = set(own) | {RunFields(name).eval_key for name in runs}
    dataset.app_config.sidebar_groups = [*(group for group in groups if group.name not in known), *named]
    dataset.save()


def _numbers(fields: RunFields) -> list[str]:
    counts = (fields.true_positives, fields.false_positives, fields.false_negatives)
    return [fields.ap, fields.ap_small, *(fields.misses(size) for size in SIZES), *counts]

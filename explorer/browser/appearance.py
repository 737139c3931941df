"""How a data set looks in the App: the page's colours of runs and classes, and a group for each run's numbers."""

from __future__ import annotations

from typing import Any

from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.browser.state import KEY, protocol_of_dataset


def arrange(dataset: Any) -> None:
    """Sets colours, and sorts the sidebar.

    Boxes have the colours of their runs. Who colours by value in the App gets those of classes, as the page has them.
    """
    import fiftyone as fo

    from explorer.engine.colors import class_color
    from explorer.figures.style import TRUTH_HEX, in_hex, run_hex

    runs = [name for name in dataset.info[KEY]["runs"] if dataset.has_field(name)]
    colors = {GROUND_TRUTH: TRUTH_HEX} | {name: run_hex(place) for place, name in enumerate(runs)}
    classes = [
        {"value": name, "color": in_hex(class_color(index))} for index, name in enumerate(dataset.default_classes)
    ]
    by_class = {"colorByAttribute": "label", "valueColors": classes}
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="field", fields=[{"path": path, "fieldColor": color, **by_class} for path, color in colors.items()]
    )
    groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    protocol = protocol_of_dataset(dataset)
    own = {name: _numbers(RunFields(name, protocol)) for name in runs}
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
    ap = [name for name in (fields.ap, fields.ap_smallest, fields.label_error) if name]
    return [*ap, *(fields.misses(size) for size in fields.protocol.size_labels), *counts]

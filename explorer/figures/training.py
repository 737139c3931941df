"""Training drawn while it runs: loss and its parts by iteration, and AP where it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from explorer.figures.style import FAINT, INK, rgb
from explorer.text import NAME_LENGTH, in_plotly

_LOSSES = {
    "total_loss": "all",
    "loss_rpn_cls": "RPN: object or not",
    "loss_rpn_loc": "RPN: box",
    "loss_cls": "head: class",
    "loss_box_reg": "head: box",
    "loss_fcos_cls": "FCOS: class",
    "loss_fcos_loc": "FCOS: box",
    "loss_fcos_ctr": "FCOS: centerness",
    "loss_mask": "mask",
    "loss_maskiou": "mask score",
}
_DASHES = ("solid", "dot", "dash", "dashdot", "longdash")


def training_curves(runs: Mapping[str, Sequence[Mapping[str, float]]], *, parts: bool = False) -> go.Figure:
    """Draws the loss by iteration, one colour per run.

    Args:
        runs: by name, rows with `iteration` and the scalars of that iteration, as in a run's `metrics.json`.
        parts: also the parts of the loss that the runs have.

    Raises:
        ValueError: there is no run.
    """
    if not runs:
        raise ValueError("there is no run to draw; give at least one")
    figure = go.Figure()
    for number, (run, rows) in enumerate(runs.items()):
        name = in_plotly(run, NAME_LENGTH)
        for place, (key, words) in enumerate(_LOSSES.items()):
            if place and not parts:
                break
            known = [row for row in rows if key in row]
            if place and not known:
                continue
            color = rgb(place if parts and len(runs) == 1 else number + 4)
            dash = _DASHES[place % len(_DASHES)]
            figure.add_trace(
                go.Scatter(
                    x=[row["iteration"] + 1 for row in known],
                    y=[row[key] for row in known],
                    mode="lines+markers",
                    marker={"size": 4},
                    line={
                        "color": color,
                        "dash": dash,
                        "width": 2.5 if not place else 1.5,
                    },
                    name=f"{name}: {words}" if parts else name,
                    hovertemplate="%{y:.3g}",
                )
            )
    figure.update_xaxes(title="iteration", gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(title="loss", rangemode="tozero", gridcolor=FAINT, zeroline=False)
    layout: dict[str, Any] = {
        "font": {"color": INK, "family": "system-ui, sans-serif", "size": 13},
        "plot_bgcolor": "rgba(0,0,0,0)",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
        "hovermode": "x unified",
    }
    figure.update_layout(layout, height=380, showlegend=True)
    return figure

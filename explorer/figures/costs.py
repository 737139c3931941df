"""What stages cost, drawn: what is where in a network, and how fast it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.engine.speed.backbone_stages import StageCost
from explorer.figures.style import FAINT, LAYOUT, rgb
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import Floats

_DECADES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
_PATTERNS = ("", "/", "\\", "x", ".", "-", "+")


def cost_shares(
    costs: Mapping[str, Sequence[StageCost]], seconds: Mapping[str, Mapping[str, Floats]] | None = None
) -> go.Figure:
    """Draws, per model, how parameters, multiplications, memory traffic and time are shared out among its stages.

    Args:
        costs: by model.
        seconds: by model and stage, `(rounds,)`; their medians are drawn.

    Raises:
        ValueError: there is no model.
    """
    if not costs:
        raise ValueError("there is nothing to draw; give at least one model's costs")
    titles = [_title(name, own, (seconds or {}).get(name)) for name, own in costs.items()]
    figure = make_subplots(len(costs), 1, subplot_titles=titles, vertical_spacing=0.3 / len(costs))
    places = {"stem": 0}
    for row, (model, own) in enumerate(costs.items(), start=1):
        times = (seconds or {}).get(model)
        for cost in own:
            depth = _depth(cost.name)
            place = places.setdefault(depth, len(places))
            quantities = _quantities(cost, times)
            totals = [sum(_quantities(other, times)[name] for other in own) or 1 for name in quantities]
            shares = [100 * value / total for value, total in zip(quantities.values(), totals, strict=True)]
            bar = go.Bar(
                y=list(quantities),
                x=shares,
                orientation="h",
                name=depth,
                legendgroup=depth,
                legendrank=1000 + place,
                showlegend=not any(trace.name == depth for trace in figure.data),
                marker={
                    "color": rgb(place),
                    "pattern": {"shape": _PATTERNS[place % len(_PATTERNS)], "solidity": 0.25},
                },
                text=[f"{share:.0f}" if share >= 3 else "" for share in shares],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                hovertemplate=f"{in_plotly(cost.name)}, %{{y}}: %{{x:.1f}} %<extra></extra>",
            )
            figure.add_trace(bar, row=row, col=1)
    figure.update_xaxes(range=[0, 100], showgrid=False, ticksuffix=" %")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(
        LAYOUT,
        barmode="stack",
        bargap=0.25,
        height=80 + 190 * len(costs),
        margin={"l": 120, "r": 20, "t": 70, "b": 30},
        legend={"orientation": "h", "y": 1, "yref": "container", "yanchor": "top", "traceorder": "normal"},
    )
    return figure


def rates(costs: Mapping[str, Sequence[StageCost]], seconds: Mapping[str, Mapping[str, Floats]]) -> go.Figure:
    """Draws whole models' times against their multiplications, and how fast each stage multiplies.

    The right part is a roofline plot: stages with few multiplications per byte are limited by memory, stages with many
    by arithmetic.

    Args:
        costs: by model.
        seconds: by model and stage, `(rounds,)`; bars reach from the fastest round to the slowest.

    Raises:
        ValueError: there is no model.

    Source: Williams et al., Roofline, CACM 2009, for the axes on the right.
    """
    if not costs:
        raise ValueError("there is nothing to draw; give at least one model's costs")
    figure = make_subplots(1, 2, subplot_titles=["whole models", "each stage"], horizontal_spacing=0.12)
    for place, (name, own) in enumerate(costs.items()):
        shown = in_plotly(name, NAME_LENGTH)
        rounds = 1000 * np.sum(list(seconds[name].values()), axis=0)
        middle = float(np.median(rounds))
        mark = {"color": rgb(place), "size": 13, "symbol": place}
        whole = go.Scatter(
            x=[sum(cost.gmac for cost in own)],
            y=[middle],
            error_y={"array": [rounds.max() - middle], "arrayminus": [middle - rounds.min()], "thickness": 1.5},
            mode="markers",
            name=shown,
            legendgroup=shown,
            marker=mark,
            hovertemplate=f"{shown}: %{{x:.2f}} GMAC, %{{y:.0f}} ms<extra></extra>",
        )
        stages = go.Scatter(
            x=[cost.macs_per_byte for cost in own],
            y=[cost.gmac / float(np.median(seconds[name][cost.name])) for cost in own],
            text=[in_plotly(cost.name) for cost in own],
            mode="markers",
            legendgroup=shown,
            showlegend=False,
            marker=mark | {"size": 10},
            hovertemplate=f"{shown}, %{{text}}: %{{x:.1f}} MAC per byte, %{{y:.0f}} GMAC/s<extra></extra>",
        )
        figure.add_trace(whole, row=1, col=1)
        figure.add_trace(stages, row=1, col=2)
    figure.update_xaxes(gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(gridcolor=FAINT, zeroline=False)
    figure.update_xaxes(title="GMAC", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="ms per image", rangemode="tozero", row=1, col=1)
    figure.update_xaxes(title="multiplications per byte moved", type="log", tickvals=_DECADES, row=1, col=2)
    figure.update_yaxes(title="GMAC per second", type="log", tickvals=_DECADES, row=1, col=2)
    legend = {"orientation": "h", "y": 1.12, "yanchor": "bottom"}
    figure.update_layout(LAYOUT, height=420, legend=legend, margin={"l": 60, "r": 20, "t": 80, "b": 50})
    return figure


def _quantities(cost: StageCost, times: Mapping[str, Floats] | None) -> dict[str, float]:
    counted = {"parameters": float(cost.params), "GMAC": cost.gmac, "memory traffic": cost.traffic_mb}
    return counted | ({"time": float(np.median(times[cost.name]))} if times else {})


def _depth(stage: str) -> str:
    """What stages of equal stride are called in the legend: `stage4` and `res4` alike."""
    return f"stage {stage[-1]}" if stage[-1:].isdigit() else stage


def _title(name: str, costs: Sequence[StageCost], times: Mapping[str, Floats] | None) -> str:
    whole = [sum(cost.params for cost in costs) / 1e6, sum(cost.gmac for cost in costs)]
    shown, traffic_mb = in_plotly(name, NAME_LENGTH), sum(cost.traffic_mb for cost in costs)
    words = f"{shown}: {whole[0]:.1f} M parameters, {whole[1]:.2f} GMAC, {traffic_mb:.0f} MB"
    return words + (f", {1000 * sum(float(np.median(own)) for own in times.values()):.0f} ms" if times else "")

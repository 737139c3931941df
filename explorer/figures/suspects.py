"""How likely label errors are, by rank."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.errors.suspects import KINDS, Suspect
from explorer.figures.style import FAINT, LAYOUT, rgb


def likelihoods(suspects: Sequence[Suspect]) -> go.Figure:
    """Draws the likelihood of each by rank, coloured by kind."""
    figure = go.Figure()
    for number, kind in enumerate(KINDS):
        own = [(rank, one.likelihood) for rank, one in enumerate(suspects, start=1) if one.kind == kind]
        figure.add_trace(
            go.Scatter(
                x=[rank for rank, _ in own],
                y=[likelihood for _, likelihood in own],
                mode="markers",
                name=f"{kind} ({len(own):,})",
                marker={"color": rgb(number), "size": 7},
                hovertemplate="rank %{x}, likelihood %{y:.2f}",
            )
        )
    figure.update_xaxes(title="rank", gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(title="likelihood, for ranking", range=[0, 1.02], gridcolor=FAINT, zeroline=False)
    figure.update_layout(LAYOUT, height=380, margin={"l": 60, "r": 20, "t": 30, "b": 50}, showlegend=True)
    return figure

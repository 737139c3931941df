"""Reliability diagrams: how often detections of a score are right."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from explorer.errors.calibration import Calibration
from explorer.figures.style import FAINT, INK, LAYOUT, rgb
from explorer.text import NAME_LENGTH, in_plotly


def reliability(measured: Calibration) -> go.Figure:
    """Draws a reliability diagram: precision against the mean score of each bin, one line per size.

    Args:
        measured: result of `calibration`; sizes without detections are left out, and calibrated scores are on the
            diagonal.
    """
    figure = go.Figure(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": INK, "dash": "dash", "width": 1}, showlegend=False)
    )
    for place, size in enumerate(measured.sizes):
        known = np.flatnonzero(measured.detections[place])
        if len(known):
            figure.add_trace(
                go.Scatter(
                    x=measured.scores[place, known],
                    y=measured.precision[place, known],
                    mode="lines+markers",
                    name=in_plotly(size.name, NAME_LENGTH),
                    line={"color": INK if not place else rgb(place)},
                    text=[f"{number:,} detections" for number in measured.detections[place, known].tolist()],
                    hovertemplate="score %{x:.2f}, precision %{y:.2f} (%{text})",
                )
            )
    figure.update_xaxes(title="mean score of the bin", range=[-0.02, 1.02], gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(
        title=f"precision, IoU ≥ {measured.iou:g}", range=[-0.02, 1.02], gridcolor=FAINT, zeroline=False
    )
    figure.update_layout(LAYOUT, height=420, margin={"l": 60, "r": 20, "t": 30, "b": 50})
    return figure

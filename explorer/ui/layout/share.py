"""A link that opens the page with the same models, filters and tab; the photo stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from explorer.ui.actions.models import MOST_MODELS
from explorer.ui.layout.compare import CompareTab
from explorer.ui.layout.session import SHORT

TABS = ("compare", "features", "fields", "errors", "speed", "train", "about")
"""In their order on the page."""
_COPY = f"""(models, score, sizes) => {{
    const tabs = {list(TABS)};
    const buttons = [...document.querySelectorAll('#tabs [role=tab]')];
    const open = buttons.findIndex(button => button.getAttribute('aria-selected') === 'true');
    const names = buttons.map(button => button.textContent.trim());
    const order = ['Compare', 'Features', 'Receptive field', 'Errors', 'Speed and accuracy', 'Train', 'About'];
    const wanted = new URLSearchParams();
    models.forEach(model => wanted.append('model', model));
    wanted.set('score', score);
    sizes.forEach(size => wanted.append('size', size));
    wanted.set('tab', tabs[Math.max(0, order.indexOf(names[open]))]);
    const address = location.origin + location.pathname + '?' + wanted;
    history.replaceState(null, '', address);
    navigator.clipboard?.writeText(address).catch(() => null);
}}"""
_COPIED = "Copied the link. It contains models, filters and the open tab, but not the photo."


def share_link(
    page: gr.Blocks, button: gr.Button, models: gr.Dropdown, compared: CompareTab, tabs: gr.Tabs, known: Sequence[str]
) -> None:
    """Makes the button copy a link, and the page follow one.

    Args:
        page: where all stands.
        button: copies the link.
        models: those chosen.
        compared: whose filters the link names.
        tabs: of which the link names one.
        known: models that a link may name; others are left out.
    """
    least, sizes, _ = compared.filters
    known_sizes = [value for _, value in sizes.choices]

    def follow(request: gr.Request) -> Any:
        """What the address asks for; whatever it may not ask for is left as it is."""
        asked = request.query_params
        names = [name for name in dict.fromkeys(asked.getlist("model")) if name in known][:MOST_MODELS]
        of_size = [size for size in known_sizes if size in asked.getlist("size")]
        return (
            names or gr.skip(),
            _score(asked.get("score")) or gr.skip(),
            of_size or gr.skip(),
            gr.Tabs(selected=asked["tab"]) if asked.get("tab") in TABS else gr.skip(),
        )

    def ask(request: gr.Request, *values: Any) -> Any:
        return compared.ask(*values, request) if request.query_params.getlist("model") else [gr.skip()] * len(outputs)

    outputs = list(compared.outputs)
    button.click(lambda: gr.Info(_COPIED), None, None, api_visibility="private").then(
        None, [models, least, sizes], None, js=_COPY, api_visibility="private"
    )
    followed = page.load(follow, None, [models, least, sizes, tabs], show_progress="hidden", api_visibility="private")
    followed.then(
        ask, list(compared.inputs), outputs, show_progress_on=compared.outputs[2], api_visibility="private", **SHORT
    )


def _score(text: str | None) -> float | None:
    try:
        score = float(text or "")
    except ValueError:
        return None
    return score if 0.05 <= score <= 1 else None

"""Notebooks and the page call the same things by the same words, in the same order."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import cv2
import pytest

from explorer.data.aerial import render_scene
from explorer.ui.actions.models import Models
from explorer.ui.actions.opening import recorded_examination

pytest.importorskip("ipywidgets")
if importlib.util.find_spec("anywidget") is None:
    pytest.skip("figures in widgets need anywidget, which is not installed", allow_module_level=True)

from explorer.ui.layout import build
from explorer.ui.widgets import ErrorBrowser, FeatureExplorer, FieldClicker, SideBySide

DEMO = ["demo/V-19-slim-dw-aerial-real", "demo/MobileNetV2-aerial-real"]
OWN = {"Model", "Photo", "Layer"}
"""What only notebooks have: there, one model, photo and layer is chosen at a time."""


@pytest.fixture(scope="module")
def labels() -> list[str]:
    """What the page calls its parts, from top to bottom."""
    return [block.label for block in build().blocks.values() if getattr(block, "label", None)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], Any]]:
    image, models = render_scene(7, size=(96, 128)).image, Models(extra=DEMO)
    photo = tmp_path_factory.mktemp("photo") / "photo.png"
    cv2.imwrite(str(photo), image)
    return {
        "compare": lambda: SideBySide(models, DEMO, photo),
        "features": lambda: FeatureExplorer(models, DEMO, {"photo": image}),
        "fields": lambda: FieldClicker(models, DEMO, image, effective=False),
        "errors": lambda: ErrorBrowser(Models(extra=DEMO, lowest_score=None), recorded_examination()),
    }


@pytest.mark.parametrize("widget", ["compare", "features", "fields", "errors"])
def test_controls_are_called_as_on_the_page_and_stand_in_its_order(
    widget: str, labels: list[str], made: dict[str, Callable[[], Any]]
) -> None:
    called = [own for own in _descriptions(made[widget]()) if own not in OWN]
    assert len(called) >= 2
    place = 0
    for own in called:
        below = [at for at in range(place, len(labels)) if labels[at].startswith(own)]
        assert below, (own, labels[place:])
        place = below[0]


def _descriptions(widget: Any) -> list[str]:
    own = getattr(widget, "description", "")
    inside = [word for child in getattr(widget, "children", ()) for word in _descriptions(child)]
    return [*([own] if own else []), *inside]

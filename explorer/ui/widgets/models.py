"""Which models: a list of the zoo, and what is known of those chosen."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets

from explorer.ui.actions.models import chosen, model_choices, own_choice
from explorer.ui.tables import html_table
from explorer.ui.widgets.panel import Panel
from explorer.zoo.registry import get

_ROWS = 6
_HEAD = ("model", "backbone", "parameters", "box AP on COCO, as published", "licence of the weights")


class ModelPicker(Panel):
    """A list of models to use, own and bundled ones first; Ctrl or Shift and the arrow keys choose several.

    Attributes:
        list: its `value` are the names chosen.
    """

    def __init__(self, names: Sequence[str] = (), *, extra: Sequence[str] = ()) -> None:
        """Lists the models.

        Args:
            names: chosen at first; the first model where empty.
            extra: models to offer before the zoo's, as `load_detector` takes them.
        """
        choices = model_choices([own_choice(model) for model in extra])
        self.list = widgets.SelectMultiple(
            options=[(choice.label, choice.name) for choice in choices],
            value=tuple(names) or (choices[0].name,),
            rows=_ROWS,
            description="Models",
            layout=widgets.Layout(width="640px", max_width="100%"),
        )
        self._facts = widgets.HTML()
        super().__init__([self.list], [self._facts])
        self.when_changed([self.list], self._describe)
        self._describe()

    @property
    def value(self) -> list[str]:
        """The names chosen.

        Raises:
            ValueError: there is none, or there are more than can be compared at once.
        """
        return chosen(self.list.value)

    def _describe(self) -> None:
        with self.at_work("reading the list of models"):
            self._facts.value = html_table(_HEAD, [_facts(name) for name in self.value])


def _facts(name: str) -> list[str]:
    try:
        entry = get(name)
    except ValueError:  # given beside the zoo's
        return [name, "–", "–", "–", "–"]
    params = f"{entry.params_m:.1f} M" if entry.params_m else "–"
    released = entry.released or {}
    ap = f"{float(released['box_ap']):.1f}" if "box_ap" in released else "–"
    return [name, entry.backbone, params, ap, entry.licence]

"""The page docs/results/photographs.md, from what `tools/photographs.py` measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from accuracy_page import claims, differences, figures, luck, seeds
from pages import RESULTS, as_numbers, as_table, rendered
from scipy.stats import spearmanr

PAGE = RESULTS / "photographs.md"
DRAWS, SEED = 10_000, 0
NORMAL_95 = 3.92
"""An interval of 95 % is this many standard deviations wide."""
Row = Mapping[str, list[float]]


def page(known: Mapping[str, Any]) -> str:
    """Returns the page."""
    drawn = json.loads((RESULTS / "accuracy.json").read_text())["compared"]["backbones"]["rows"]
    words = {name: section(one) for name, one in known.items()}
    rows = {"drawn scenes": drawn} | {name: one["compared"]["rows"] for name, one in known.items()}
    return rendered("photographs", sets=words, orders=orders(rows))


def section(one: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of one data set."""
    compared = as_numbers(one["compared"])
    return {
        "images": compared["images"],
        "objects": f"{compared['objects']:,}",
        "figures": figures(compared),
        "to_r50": differences(compared, "R-50"),
        "claims": claims(compared["pairs"], "AP"),
        "claims_small": claims(compared["pairs"], "APs"),
        "seeds": seeds(compared["each"]),
        "luck": luck(compared["each"]),
        "iterations": one["iterations"],
    }


def orders(rows: Mapping[str, Mapping[str, Row]]) -> str:
    """How alike the orders of the backbones are on each two of the data sets, by Spearman's rank correlation."""
    names = list(rows)
    lines = []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            shared = [backbone for backbone in rows[first] if backbone in rows[second]]
            found = (correlation(rows[first], rows[second], shared, label) for label in ("AP", "APs"))
            cells = (f"{value:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−") for value, low, high in found)
            lines.append((f"{first}, {second}", f"{len(shared)}", *cells))
    return as_table(("data sets", "backbones", "order by AP", "order by AP small"), lines)


def correlation(
    a: Mapping[str, Row], b: Mapping[str, Row], shared: list[str], label: str
) -> tuple[float, float, float]:
    """Spearman's rank correlation of two orders, and its 95 % interval.

    The interval is over the uncertainty of the figures: each is drawn from a normal distribution about its value, with
    the deviation that its own interval (over images and seeds) has, and the drawn figures are ranked anew.
    """
    random = np.random.default_rng(SEED)
    known = np.array([[rows[backbone][label] for backbone in shared] for rows in (a, b)])
    value, deviation = known[..., 0], (known[..., 2] - known[..., 1]) / NORMAL_95
    draws = value + deviation * random.standard_normal((DRAWS, *value.shape))
    ranks = draws.argsort(axis=-1).argsort(axis=-1)
    squared = ((ranks[:, 0] - ranks[:, 1]) ** 2).sum(axis=-1)
    n = len(shared)
    drawn = 1 - 6 * squared / (n * (n * n - 1))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(spearmanr(*value).statistic), float(low), float(high)

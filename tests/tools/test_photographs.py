"""`tools/photographs.py`: the recipe of each data set, and how alike two orders of backbones are."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import spearmanr

from explorer.config import load_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "tools")
        yield


@pytest.fixture
def photographs() -> ModuleType:
    return importlib.import_module("photographs")


@pytest.mark.parametrize("name", ["bccd", "aerial-real"])
def test_every_backbone_has_the_recipe_of_the_data_set(photographs: ModuleType, name: str) -> None:
    own = next(one for one in photographs.SETS if one.name == name)
    basis = "aerial/faster_rcnn_V_19_slim_dw.yaml"
    changes = [str(word) for pair in photographs.changed(basis, own.recipe) for word in pair]
    recipe = load_config(own.recipe)
    assert load_config(basis, [*changes, "DATASETS.TRAIN", repr(recipe.DATASETS.TRAIN)]).INPUT == recipe.INPUT
    for config in photographs.CONFIGS.values():
        made = load_config(config, [*changes, *own.changes])
        classes, heads, solver = made.EXPLORER.CLASS_NAMES, made.MODEL.ROI_HEADS, made.SOLVER
        assert classes == recipe.EXPLORER.CLASS_NAMES
        assert len(classes) == heads.NUM_CLASSES
        assert (solver.MAX_ITER, solver.IMS_PER_BATCH, made.MODEL.WEIGHTS) == (150, 4, "")
        assert solver.TEACHER.NAME.removeprefix("demo/V-19-slim-dw-") == name


def test_recipes_have_three_seeds_each_and_names_of_their_own(photographs: ModuleType) -> None:
    names = [one.name for recipe in photographs.RECIPES for one in recipe]
    assert len(set(names)) == len(names) == 24
    assert {tuple(one.seed for one in recipe) for recipe in photographs.RECIPES} == {(1, 2, 3)}


def test_the_rank_correlation_is_scipys_and_its_interval_follows_the_figures() -> None:
    correlation = importlib.import_module("photographs_page").correlation
    a, b = [10.0, 20.0, 30.0, 40.0, 50.0], [11.0, 33.0, 22.0, 44.0, 55.0]
    names = list("vwxyz")

    def rows(values: list[float], half: float) -> dict[str, dict[str, list[float]]]:
        return {name: {"AP": [value, value - half, value + half]} for name, value in zip(names, values, strict=True)}

    sure = correlation(rows(a, 0.1), rows(b, 0.1), names, "AP")
    assert sure == pytest.approx([spearmanr(a, b).statistic] * 3)
    _, low, high = correlation(rows(a, 200.0), rows(b, 200.0), names, "AP")
    assert low < -0.7, "orders of figures that say nothing are those of chance"
    assert high > 0.7
    assert np.isclose((low + high) / 2, 0, atol=0.2)

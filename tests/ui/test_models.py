"""Models that a page offers and keeps: what is listed, what may be loaded, and what goes."""

from __future__ import annotations

import gc
import itertools
import weakref
from typing import Any

import numpy as np
import pytest

from explorer.data.aerial import render_scene
from explorer.engine.loading import load_detector
from explorer.ui.actions.models import LOWEST_SCORE, ModelChoice, Models, chosen, model_choices
from explorer.ui.actions.progress import part_of


def test_models_are_kept_and_the_least_recently_used_goes_when_memory_is_short(zoo: Any) -> None:
    for name in ("A", "B", "A", "C", "A", "B"):  # two of 1 MB fit into 2.5 MB
        zoo.models.get(name)
    assert [name for name, _ in zoo.loaded] == ["A", "B", "C", "B"]
    assert zoo.models.loaded == ("A", "B")
    assert {score for _, score in zoo.loaded} == {LOWEST_SCORE}


def test_a_model_larger_than_all_memory_is_used_alone(zoo: Any) -> None:
    zoo.fakes["B"].model.weight.data = zoo.fakes["B"].model.weight.data.repeat(1, 8)
    zoo.models.get("A")
    assert zoo.models.get("B") is zoo.fakes["B"]
    assert zoo.models.loaded == ("B",)


def test_weights_are_held_once_for_short_and_long_actions_whose_thresholds_differ() -> None:
    scene, name = render_scene(7, size=(96, 128)).image, "demo/V-19-slim-dw"
    long = Models(lowest_score=None, warm=False)
    short = Models(beside=long, lowest_score=0.5)
    own, other = short.get(name), long.get(name)
    assert own is short.get(name) is not other is long.get(name)
    assert {one.data_ptr() for one in own.model.parameters()} == {one.data_ptr() for one in other.model.parameters()}
    assert own.fast.ready() is other.fast.ready()  # type: ignore[union-attr]
    assert not {id(part) for part in own.model.modules()} & {id(part) for part in other.model.modules()}  # hooks
    for detector, alone in ((own, 0.5), (other, None)):
        found, wanted = (
            one.detect(scene).detections.scores
            for one in (detector, load_detector(name, device="cpu", engine="torch", lowest_score=alone))
        )
        assert np.array_equal(found, wanted)
    assert len(own.detect(scene).detections) < len(other.detect(scene).detections)
    held = weakref.ref(own.model)
    long.remove(name)
    del own, other, detector
    gc.collect()
    assert held() is None
    assert short.loaded == long.loaded == ()


@pytest.mark.parametrize("name", ["/etc/passwd", "../config.yaml", "https://example.org/model.pth", "model.pth", ""])
def test_a_browser_can_name_no_file(zoo: Any, name: str) -> None:
    with pytest.raises(ValueError, match="in the list"):
        zoo.models.get(name)
    assert not zoo.loaded


def test_every_detector_of_the_zoo_is_listed_with_size_and_licence() -> None:
    choices = model_choices([ModelChoice("mine.yaml", "mine.yaml · from the command line", True)])
    assert [choice.ready for choice in choices[:3]] == [True] * 3
    assert choices[0].name == "mine.yaml"
    assert choices[1].name.startswith("demo/")
    known = {choice.name: choice for choice in choices}
    small = known["faster_rcnn_R_50_FPN_3x"]
    assert small.label == "faster_rcnn_R_50_FPN_3x · COCO"
    assert small.facts == "trained on COCO; downloads about 167 MB; licence of the weights: CC BY-SA 3.0"
    refused = known["faster_rcnn_V_39_FPN_3x"].facts
    assert refused.endswith("cannot be downloaded, source refuses since 2025; licence of the weights: CC BY-NC 4.0")
    assert known["demo/V-19-slim-dw-bccd"].label == "demo/V-19-slim-dw-bccd · blood cells"
    groups = [choice.label.rpartition(" · ")[2] for choice in choices[1:]]
    assert len([1 for one, other in itertools.pairwise(groups) if one != other]) + 1 == len(set(groups))
    labels = {choice.name: choice.label for choice in choices}
    assert not [name for name in labels if name.startswith("timm/")]


def test_the_choice_is_of_one_to_four_models() -> None:
    assert chosen(["A", "B", "A"]) == ["A", "B"]
    with pytest.raises(ValueError, match="at least one model"):
        chosen([])
    with pytest.raises(ValueError, match="at most 4"):
        chosen(list("ABCDE"))


def test_progress_of_a_part_is_progress_of_the_whole() -> None:
    told: list[tuple[float, str]] = []
    count = part_of(lambda share, words: told.append((share, words)), 1, 2, "B")
    count(5, 10)
    count(50_000_000, 100_000_000)
    count(0, 0)
    assert told == [(0.5, "B"), (0.75, "B: 5 of 10"), (0.75, "B: 50 of 100 MB"), (0.5, "B: 0 of 0")]
    part_of(None, 0, 1, "nobody listens")(1, 2)

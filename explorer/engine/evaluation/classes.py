"""A detector's classes beside a registered data set's: objects and, for panoptic models, stuff, matched by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.engine.class_names import THINGS
from explorer.engine.detector import Detector
from explorer.scoring.classes import SharedClasses, listed, shared_classes


@dataclass(frozen=True)
class Scored:
    """What of a detector is scored on a data set.

    Attributes:
        things: classes of objects.
        stuff: semantic classes, "things" among them; None where the model or the data set has none.
    """

    things: SharedClasses
    stuff: SharedClasses | None
    unscored: str = ""
    """Why segments are not scored where both sides have some; empty where they are."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each kind of class of which some are not scored."""
        return tuple(filter(None, (self.things.note, self.stuff.note if self.stuff else self.unscored)))


def scored_classes(
    detector: Detector, metadata: Any, classes: Sequence[str] = (), renamed: Mapping[str, str] | None = None
) -> Scored:
    """Matches a detector's classes with those of a registered data set by name.

    Args:
        detector: whose `class_names` and `stuff_class_names` count.
        metadata: detectron2's metadata of the data set.
        classes: score only these.
        renamed: new name by old name; see `explorer.scoring.classes.shared_classes`.

    Raises:
        ValueError: no class of objects is shared, or a class that is named is not there.
    """
    renamed = dict(renamed or {})
    data_things, data_stuff = metadata.thing_classes, metadata.get("stuff_classes") or []
    of_things = {*detector.class_names, *data_things}
    of_stuff = {*detector.stuff_class_names, *data_stuff} - {THINGS} - of_things
    chosen_stuff = [name for name in classes if name in of_stuff]
    things = shared_classes(
        detector.class_names,
        data_things,
        [name for name in classes if name not in of_stuff],
        {old: new for old, new in renamed.items() if old not in of_stuff},
    )
    if not (detector.stuff_class_names and data_stuff):
        return Scored(things, None)
    try:
        stuff = shared_classes(
            detector.stuff_class_names,
            data_stuff,
            [THINGS, *chosen_stuff] if classes else (),
            {old: new for old, new in renamed.items() if old in of_stuff},
        )
    except ValueError as error:
        if chosen_stuff:
            raise
        return Scored(things, None, f"Segments are not scored. {error}")
    return Scored(things, stuff)


def indices_in_model(detector: Detector, things: SharedClasses) -> list[int]:
    """Returns the model's class index of each class that is scored.

    Raises:
        ValueError: several of the model's classes were renamed to one, which cannot be told apart inside the model.
    """
    for row, name in enumerate(things.names):
        if things.rows.count(row) > 1:
            merged = [own for own, place in zip(detector.class_names, things.rows, strict=True) if place == row]
            raise ValueError(
                f"{detector.name}'s classes {listed(merged)} all count as {name}: inside the model each object is "
                "followed as one class. Rename one of them only."
            )
    return [things.rows.index(row) for row in range(len(things.names))]

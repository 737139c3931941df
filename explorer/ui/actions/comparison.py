"""What several models find in one photo, as it is shown: pictures, counts, and who sees what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Protocol as Interface

import numpy as np

from explorer.data.images import swap_channels
from explorer.scoring.protocols import COCO, Protocol
from explorer.text import legible
from explorer.types import PARTIAL, RANDOM, SMALL_AREA_PX, Detections, Pixels, Timing
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import GENERATED, trained_on
from explorer.ui.actions.photos import read_photo
from explorer.zoo.registry import entries

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.errors.agreement import Sighting

LETTERS = "ABCD"
WIDTH_PX = 1000
"""Of a figure on a page of usual width."""
_AROUND = 6.0
_LEAST_VIEW_PX = 60
_WIDE = 2.2
_LEFT_OUT = "not available"
_NOT_TIMED = "not timed yet"
NOT_SEEN = "unlike its training photographs"
"""What stands above the picture of a model whose training photographs were unlike it."""
MOST_MAGNIFIED = 8
"""Small objects that are shown enlarged."""


Box = tuple[float, float, float, float]


class Seen(Interface):
    """What a model found in a photo, and how long it took: a `Prediction`, or what was recorded of one."""

    @property
    def detections(self) -> Detections: ...

    @property
    def timing(self) -> Timing: ...


@dataclass(frozen=True, eq=False)
class PhotoComparison:
    """What several models found in one photo.

    Attributes:
        photo: the photo's file.
        predictions: by detector's name, which says what is to be known of its weights, in the order asked for, with
            every object from `LOWEST_SCORE` up.
        unavailable: models that could not be run, by the name asked for, with the reason in a sentence.
        times_s: by detector's name, seconds of the whole detector for the photo, in each run; none where it was not
            timed on this machine.
        truth: what is annotated in the photo; None where nobody knows.
        unfamiliar: that a model has not seen such photos, in a sentence, by detector's name.
        advice: how a large photo is looked at, or had better be, in a sentence; empty for others.
        protocol: whose sizes objects have, and by which annotated ones count as found.
        from_files: the names in `predictions` that are files of another detector's results.
        fallbacks: that the CPU stood in for a GPU, and why, in sentences.
        formats: what a model computes in and why, by detector's name, where it is to be said.
    """

    photo: Path
    predictions: Mapping[str, Seen]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    times_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    truth: Detections | None = None
    unfamiliar: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""
    protocol: Protocol = COCO
    from_files: frozenset[str] = frozenset()
    fallbacks: Sequence[str] = ()
    formats: Mapping[str, str] = field(default_factory=dict)

    @property
    def image_bgr(self) -> Pixels:
        """The photo, `(height, width, 3)` uint8, BGR."""
        return read_photo(self.photo)

    @property
    def image_size(self) -> tuple[int, int]:
        """The photo's `(height, width)`."""
        first = next(iter(self.predictions.values()), None)
        height, width = first.detections.image_size if first else self.image_bgr.shape[:2]
        return height, width

    @property
    def is_wide(self) -> bool:
        """Whether pictures beside each other would be no more than strips."""
        height, width = self.image_size
        return width > _WIDE * height

    @property
    def letters(self) -> dict[str, str]:
        """What to call each model where there is little room: A, B, C, D."""
        return dict(zip(self.predictions, LETTERS, strict=False))

    @property
    def cautions(self) -> list[str]:
        """What is to be known before the boxes are believed, in sentences."""
        drawn = [name for name in self._of_generated_scenes() if not self._is_of_classes(name)]
        was, its = ("was", "its") if len(drawn) == 1 else ("were", "their")
        origin = (
            f"{' and '.join(drawn)} {was} trained on {GENERATED} only; do not rely on {its} detections in photographs."
        )
        return [
            *self.fallbacks,
            *self._said_of_formats(),
            *self.unfamiliar.values(),
            *filter(None, [origin if drawn else "", self.advice]),
        ]

    def _said_of_formats(self) -> list[str]:
        sentences = []
        for words in dict.fromkeys(self.formats.values()):
            names = [name for name in self.formats if self.formats[name] == words]
            rounded = "" if words.startswith("float32") else " Scores and boxes differ slightly from those in float32."
            sentences.append(f"{' and '.join(names)} run{'s' * (len(names) == 1)} in {words}.{rounded}")
        return sentences

    def _of_generated_scenes(self) -> list[str]:
        names = {entry.name for entry in entries() if trained_on(entry) == GENERATED}
        return [name for name in self.predictions if name in names]

    def _is_of_classes(self, name: str) -> bool:
        """Whether objects of a model's classes are annotated, as in generated scenes; few photographs have any."""
        known = self.truth.class_names if self.truth else ()
        return not set(known).isdisjoint(self.predictions[name].detections.class_names)

    @property
    def class_names(self) -> list[str]:
        """The classes of all objects found, at whatever score, as people can read them."""
        names = (
            legible(prediction.detections.class_names[index])
            for prediction in self.predictions.values()
            for index in np.unique(prediction.detections.classes)
        )
        return sorted(set(names))

    def shown(self, filters: Filters) -> dict[str, Detections]:
        """Returns what is shown of each model's objects."""
        return {name: filters.keep(own.detections, self.protocol) for name, own in self.predictions.items()}

    def digest(self, filters: Filters) -> str:
        """Returns a number that differs where the photo or anything that is shown of it does."""
        seen = sha256(repr((self.photo, filters, self.protocol)).encode())
        for name, found in self.shown(filters).items():
            seen.update(name.encode())
            for column in (found.boxes_xyxy, found.scores, found.classes):
                seen.update(np.ascontiguousarray(column).tobytes())
        return seen.hexdigest()

    def figure(
        self, filters: Filters, view_xyxy: Box | None = None, *, stacked: bool = False, width_px: int = WIDTH_PX
    ) -> go.Figure:
        """Draws the photo once per model with its boxes.

        Args:
            filters: what to show.
            view_xyxy: the part of the photo to zoom to; all of it where None.
            stacked: the pictures stand one below the other, as for narrow pages; those of wide photos always do.
            width_px: how wide the figure will be.
        """
        from explorer.figures.detections import side_by_side

        titled = {f"{self.letters[name]} · {name}": found for name, found in self.shown(filters).items()}
        without = {f"{name} · {_LEFT_OUT}": reason for name, reason in self.unavailable.items()}
        return side_by_side(
            self.image_bgr,
            titled,
            truth=self.truth,
            without=without,
            warnings={f"{self.letters[name]} · {name}": NOT_SEEN for name in self.unfamiliar},
            view_xyxy=view_xyxy,
            columns=1 if stacked or self.is_wide else 2,
            width_px=width_px,
        )

    def picture(self, name: str, filters: Filters) -> Pixels:
        """Draws one model's objects on the photo, `(height, width, 3)` uint8, RGB."""
        from explorer.engine.colors import colors_by_name
        from explorer.engine.draw import draw_detections

        caption = next((caveat for caveat in (RANDOM, PARTIAL) if name.endswith(f"({caveat})")), "")
        shown = self.shown(filters)
        drawn = draw_detections(self.image_bgr, shown[name], caption=caption, colors=colors_by_name(shown.values()))
        return swap_channels(drawn)

    def counts(self, filters: Filters) -> list[dict[str, str | int]]:
        """One row per model: objects shown by size, annotated ones found, time; dashes if it could not be run."""
        rows: list[dict[str, str | int]] = []
        for name, found in self.shown(filters).items():
            counted: dict[str, str | int] = {"objects": len(found), **self._by_size(found)}
            if self.truth is not None:
                counted["found"] = self._found(found, filters)
            counted["time, ms"] = self._time(name)
            rows.append({"": self.letters[name], "model": legible(name), **counted})
        columns = rows[0] if rows else ("", "model", "objects", *self.protocol.size_labels, "time, ms")
        without: dict[str, str | int] = dict.fromkeys(columns, "–")
        return [*rows, *(without | {"model": f"{legible(name)} ({_LEFT_OUT})"} for name in self.unavailable)]

    def _by_size(self, found: Detections) -> dict[str, int]:
        counted = Counter(self.protocol.size_names(found.areas_px))
        return {size: counted[size] for size in self.protocol.size_labels}

    def _found(self, found: Detections, filters: Filters) -> str:
        from explorer.ui.actions.annotated import objects_found

        assert self.truth is not None
        counted = objects_found(filters.keep(self.truth, self.protocol), found, filters.lowest_score, self.protocol)
        return f"{counted[0]} of {counted[1]}" if counted else "–"

    def _time(self, name: str) -> str:
        """Median, least and greatest."""
        if name in self.from_files:
            return "–"
        own = [1000 * seconds for seconds in self.times_s.get(name, ())]
        if not own:
            return _NOT_TIMED
        return f"{np.median(own):.0f} ({min(own):.0f}–{max(own):.0f})" if len(own) > 1 else f"{own[0]:.0f}"

    def sightings(self, filters: Filters) -> tuple[Sighting, ...]:
        """The objects shown, each with the models that see it: those that only some see first."""
        from explorer.errors.agreement import sightings

        found = sightings(self.shown(filters))
        return tuple(sorted(found, key=lambda one: (len(one.scores), -max(one.scores.values()))))

    def who_sees_what(self, filters: Filters) -> list[dict[str, str | int]]:
        """One row per object: who sees it, with which score, and its size."""
        rows: list[dict[str, str | int]] = []
        for number, one in enumerate(self.sightings(filters)):
            seen = [letter for name, letter in self.letters.items() if name in one.scores]
            everyone = len(seen) == len(self.predictions)
            who = ("all" if len(seen) > 2 else "both") if everyone and len(seen) > 1 else " + ".join(seen)
            if len(seen) == 1 and len(self.predictions) > 1:
                who += " only"
            x1, y1, x2, y2 = one.box_xyxy
            scores = {
                letter: f"{one.scores[name]:.2f}" if name in one.scores else "–"
                for name, letter in self.letters.items()
            }
            size = f"{x2 - x1:.0f} × {y2 - y1:.0f}"
            rows.append({"#": number, "seen by": who, "class": legible(one.class_name), "size, px": size, **scores})
        return rows

    def view_of(self, filters: Filters, number: int) -> Box:
        """The part of the photo around an object of `who_sees_what`, of the photo's shape.

        Raises:
            ValueError: there is no such object.
        """
        known = self.sightings(filters)
        if not 0 <= number < len(known):
            raise ValueError(f"Object {number} no longer exists; choose a row of the table.")
        x1, y1, x2, y2 = known[number].box_xyxy
        height, width = self.image_size
        wide = max(_AROUND * max(x2 - x1, (y2 - y1) * width / height), _LEAST_VIEW_PX)
        wide = min(wide, float(width))
        high = wide * height / width
        left = float(np.clip((x1 + x2 - wide) / 2, 0, width - wide))
        top = float(np.clip((y1 + y2 - high) / 2, 0, height - high))
        return left, top, left + wide, top + high

    def magnified(self, filters: Filters) -> list[tuple[Pixels, str]]:
        """Enlarges the small objects, those that only some models see first: pictures, RGB, and what each is."""
        from explorer.figures.sheet import magnified

        shown = self.shown(filters)
        pictures: list[tuple[Pixels, str]] = []
        for one, row in zip(self.sightings(filters), self.who_sees_what(filters), strict=True):
            if one.area_px < SMALL_AREA_PX and len(pictures) < MOST_MAGNIFIED:
                words = f"#{row['#']} {row['class']}, {row['size, px']} px, seen by {row['seen by']}"
                pictures.append((magnified(self.image_bgr, one.box_xyxy, shown), words))
        return pictures

    def magnified_numbers(self, filters: Filters) -> list[int]:
        """The numbers in `who_sees_what` of the objects of `magnified`."""
        known = enumerate(self.sightings(filters))
        return [number for number, one in known if one.area_px < SMALL_AREA_PX][:MOST_MAGNIFIED]

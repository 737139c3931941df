"""Which of the objects that were found in a photo are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.scoring.protocols import COCO, Protocol
from explorer.text import legible
from explorer.types import Detections


@dataclass(frozen=True)
class Filters:
    """Which of the objects found are shown.

    Attributes:
        lowest_score: from this score up.
        sizes: of these sizes of the protocol; of all where None.
        classes: of these classes, as `PhotoComparison.class_names` calls them; all where there are none.
    """

    lowest_score: float = 0.5
    sizes: Sequence[str] | None = None
    classes: Sequence[str] = ()

    def keep(self, found: Detections, protocol: Protocol = COCO) -> Detections:
        """Returns what is shown of one model's objects, by the sizes of a protocol."""
        wanted = found.scores >= self.lowest_score
        if self.sizes is not None and protocol.size_labels:
            wanted &= np.array([size in self.sizes for size in protocol.size_names(found.areas_px)], np.bool_)
        if self.classes:
            chosen = set(map(legible, self.classes))
            indices = [index for index, name in enumerate(found.class_names) if legible(name) in chosen]
            wanted &= np.isin(found.classes, indices)
        return found.keep(wanted)

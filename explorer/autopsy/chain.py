"""What every kind of detector declares: its parts in their order, and the verdicts on what each of them loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from explorer.autopsy.verdicts import Verdict

SELECTION = (Verdict.FINAL_NMS, Verdict.DETECTIONS_LIMIT, Verdict.TAKEN, Verdict.NOT_IN_RUN)
"""How every detector's selection ends."""
DETECTED = (Verdict.LOW_SCORE, Verdict.FOUND)


@dataclass(frozen=True)
class Chain:
    """The stages of one kind of detector.

    Attributes:
        name: of the kind.
        path: an object's way through it, in words, from where it starts to the detections.
        parts: what objects are lost in, in the detector's order, with the verdicts of each; the last one loses none.
    """

    name: str
    path: str
    parts: Mapping[str, tuple[Verdict, ...]]

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All but `Verdict.CROWD`, in the detector's order."""
        return tuple(verdict for part in self.parts.values() for verdict in part)

"""Options on how detections are scored, which commands share: the protocol, and what counts as found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from explorer.scoring.outcomes import FoundRule
    from explorer.scoring.protocols import Protocol

Sizes = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        metavar="PROTOCOL|EDGES",
        help=(
            "Protocol: coco, ai-tod, soda, soda-d, tinyperson or visdrone, or COCO's rules with size bins "
            "between these side lengths in pixels, such as 8,16,32,96. [default: the run's own, else coco]"
        ),
    ),
]
MaxDetections = Annotated[
    int | None,
    typer.Option(
        "--max-detections",
        min=1,
        help="Maximum number of detections per class and image. [default: the protocol's; 100 in COCO]",
    ),
]
IouThresholds = Annotated[
    str | None,
    typer.Option(
        "--iou-thresholds",
        metavar="A,B",
        help="IoU thresholds over which AP is averaged, such as 0.25,0.5,0.75. [default: the protocol's]",
    ),
]
Iou = Annotated[float, typer.Option("--iou", help="Minimum IoU for an object to count as found: 0.5, 0.55, … 0.95.")]
Score = Annotated[
    float | None,
    typer.Option(
        "--score", help="Minimum score for an object to count as found. [default: the score at precision 0.5]"
    ),
]
Precision = Annotated[
    float | None,
    typer.Option("--precision", help="Instead of --score: the precision that determines the minimum score."),
]
MatchBy = Annotated[
    str | None,
    typer.Option(
        "--match-by",
        metavar="id|file_name",
        help="How results refer to images. [default: id if the ids match, else file_name]",
    ),
]


@dataclass(frozen=True)
class ProtocolOptions:
    """Options on the figures."""

    sizes: Sizes = None
    max_detections: MaxDetections = None
    iou_thresholds: IouThresholds = None

    def asked(self) -> Protocol | None:
        """Returns the protocol that the options name; None where none was given.

        Raises:
            ValueError: there is no such protocol.
        """
        from explorer.scoring.protocols import protocol_of

        if self.sizes is None and self.max_detections is None and self.iou_thresholds is None:
            return None
        words = self.iou_thresholds or ""
        try:
            levels = [float(part) for part in words.split(",") if part.strip()]
        except ValueError:
            raise ValueError(f"--iou-thresholds is {words!r}: give numbers between commas, as 0.25,0.5") from None
        return protocol_of(self.sizes or "coco", max_detections=self.max_detections, iou_thresholds=levels)


@dataclass(frozen=True)
class FoundOptions:
    """Options on what counts as found."""

    iou: Iou = 0.5
    score: Score = None
    precision: Precision = None

    @property
    def rule(self) -> FoundRule:
        """What counts as found.

        Raises:
            ValueError: there is no such rule.
        """
        from explorer.scoring.outcomes import FoundRule

        return FoundRule(self.iou, self.score, self.precision)

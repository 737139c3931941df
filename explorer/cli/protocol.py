"""Options on how detections are scored: `--sizes`, `--max-detections` and `--iou-thresholds`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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


def protocol_asked(sizes: str | None, max_detections: int | None, iou_thresholds: str | None) -> Protocol | None:
    """Returns the protocol that the options name; None where none was given.

    Raises:
        ValueError: there is no such protocol.
    """
    from explorer.scoring.protocols import protocol_of

    if sizes is None and max_detections is None and iou_thresholds is None:
        return None
    try:
        levels = [float(part) for part in (iou_thresholds or "").split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"--iou-thresholds is {iou_thresholds!r}: give numbers between commas, as 0.25,0.5") from None
    return protocol_of(sizes or "coco", max_detections=max_detections, iou_thresholds=levels)

"""What was found in an image, drawn on it: as a picture, and as a figure to zoom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from explorer.engine.draw import picture_of, pixels_of
from explorer.engine.prediction import Prediction
from explorer.types import Detections, Pixels

if TYPE_CHECKING:
    import plotly.graph_objects as go


def draw(
    image: Pixels | str | Path | None, found: Detections | Prediction, *, labels: bool = True, caption: str = ""
) -> Image.Image:
    """Draws detections on an image: boxes, masks and labels, or panoptic segments.

    Args:
        image: `(height, width, 3)` uint8 in BGR, or a file; None for the file that the detections belong to.
        found: detections, or the complete output of a detector.
        labels: write class and score in percent.
        caption: text in the corner of the picture.

    Raises:
        ValueError: there is no image to draw on, or it has another size than the detections are for.
        ImageError: the file cannot be read.
    """
    if isinstance(found, Prediction):
        return found.draw(image, labels=labels, caption=caption)
    return picture_of(image, found, labels=labels, caption=caption)


def figure_of(image: Pixels | str | Path | None, detections: Detections) -> go.Figure:
    """Draws boxes and outlines of masks over the image with Plotly; arguments and errors are those of `draw`."""
    from explorer.figures.detections import side_by_side

    name = detections.file.name if detections.file else f"{len(detections)} objects"
    return side_by_side(pixels_of(image, detections), {name: detections})

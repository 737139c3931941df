"""A model's detections on image files, written as COCO results and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import Model, on_device
from explorer.api.result import Result
from explorer.data.video import is_video
from explorer.engine.detector import Detector
from explorer.engine.image_files import ImageFiles, find_images
from explorer.engine.predict import RESULTS_FILE, PredictedFiles
from explorer.engine.predict import predict as run
from explorer.report.tables import Grid
from explorer.types import SIZES, Progress, size_names
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SHOWN = 20  # images in a table


@dataclass(frozen=True, eq=False, repr=False)
class PredictionReport(Result):
    """What a model found in image files.

    Attributes:
        report: the files that were written, and those that could not be read.
        files: the files that were processed, and the skipped ones with the reason.
    """

    report: PredictedFiles
    files: ImageFiles

    @property
    def title(self) -> str:
        objects, failed = sum(self.report.objects.values()), len(self.report.failures)
        images = f"{len(self.report.objects):,} images" + (f", {failed:,} could not be read" if failed else "")
        return f"{self.report.document['info']['model']}: {objects:,} objects in {images}, in {self.report.results}"

    def tables(self) -> list[Grid]:
        """Returns the first images and the number of objects found in each."""
        shown = list(self.report.objects.items())[:_SHOWN]
        return [Grid(("image", "objects"), tuple((str(path), f"{number:,}") for path, number in shown))]

    def sentences(self) -> list[str]:
        """Returns notes on images that the table omits, and on unfamiliar, unreadable and skipped files."""
        more = len(self.report.objects) - _SHOWN
        left_out = [f"{more:,} more images are in {self.report.results}."] if more > 0 else []
        skipped = [f"{path} was skipped: {why}" for path, why in self.files.skipped.items()]
        unlike = [f"{path}: {words}" for path, words in self.report.unfamiliar.items()]
        return [*left_out, *filter(None, [self.report.nothing]), *unlike, *self.report.failures.values(), *skipped]

    def figure(self) -> go.Figure:
        """Draws how many objects of each class were found, by COCO size."""
        from explorer.figures.objects import objects_by_class

        counted = Counter((row["class"], row["size"]) for row in self.rows())
        names = [category["name"] for category in self.report.document["categories"]]
        return objects_by_class({name: {size: counted[name, size] for size in SIZES} for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of the results file: a COCO document with `images`, `categories` and `annotations`."""
        return plain(self.report.document)  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per detection: its image, class, score and box, `x2` and `y2` exclusive, in pixels."""
        document = self.report.document
        files = {image["id"]: image["file_name"] for image in document["images"]}
        names = {category["id"]: category["name"] for category in document["categories"]}
        rows = []
        for found in document["annotations"]:
            x, y, width, height = found["bbox"]
            box = {"x1": x, "y1": y, "x2": x + width, "y2": y + height}
            what = {"file_name": files[found["image_id"]], "class": names[found["category_id"]]}
            rows.append(what | {"score": found["score"]} | box | {"size": size_names([width * height])[0]})
        return rows


def predict(
    model: Model,
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    threshold: float = 0.5,
    pictures: bool = True,
    every: int = 1,
    recursive: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> PredictionReport:
    """Runs a model on image files. Files that cannot be read are reported and skipped.

    Args:
        model: a `Detector`, or what `load_detector` takes, which continues on the CPU where the GPU of `auto` fails.
        images: image files (JPEG, PNG, WebP, BMP, TIFF), folders of them, or video files (MP4, MOV, MKV, WebM, AVI).
        out: folder for `predictions.json` and the pictures.
        threshold: minimum score of the detections.
        pictures: write annotated images.
        every: process every n-th frame of a video.
        recursive: include subfolders.
        device: device of a model that is not loaded yet: `auto`, `cpu`, `cuda` or `cuda:N`.
        progress: called after each image with the number of images done and the total.

    Raises:
        ValueError: there is no image, or the threshold is not in [0, 1].
        DownloadError: the model's weights cannot be downloaded.
        DeviceError: the GPU fails, and it was asked for by name or the detector is on it.
    """
    given = [images] if isinstance(images, (str, Path)) else images
    folder = Path(out)
    own = [folder / name for name in (RESULTS_FILE, "pictures", "panoptic")]
    files = find_images([Path(path) for path in given], recursive=recursive, results=own)

    def detect(detector: Detector) -> PredictedFiles:
        return run(
            detector,
            files.taken,
            folder,
            threshold=threshold,
            pictures=pictures,
            every=every,
            skipped=files.skipped,
            progress=progress,
        )

    number = None if any(map(is_video, files.taken)) else len(files.taken)  # a video has many
    return PredictionReport(on_device(model, detect, device, images=number), files)

"""What can be wrong with a data set, and what training does about each: one table, rendered in `docs/data.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from explorer.data.ids import Id

Severity = Literal["error", "warning", "info"]
Action = Literal["stop", "skip image", "drop", "drop part", "clip", "keep"]


@dataclass(frozen=True)
class Kind:
    """One kind of problem.

    Attributes:
        severity: `error` stops training before its first step, `warning` costs data, `info` is worth knowing.
        action: what training does.
        meaning: what it is, in a sentence.
        remark: what else follows from it.
    """

    severity: Severity
    action: Action
    meaning: str
    remark: str = ""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "structure": Kind("error", "stop", "The annotation file is not valid JSON, or not in COCO's structure."),
        "duplicate-image-id": Kind("error", "stop", "Two images share an id."),
        "duplicate-annotation-id": Kind(
            "error", "stop", "Two annotations share an id.", "The evaluation would silently count one of them twice."
        ),
        "duplicate-category-id": Kind("error", "stop", "Two categories share an id."),
        "unknown-category": Kind("error", "stop", "An annotation's category is not in the list of categories."),
        "outside-image": Kind("error", "stop", "An image's file name leads outside the data set's folder."),
        "shares": Kind(
            "error",
            "stop",
            "Every box lies between 0 and 1, as shares of the image's sides do; boxes are in pixels.",
        ),
        "missing-image": Kind("error", "stop", "An image or label file is missing."),
        "unreadable-image": Kind("error", "stop", "A file is not a readable JPEG, PNG, WebP, BMP or TIFF image."),
        "wrong-size": Kind(
            "error",
            "stop",
            "The annotation file gives a size that differs from the image's after EXIF rotation.",
            "Boxes would be in the wrong place.",
        ),
        "empty-dataset": Kind("error", "stop", "No image has an annotation that can be used for training."),
        "damaged-image": Kind(
            "warning",
            "skip image",
            "The file's header is valid, but its pixels cannot be decoded.",
            "Found by --full only. Training warns once per file and uses another image; evaluation stops.",
        ),
        "unknown-image": Kind("warning", "drop", "An annotation's image is not in the list of images."),
        "bad-box": Kind("warning", "drop", "The box is missing, or is not four numbers."),
        "not-finite": Kind("warning", "drop", "A coordinate is NaN or infinite."),
        "zero-area": Kind("warning", "drop", "The box is 0 px wide or high, or less."),
        "box-outside": Kind("warning", "drop", "The box lies completely outside the image."),
        "box-over-edge": Kind("warning", "clip", "The box extends more than 1 px beyond the image's edge."),
        "short-polygon": Kind(
            "warning", "drop", "Every polygon of the mask has under 3 points or an odd number of coordinates."
        ),
        "short-part": Kind(
            "warning", "drop part", "Some polygons of the mask are too short, as above; the others are used."
        ),
        "bad-mask": Kind(
            "warning",
            "drop",
            "The mask is neither a run-length code that fits the image nor polygons that lie in or near it.",
        ),
        "same-file": Kind(
            "warning",
            "keep",
            "Two images have one file.",
            "Objects that are annotated in one of them alone are background in the other; detections of them count as "
            "false.",
        ),
        "same-box": Kind(
            "warning",
            "keep",
            "Two annotations of one class have the same box in an image.",
            "One detection finds one of them; the other counts as missed, as in COCO.",
        ),
        "wrong-area": Kind(
            "warning",
            "keep",
            "The area is 0 or less, or larger than the box.",
            "It decides whether an object counts as small, medium or large, as in COCO; leave `area` out to have it "
            "computed.",
        ),
        "label-mismatch": Kind(
            "warning",
            "keep",
            "A panoptic label image and its list of segments name different segments.",
            "Found by --full only. Training ignores unlisted pixels.",
        ),
        "crowd": Kind(
            "info", "drop", "A crowd region.", "Not used for training; detections in it do not count as false."
        ),
        "no-mask": Kind(
            "info",
            "keep",
            "The annotation has a box but no mask.",
            "Training of masks drops it, training of boxes keeps it.",
        ),
        "same-name": Kind(
            "info", "keep", "Two categories share a name.", "They stay two classes, with their ids in their names."
        ),
        "other-images": Kind(
            "info",
            "keep",
            "The panoptic file and the instances file list different images.",
            "The split is registered with its instances only; name the panoptic file itself to use it.",
        ),
        "no-object": Kind(
            "info", "drop", "Something other than a box or a mask is annotated, such as points, lines or tags."
        ),
        "linked-images": Kind("info", "keep", "Links in the data set's folder lead to images outside of it."),
        "turned-image": Kind(
            "info",
            "keep",
            "The EXIF block turns or mirrors the image, which then has the same size.",
            "Nothing tells whether it was annotated upright, as it is read here, or as it is stored.",
        ),
        "format": Kind(
            "info",
            "keep",
            "Information that the data set's format cannot express, or expresses differently from COCO's.",
        ),
        "empty-image": Kind(
            "info",
            "drop",
            "Nothing is annotated in the image.",
            "Kept with DATALOADER.FILTER_EMPTY_ANNOTATIONS False; evaluation always counts it.",
        ),
    }
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set.

    Attributes:
        kind: a key of `KINDS`.
        what: the finding with its values.
        image_id: the image concerned, if one is.
        annotation_id: the annotation (or panoptic segment) concerned, if one is.
        file: the file concerned, relative to its folder where it has one.
    """

    kind: str
    what: str
    image_id: Id | None = None
    annotation_id: Id | None = None
    file: str | None = None

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity

    @property
    def action(self) -> Action:
        return KINDS[self.kind].action

    def __str__(self) -> str:
        parts = (("image", self.image_id), ("annotation", self.annotation_id), ("file", self.file))
        where = ", ".join(f"{label} {value}" for label, value in parts if value is not None)
        return f"{where}: {self.what}" if where else self.what


def table() -> str:
    """The table of kinds as Markdown, as it stands in `docs/data.md`."""
    lines = ["| kind | severity | training | what it is |", "| --- | --- | --- | --- |"]
    for name, kind in KINDS.items():
        meaning = f"{kind.meaning} {kind.remark}".strip()
        lines.append(f"| `{name}` | {kind.severity} | {kind.action} | {meaning} |")
    return "\n".join(lines)

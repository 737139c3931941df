"""What things are called in the database: data sets, and the fields of each run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from explorer.scoring.protocols import COCO, Protocol

GROUND_TRUTH = "ground_truth"
RESERVED = frozenset({"id", "filepath", "tags", "metadata", "created_at", "last_modified_at", "coco_id", GROUND_TRUTH})


@dataclass(frozen=True)
class RunFields:
    """The fields of a run.

    Attributes:
        predictions: sample field of its detections.
        protocol: whose sizes have fields.
    """

    predictions: str
    protocol: Protocol = COCO

    @property
    def eval_key(self) -> str:
        """FiftyOne's name for the evaluation, which is also the label field of tp, fp and fn."""
        return f"{self.predictions}_eval"

    @property
    def true_positives(self) -> str:
        return f"{self.eval_key}_tp"

    @property
    def false_positives(self) -> str:
        return f"{self.eval_key}_fp"

    @property
    def false_negatives(self) -> str:
        return f"{self.eval_key}_fn"

    @property
    def matched_id(self) -> str:
        return f"{self.eval_key}_id"

    @property
    def matched_iou(self) -> str:
        return f"{self.eval_key}_iou"

    @property
    def ap(self) -> str:
        return f"{self.predictions}_AP"

    @property
    def ap_smallest(self) -> str | None:
        """Sample field of the AP of the protocol's smallest objects, `A_APs` in COCO; None where it has no sizes."""
        smallest = self.protocol.smallest
        return None if smallest is None else f"{self.predictions}_AP{_plain(smallest.short)}"

    @property
    def object_found(self) -> str:
        return f"{self.predictions}_found"

    @property
    def object_error(self) -> str:
        return f"{self.predictions}_error"

    @property
    def object_verdict(self) -> str:
        return f"{self.predictions}_verdict"

    @property
    def object_level(self) -> str:
        return f"{self.predictions}_level"

    @property
    def label_error(self) -> str:
        """Sample field of the likelihood of the image's most likely label error, by this run."""
        return f"{self.predictions}_label_error"

    def misses(self, size: str) -> str:
        """Sample field that counts the objects of a size that the model does not find."""
        return f"{self.predictions}_{_plain(size).strip('_')}_misses"

    @property
    def on_objects(self) -> tuple[str, ...]:
        """Every field that the run adds to an object's label."""
        return (
            self.eval_key,
            self.matched_id,
            self.matched_iou,
            self.object_found,
            self.object_error,
            self.object_verdict,
            self.object_level,
        )


def _plain(text: str) -> str:
    """Letters and digits as they are, all else as underscores: `8²–16²` as `8_16_`."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII)


def field_name(run_name: str) -> str:
    """Makes a field's name of a run's: letters, digits and underscores, a letter first."""
    name = re.sub(r"\W+", "_", run_name, flags=re.ASCII).strip("_")
    if not name or name[0].isdigit():
        name = f"run_{name}"
    return f"{name}_run" if name in RESERVED else name


def dataset_name(source: str) -> str:
    """Makes a data set's name of `PATH:SPLIT`: the folder's name and the split's."""
    path, _, split = source.rpartition(":")
    stem = Path(path or split).stem if (path or split).endswith(".json") else Path(path or split).name
    words = [stem, Path(split).name if path else ""]
    return re.sub(r"[^\w.]+", "-", "-".join(filter(None, words))).strip("-").lower()

"""The fields of a data set, declared through FiftyOne's own functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.scoring.columns import Truth

Declaration = Mapping[str, Any]


def declare_ids(dataset: Any, truth: Truth) -> None:
    """Declares COCO's ids: as numbers, or as texts where some are texts or numbers beyond the database's 64 bits."""
    import fiftyone as fo

    for path, ids in (("coco_id", truth.image_ids), (f"{GROUND_TRUTH}.detections.coco_id", truth.ids)):
        _declare(dataset, {path: {"ftype": fo.StringField if ids.dtype == object else fo.IntField}})


def declare_truth(dataset: Any) -> None:
    """Declares the fields that every data set has, but for COCO's ids."""
    import fiftyone as fo

    detections = {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Detections}
    label = f"{GROUND_TRUTH}.detections"
    _declare(
        dataset,
        {
            GROUND_TRUTH: detections,
            f"{label}.iscrowd": {"ftype": fo.BooleanField},
            f"{label}.area_px": {"ftype": fo.FloatField},
            f"{label}.size_bin": {"ftype": fo.StringField},
            f"{label}.found_by": {"ftype": fo.ListField, "subfield": fo.StringField},
        },
    )


def declare_run(dataset: Any, fields: RunFields) -> None:
    """Declares a run's fields, but for those of the evaluation, which FiftyOne declares when it is registered."""
    import fiftyone as fo

    _declare(
        dataset,
        {
            fields.predictions: {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Detections},
            **{path: {"ftype": getattr(fo, kind)} for path, kind in _run_fields(fields)},
        },
    )


def _run_fields(fields: RunFields) -> Iterator[tuple[str, str]]:
    yield from ((name, "FloatField") for name in (fields.ap, fields.ap_smallest, fields.label_error) if name)
    yield from ((fields.misses(size), "IntField") for size in fields.protocol.size_labels)
    found, truth = f"{fields.predictions}.detections", f"{GROUND_TRUTH}.detections"
    yield f"{found}.size_bin", "StringField"
    yield f"{found}.error", "StringField"
    yield f"{found}.suspect", "BooleanField"
    yield f"{found}.label_error", "StringField"
    yield f"{found}.likelihood", "FloatField"
    yield f"{truth}.{fields.object_found}", "BooleanField"
    for name in (fields.object_error, fields.object_verdict, fields.object_level):
        yield f"{truth}.{name}", "StringField"


def _declare(dataset: Any, declarations: Mapping[str, Declaration]) -> None:
    known = dataset.get_field_schema(flat=True)
    for path, declaration in declarations.items():
        if path not in known:
            dataset.add_sample_field(path, **declaration)

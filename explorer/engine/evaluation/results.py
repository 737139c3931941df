"""A results file of any detector made a run: scored, and written with where it comes from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from explorer.engine.artifacts import provenance
from explorer.engine.evaluation.evaluate import write_run
from explorer.scoring.alike import annotations_sha256
from explorer.scoring.columns import Run
from explorer.scoring.metrics import metrics_of
from explorer.scoring.protocols import Protocol
from explorer.scoring.runs import load_run


def score_results(
    path: Path | str,
    data: str,
    *,
    out: Path | str | None = None,
    name: str | None = None,
    match_by: str | None = None,
    protocol: Protocol | None = None,
) -> Run:
    """Scores detections that are there already; `Run.metrics` are their figures.

    Args:
        path: a file or folder of detections, as `load_run` reads it.
        data: what they are on, `PATH[:SPLIT]`.
        out: folder for the run, as `evaluate` writes it.
        name: what to call the detector; None for the file's name.
        match_by: how images are told.
        protocol: by which it is scored; None for COCO's.

    Raises:
        OSError: `out` cannot be written to, or another process writes there.
        ValueError: something is missing or broken, or the detections are not on this data.
    """
    path = Path(path).expanduser()
    run = load_run(path, data, name, match_by, protocol)
    if not len(run.truth):
        raise ValueError(f"{data} has no annotated objects that {path} could be scored on.")
    facts = {
        **run.facts,
        "model": run.name,
        "results": {"path": str(path), "sha256": _sha256(path)},
        "data": data,
        "annotations": {"sha256": annotations_sha256(data)},
        "images": len(run.truth.image_ids),
        "protocol": run.protocol.as_facts(),
        **provenance(),
    }
    run = replace(run, facts=facts)
    run = replace(run, metrics=metrics_of(run))
    return write_run(run, Path(out)) if out else run


def _sha256(path: Path) -> str | None:
    """Of a file; a folder has none."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""A results file of any detector made a run: scored, and written with where it comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from explorer.engine.artifacts import provenance
from explorer.engine.evaluation.evaluate import write_run
from explorer.scoring.alike import data_facts, results_facts
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
    run.truth.check_has_objects(f"{path} on {data}")
    facts = {
        **run.facts,
        "model": run.name,
        **results_facts(path),
        **data_facts(data),
        "images": len(run.truth.image_ids),
        "protocol": run.protocol.as_facts(),
        **provenance(),
    }
    run = replace(run, facts=facts)
    run = replace(run, metrics=metrics_of(run))
    return write_run(run, Path(out)) if out else run

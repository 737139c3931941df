"""An autopsy as a file: one JSON document, by custom `autopsy.json` in a run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from explorer.autopsy.chain import Chain
from explorer.autopsy.dense.chain import FCOS, RETINANET
from explorer.autopsy.findings import Best, Finding, Results, Said, Suppressor
from explorer.autopsy.result import Autopsy
from explorer.autopsy.two_stage.chain import TWO_STAGE
from explorer.autopsy.verdicts import Verdict
from explorer.data.ids import id_column
from explorer.engine.artifacts import provenance
from explorer.reading import read_json
from explorer.scoring.outcomes import OperatingPoint
from explorer.writing import write_json

AUTOPSY_FILE = "autopsy.json"

_VERSION = 3
_ID_COLUMNS = ("image_ids", "ids")
_NUMBER_COLUMNS: dict[str, Any] = {"classes": np.int64, "areas_px": np.float64}
_FINDING_COLUMNS = tuple(field.name for field in fields(Finding))


def write_autopsy(autopsy: Autopsy, path: Path, origin: Mapping[str, Any] | None = None) -> None:
    """Writes all of an autopsy as one JSON file, which `read_autopsy` reads.

    It is an object with the kind of detector, what counts as found, the verdicts' names, `by_size` for COCO's sizes,
    and `objects`: columns of equal length. Those of findings have the fields of `Finding`, with verdicts by name.

    Args:
        autopsy: what to write.
        path: the file.
        origin: where the detector that was followed comes from, as `Detector.origin` says it.
    """
    known = {name: getattr(autopsy, name).tolist() for name in (*_ID_COLUMNS, *_NUMBER_COLUMNS, "boxes_xywh")}
    findings = [_cells(finding) for finding in autopsy.findings]
    document = {
        **(origin or {}),
        "version": _VERSION,
        "model": autopsy.model,
        "kind": autopsy.chain.name,
        "score_threshold": autopsy.score_threshold,
        "found": vars(autopsy.point),
        "class_names": autopsy.class_names,
        "level_names": autopsy.level_names,
        "verdicts": [{"name": _name(verdict), "label": verdict.label} for verdict in autopsy.ends],
        "by_size": {
            group.bin.name: {_name(verdict): count for verdict, count in group.counts.items()}
            for group in autopsy.by_size()
        },
        "objects": known | {name: [cells[name] for cells in findings] for name in _FINDING_COLUMNS},
        **provenance(),
    }
    write_json(document, path)


def read_autopsy(path: str | Path) -> Autopsy:
    """Reads what `write_autopsy` wrote.

    Args:
        path: the file, or the run's folder that holds it as `autopsy.json`.

    Raises:
        ValueError: there is none, or it is broken or of another version.
    """
    path = Path(path)
    path = path / AUTOPSY_FILE if path.is_dir() else path
    try:
        document = read_json(path)
        if document["version"] != _VERSION:
            raise ValueError(f"its version is {document['version']}, this program reads {_VERSION}")
        objects = document["objects"]
        rows = zip(*(objects[name] for name in _FINDING_COLUMNS), strict=True)
        findings = tuple(_finding(dict(zip(_FINDING_COLUMNS, row, strict=True))) for row in rows)
        levels = tuple(document["level_names"])
        if not all(0 <= finding.fpn_level < len(levels) for finding in findings):
            raise ValueError("an object is on a level that the detector does not have")
        return Autopsy(
            document["model"],
            _chain(document["kind"]),
            document["score_threshold"],
            _point(document["found"]),
            tuple(document["class_names"]),
            levels,
            **{name: id_column(objects[name]) for name in _ID_COLUMNS},
            **{name: np.array(objects[name], dtype=kind) for name, kind in _NUMBER_COLUMNS.items()},
            boxes_xywh=np.array(objects["boxes_xywh"], dtype=np.float64).reshape(-1, 4),
            findings=findings,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is not an autopsy ({error}). Create one with `explorer autopsy`.") from error


def _name(verdict: Verdict) -> str:
    return verdict.name.lower()


def _chain(kind: str) -> Chain:
    chains = {chain.name: chain for chain in (TWO_STAGE, RETINANET, FCOS)}
    if kind not in chains:
        raise ValueError(f"it is of a {kind!r}, this program knows {', '.join(chains)}")
    return chains[kind]


def _cells(finding: Finding) -> dict[str, Any]:
    after = None if finding.after is None else _name(finding.after)
    return asdict(finding) | {"verdict": _name(finding.verdict), "after": after}


def _finding(cells: dict[str, Any]) -> Finding:
    results, after = cells["results"], cells["after"]
    suppressor = results["suppressor"]
    given = {
        "verdict": _verdict(cells["verdict"]),
        "after": None if after is None else _verdict(after),
        "results": Results(
            {stage: Best(**best) for stage, best in results["best"].items()},
            results["said"] and Said(**results["said"]),
            suppressor and Suppressor(tuple(suppressor["box_xyxy"]), suppressor["score"]),
        ),
    }
    return Finding(**(cells | given))


def _verdict(name: str) -> Verdict:
    return Verdict[name.upper()]


def _point(known: Mapping[str, Any]) -> OperatingPoint:
    given: dict[str, Any] = {name: np.nan if value is None else value for name, value in known.items()}
    return OperatingPoint(**given)

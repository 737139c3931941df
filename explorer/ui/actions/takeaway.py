"""The files that a visitor takes away from a comparison: detections as COCO results, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.filters import Filters
from explorer.writing import write_json


def as_coco(found: PhotoComparison, filters: Filters) -> dict[str, Any]:
    """What is shown as COCO results, by model, and why others could not be run; `load_run` reads it."""
    from explorer.engine.class_names import category_ids
    from explorer.scoring.convert import results_of

    height, width = found.image_size
    models = {}
    for name, shown in found.shown(filters).items():
        ids = category_ids(shown.class_names)
        categories = [{"id": ids[index], "name": own} for index, own in enumerate(shown.class_names)]
        models[name] = {"categories": categories, "results": results_of(shown, 1, ids)}
    image = {"id": 1, "file_name": found.photo.name, "height": height, "width": width}
    without = {"unavailable": dict(found.unavailable)} if found.unavailable else {}
    return {"image": image, "lowest_score": filters.lowest_score, "models": models, **without}


def write_files(found: PhotoComparison, filters: Filters, folder: Path) -> tuple[Path, Path]:
    """Writes what is shown as `detections.json` and `detections.png`, the models' pictures beside each other."""
    import cv2

    from explorer.engine.artifacts import provenance
    from explorer.figures.sheet import labelled_sheet

    table, picture = folder / "detections.json", folder / "detections.png"
    write_json({"info": provenance(), **as_coco(found, filters)}, table, indent=1)
    titled = {f"{found.letters[name]} · {name}": shown for name, shown in found.shown(filters).items()}
    columns = 1 if found.is_wide else 2
    cv2.imwrite(str(picture), labelled_sheet(found.image_bgr, titled, truth=found.truth, columns=columns))
    return table, picture

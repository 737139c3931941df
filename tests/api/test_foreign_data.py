"""A data set in YOLO's and VOC's formats through the functions behind the commands: the same figures as in COCO's."""

from __future__ import annotations

from pathlib import Path

import pytest
from detectron2.data import get_detection_dataset_dicts

import explorer as ex
from explorer.data.coco import register_coco
from explorer.errors.variants import as_is, flipped


@pytest.mark.parametrize("to", ["yolo", "voc"])
def test_it_is_evaluated_explained_compared_and_read_for_training(
    to: str, aerial: Path, detector: ex.Detector, evaluation: ex.Evaluation, tmp_path: Path
) -> None:
    written = ex.convert(aerial, tmp_path / to, to, link=True)
    (split,) = written.splits
    data = f"{written.out}:{split}"
    run = ex.evaluate(detector, data, out=tmp_path / "run")
    ours, theirs = (own.metrics.values["bbox"] for own in (run, evaluation))
    for name in ("AP", "AP50", "AP75", "AR100"):  # sizes are those of boxes here, of masks there
        assert ours[name] == pytest.approx(theirs[name], abs=1e-9)
    assert ex.autopsy(tmp_path / "run", resamples=20).rows()
    assert ex.compare(run, tmp_path / "run", resamples=20).rows()
    assert ex.improve(detector, data, [as_is(detector), flipped(detector)], limit=1, resamples=20).rows()
    assert len(ex.object_sizes(data).rows()) > 0
    images = get_detection_dataset_dicts([register_coco(data)], filter_empty=False)
    assert sum(len(image["annotations"]) for image in images) == sum(objects for _, objects in written.splits.values())

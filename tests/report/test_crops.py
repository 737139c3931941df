"""A crop lies under the outlines that are drawn over it, to a fraction of the photo's pixel."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.report.crops import miss_figure
from explorer.report.misses import Miss
from explorer.scoring.runs import truth_from_coco


@pytest.mark.parametrize("box", [[20, 18, 8, 6], [2, 1, 9, 9], [30, 40, 60, 50]])
def test_an_outline_is_around_its_object(box: list[int], tmp_path: Path) -> None:
    x, y, w, h = box
    photo = np.zeros((100, 120, 3), np.uint8)
    photo[y : y + h, x : x + w] = 255
    Image.fromarray(photo).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 100, "width": 120}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": w * h, "iscrowd": 0}],
    }
    figure = miss_figure(truth_from_coco(content, tmp_path), Miss(0, "missed", None))
    numbers = re.search(r'<rect class="object" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', figure)
    encoded = re.search(r"base64,(.*?)\"", figure)
    assert numbers
    assert encoded
    left, top, width, height = map(float, numbers.groups())
    crop = np.asarray(Image.open(BytesIO(base64.b64decode(encoded[1]))).convert("L"))
    scale = 216 / crop.shape[1]
    rows, columns = np.nonzero(crop > 200)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(
        np.array(seen) * scale, np.clip([left, top, left + width, top + height], 0, 216), atol=0.8
    )

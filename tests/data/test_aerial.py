"""Aerial scenes: the same bytes for the same seed, labels that every reader decodes alike, areas spread as COCO's."""

from __future__ import annotations

import hashlib
import json
import resource
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from explorer.data.aerial import STUFF, THINGS, AerialSummary, make_aerial, render_scene
from explorer.data.aerial.layouts import LAYOUTS
from explorer.data.aerial.sheet import contact_sheet

IMAGES, SEED = 80, 5
TINY = (96, 128)


def digests(root: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file below a folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make_tiny(out: Path, **changes: Any) -> AerialSummary:
    options: dict[str, Any] = {"images": 2, "seed": 1, "size": TINY, "workers": 1}
    return make_aerial(out, **{**options, **changes})


@pytest.fixture(scope="session")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> AerialSummary:
    """A data set at the default size."""
    return make_aerial(tmp_path_factory.mktemp("aerial"), images=IMAGES, seed=SEED, workers=2)


@pytest.fixture(scope="session")
def instances(aerial: AerialSummary) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((aerial.out / "annotations/instances_val.json").read_text())
    return content


@pytest.fixture(scope="session")
def panoptic(aerial: AerialSummary) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((aerial.out / "annotations/panoptic_val.json").read_text())
    return content


def read_ids(path: Path) -> np.ndarray:
    """Reads a COCO panoptic PNG: id = red + 256 green + 65536 blue."""
    blue, green, red = np.moveaxis(cv2.imread(str(path)).astype(np.int32), 2, 0)
    return red + 256 * green + 65536 * blue


def test_same_seed_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    make_tiny(tmp_path / "one", images=10)
    make_tiny(tmp_path / "two", images=10, workers=2)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert len(one) == 3 * 10 + 2
    assert one == two


def test_images_do_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    make_tiny(tmp_path / "few", images=1)
    make_tiny(tmp_path / "more", images=2)
    assert digests(tmp_path / "few")["val/000000.jpg"] == digests(tmp_path / "more")["val/000000.jpg"]


def test_threads_do_not_change_bytes() -> None:
    threads = cv2.getNumThreads()
    try:
        pictures = set()
        for count in (1, 4):
            cv2.setNumThreads(count)
            pictures |= {render_scene(3, index=index).jpeg for index in range(2)}
    finally:
        cv2.setNumThreads(threads)
    assert len(pictures) == 2


def test_seed_split_and_index_change_the_picture() -> None:
    scenes = [
        render_scene(1, size=TINY),
        render_scene(2, size=TINY),
        render_scene(1, index=1, size=TINY),
        render_scene(1, split="train", size=TINY),
    ]
    assert len({scene.jpeg for scene in scenes}) == len(scenes)


def test_files_are_images_of_the_default_size(aerial: AerialSummary, instances: dict[str, Any]) -> None:
    assert aerial.images == IMAGES == len(instances["images"])
    for image in instances["images"]:
        assert cv2.imread(str(aerial.out / "val" / image["file_name"])).shape == (480, 640, 3)
        assert (image["height"], image["width"]) == (480, 640)


def test_nothing_hidden_is_left(aerial: AerialSummary) -> None:
    assert {p.name for p in aerial.out.iterdir()} == {"annotations", "val", "panoptic_val", "panoptic_stuff_val"}


def test_areas_are_spread_as_cocos(aerial: AerialSummary, instances: dict[str, Any]) -> None:
    areas = np.array([a["area"] for a in instances["annotations"] if not a["iscrowd"]])
    shares = [(areas < 32**2).mean(), ((areas >= 32**2) & (areas < 96**2)).mean(), (areas >= 96**2).mean()]
    np.testing.assert_allclose(shares, [0.41, 0.34, 0.24], atol=0.06)
    assert list(aerial.by_size.values()) == [round(share * len(areas)) for share in shares]
    assert 5 <= len(areas) / IMAGES <= 10


def test_small_sets_have_every_layout_near_and_far(instances: dict[str, Any]) -> None:
    views: dict[str, set[bool]] = {name: set() for name in LAYOUTS}
    for image in instances["images"]:
        layout = LAYOUTS[image["layout"]]
        low, high = layout.near
        views[image["layout"]].add(low <= image["px_per_m"] <= high)
    assert all(views.values())
    assert sum(len(kinds) == 2 for kinds in views.values()) >= 12


def test_every_class_is_common(aerial: AerialSummary) -> None:
    assert tuple(aerial.by_category) == THINGS
    assert sum(aerial.by_category.values()) == aerial.objects
    assert min(aerial.by_category.values()) >= 0.04 * aerial.objects


def test_masks_boxes_and_areas_agree_in_pycocotools(aerial: AerialSummary, capsys: pytest.CaptureFixture[str]) -> None:
    coco = COCO(str(aerial.out / "annotations/instances_val.json"))
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        assert mask.sum() == annotation["area"]
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        bounds = [cols[0], rows[0], cols[-1] - cols[0] + 1, rows[-1] - rows[0] + 1]
        assert annotation["bbox"] == bounds
        assert min(bounds[2:]) >= 7
        assert annotation["area"] >= 70


def test_polygons_lie_in_the_picture(instances: dict[str, Any]) -> None:
    polygons = [p for a in instances["annotations"] if isinstance(a["segmentation"], list) for p in a["segmentation"]]
    assert len(polygons) > 100
    for polygon in polygons:
        assert len(polygon) >= 6
        points = np.reshape(polygon, (-1, 2))
        assert points.min() >= 0
        assert (points.max(axis=0) <= (640, 480)).all()


def test_polygons_run_lengths_and_crowds_all_occur(aerial: AerialSummary, instances: dict[str, Any]) -> None:
    objects = [a for a in instances["annotations"] if not a["iscrowd"]]
    crowds = [a for a in instances["annotations"] if a["iscrowd"]]
    kinds = [type(a["segmentation"]) for a in objects]
    assert kinds.count(list) > kinds.count(dict) > 0
    assert len(crowds) == aerial.crowds >= 2
    assert all(isinstance(a["segmentation"], dict) for a in crowds)


def test_panoptic_maps_match_their_segments(aerial: AerialSummary, panoptic: dict[str, Any]) -> None:
    for annotation in panoptic["annotations"]:
        ids = read_ids(aerial.out / "panoptic_val" / annotation["file_name"])
        found = {int(i): int(n) for i, n in zip(*np.unique(ids, return_counts=True), strict=True) if i != 0}
        assert found == {s["id"]: s["area"] for s in annotation["segments_info"]}
        for segment in annotation["segments_info"]:
            x, y, w, h = segment["bbox"]
            assert (x, y, w, h) == cv2.boundingRect((ids == segment["id"]).astype(np.uint8))


def test_panoptic_things_are_the_instances(
    aerial: AerialSummary, instances: dict[str, Any], panoptic: dict[str, Any]
) -> None:
    """Segments cannot overlap, so equal masks also show that no two instances share a pixel."""
    for number, annotation in enumerate(panoptic["annotations"][:24], start=1):
        ids = read_ids(aerial.out / "panoptic_val" / annotation["file_name"])
        things = [s for s in annotation["segments_info"] if s["category_id"] <= len(THINGS)]
        own = [a for a in instances["annotations"] if a["image_id"] == number]
        for segment, instance in zip(things, own, strict=True):
            runs = instance["segmentation"]
            if isinstance(runs, list):
                runs = coco_mask.merge(coco_mask.frPyObjects(runs, 480, 640))
            np.testing.assert_array_equal(coco_mask.decode(runs), ids == segment["id"])
            assert segment["category_id"] == instance["category_id"]
            assert segment["iscrowd"] == instance["iscrowd"]


def test_semantic_maps_match_the_panoptic_ones(aerial: AerialSummary, panoptic: dict[str, Any]) -> None:
    """As detectron2's Panoptic FPN wants it: things 0, stuff by contiguous ids from 1, the rest 255."""
    seen: set[int] = set()
    for annotation in panoptic["annotations"]:
        ids = read_ids(aerial.out / "panoptic_val" / annotation["file_name"])
        expected = np.full(ids.shape, 255, np.uint8)
        for segment in annotation["segments_info"]:
            expected[ids == segment["id"]] = max(0, segment["category_id"] - len(THINGS))
        stored = cv2.imread(str(aerial.out / "panoptic_stuff_val" / annotation["file_name"]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, expected)
        seen |= set(np.unique(stored).tolist())
    assert seen == {0, *range(1, len(STUFF) + 1), 255}


def test_categories_and_licences(instances: dict[str, Any], panoptic: dict[str, Any]) -> None:
    assert [c["name"] for c in instances["categories"]] == list(THINGS)
    assert [c["name"] for c in panoptic["categories"]] == [*THINGS, *STUFF]
    assert [c["id"] for c in panoptic["categories"]] == list(range(1, 11))
    assert [c["isthing"] for c in panoptic["categories"]] == [1] * 6 + [0] * 4
    assert {i["license"] for i in instances["images"]} == {licence["id"] for licence in instances["licenses"]}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(64, 512), (481, 333)])
def test_every_layout_takes_odd_sizes(layout: str, size: tuple[int, int]) -> None:
    scene = render_scene(9, layout=layout, size=size)
    assert scene.layout == layout
    assert scene.image.shape == (*size, 3)
    assert scene.segment_ids.shape == scene.sem_seg.shape == size
    assert scene.image.std() > 4


def test_a_finished_set_is_left_as_it_is(tmp_path: Path) -> None:
    first = make_tiny(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    calls: list[tuple[int, int]] = []
    assert make_tiny(tmp_path, progress=lambda *done: calls.append(done)) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert calls == []


def test_splits_live_side_by_side(tmp_path: Path) -> None:
    make_tiny(tmp_path)
    val = digests(tmp_path)
    make_tiny(tmp_path, split="train")
    both = digests(tmp_path)
    assert val.items() <= both.items()
    assert len(both) == 2 * len(val)


@pytest.mark.parametrize("change", [{"seed": 2}, {"images": 3}, {"size": (96, 96)}])
def test_another_recipe_is_refused_and_nothing_lost(tmp_path: Path, change: dict[str, Any]) -> None:
    make_tiny(tmp_path)
    before = digests(tmp_path)
    with pytest.raises(ValueError, match="already holds a split 'val' made with"):
        make_tiny(tmp_path, **change)
    assert digests(tmp_path) == before


def test_files_of_unknown_origin_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"holds files, but there is no instances_val\.json"):
        make_tiny(tmp_path)
    assert (tmp_path / "val" / "holiday.jpg").read_bytes() == b"precious"


def test_an_interrupted_run_does_not_look_finished_and_can_be_repeated(tmp_path: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_tiny(tmp_path / "out", images=20, progress=interrupt)
    assert not (tmp_path / "out/annotations").exists()
    assert not (tmp_path / "out/val").exists()
    make_tiny(tmp_path / "out")
    make_tiny(tmp_path / "fresh")
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    make_tiny(tmp_path, images=10, progress=lambda *done: calls.append(done))
    assert calls == sorted(calls)
    assert calls[-1] == (10, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": 0}, "images is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"split": "../up"}, "split is '../up'"),
        ({"size": (32, 640)}, "size is"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_tiny(tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_wrong_scene_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"no layout .moon.; choose one of motorway"):
        render_scene(0, layout="moon")
    with pytest.raises(ValueError, match="index is -1"):
        render_scene(0, index=-1)


def test_contact_sheet_shows_every_overlay() -> None:
    sheet = contact_sheet([("crossing", 1, ""), ("crossing", 1, "boxes"), ("crossing", 1, "labels")])
    plain, boxes, labels = sheet[:, :336], sheet[:, 340:676], sheet[:, 680:]
    assert plain.shape == boxes.shape == labels.shape
    assert np.abs(boxes.astype(int) - plain).max() > 60
    assert np.abs(labels.astype(int) - plain).mean() > 10


@pytest.mark.slow
def test_a_thousand_images_in_ninety_seconds_of_two_cores(tmp_path: Path) -> None:
    """Counts processor seconds, so that what else the machine does makes no difference."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = make_aerial(tmp_path, images=1000, seed=0, workers=2)
    elapsed_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    shares = {name: round(count / summary.objects, 3) for name, count in summary.by_size.items()}
    print(f"1,000 images in {elapsed_s:.0f} s, {processor_s:.0f} processor seconds; {shares}; {summary}")  # noqa: T201
    np.testing.assert_allclose(list(shares.values()), [0.41, 0.34, 0.24], atol=0.04)
    assert processor_s < 2 * 90

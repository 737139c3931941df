"""Each protocol has its own evaluator's figures, as recorded, and pycocotools' with its parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from explorer.errors.bootstrap import bootstrap
from explorer.errors.oracles import fix
from explorer.errors.taxonomy import classify_errors
from explorer.scoring.columns import Run
from explorer.scoring.curves import size_curves
from explorer.scoring.ignored import run_under
from explorer.scoring.matching import match
from explorer.scoring.metrics import metrics_of, score
from explorer.scoring.protocols import COCO, PRESETS, VISDRONE, Protocol, protocol_from, protocol_of
from explorer.scoring.runs import load_run
from explorer.scoring.tally import Tally
from explorer.types import SIZES

Invent = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]
AsRun = Callable[..., Run]
Official = Callable[..., COCOeval]

AREAS = {
    "coco": [(0, 1e10), (0, 1024), (1024, 9216), (9216, 1e10)],
    "ai-tod": [(0, 1e10), (0, 64), (64, 256), (256, 1024), (1024, 1e10)],
    "soda": [(0, 2000), (0, 1024), (0, 144), (144, 400), (400, 1024), (1024, 2000)],
    "8,16,32,96": [(0, 1e10), (0, 64), (64, 256), (256, 1024), (1024, 9216), (9216, 1e10)],
}
LIMITS = {"coco": [1, 10, 100], "ai-tod": [1, 100, 1500], "soda": [20000]}


def small(content: dict[str, Any], results: list[dict[str, Any]], by: float) -> None:
    """Shrinks all boxes, so that there are objects of every protocol's sizes."""
    for entry in (*content["annotations"], *results):
        entry["bbox"] = [side * by for side in entry["bbox"]]
        entry.pop("segmentation", None)
        if "area" in entry:
            entry["area"] *= by**2


@pytest.mark.parametrize("name", AREAS)
@pytest.mark.parametrize("seed", [1, 2])
def test_figures_are_pycocotools_with_the_protocols_parameters(
    name: str, seed: int, invent: Invent, as_run: AsRun, official: Official
) -> None:
    content, results = invent(seed, images=12, objects=12, detections=25, ties=True, crowds=0.1)
    small(content, results, 0.25)
    protocol = protocol_of(name)
    assert [(size.min_area_px, size.max_area_px) for size in protocol.bins] == AREAS[name]
    assert list(protocol.max_detections) == LIMITS.get(name, [1, 10, 100])
    levels = np.linspace(0.5, 0.95, 10)
    theirs = official(
        content, results, "bbox", bins=protocol.bins, max_detections=LIMITS.get(name, [1, 10, 100]), thresholds=levels
    ).eval
    run = run_under(protocol, as_run(content, results))
    figures = score(match(run))
    own = len(protocol.bins)
    expected = theirs["precision"][..., -1].mean(axis=(0, 1)).T
    np.testing.assert_allclose(
        figures.by_class[0, :own], np.where(expected < 0, np.nan, 100 * expected), rtol=0, atol=1e-9
    )
    assert np.isfinite(figures.overall[0, :own]).sum() >= 2
    for place, level in enumerate(levels):
        if level in (0.5, 0.75):
            at = theirs["precision"][place, :, :, 0, -1].mean(axis=0)
            assert figures.value(f"AP{100 * level:.0f}") == pytest.approx(100 * at[at > -1].mean(), abs=1e-9)
    recall = theirs["recall"][..., -1].mean(axis=0).T
    row = figures.names.index(f"AR{protocol.max_detections[-1]}")
    np.testing.assert_allclose(
        figures.by_class[row, :own], np.where(recall < 0, np.nan, 100 * recall), rtol=0, atol=1e-9
    )


def case_of(own: dict[str, Any], shared: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The annotations and detections of which golden/protocols.json has the figures."""
    content = json.loads((shared / "data" / own["file"]).read_text())
    images = sorted(content["images"], key=lambda image: image["id"])[: own["images"]]
    images = [image | {side: round(image[side] * own["scale"]) for side in ("width", "height")} for image in images]
    ids, annotations = {image["id"] for image in images}, []
    for a in content["annotations"]:
        if a["image_id"] in ids:
            bbox = [float(max(1, round(side * own["scale"]))) for side in a["bbox"]]
            kept = {name: a[name] for name in ("id", "image_id", "category_id")}
            annotations.append(kept | {"bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0})
    results = [
        {"image_id": image, "category_id": category, "bbox": bbox, "score": score}
        for image, category, *bbox, score in own["detections"]
    ]
    return {"images": images, "annotations": annotations, "categories": content["categories"]}, results


@pytest.mark.parametrize("name", ["ai-tod", "soda", "soda-d", "tinyperson", "visdrone"])
@pytest.mark.parametrize("case", range(2))
def test_figures_are_those_of_the_protocols_own_evaluator(name: str, case: int, as_run: AsRun, shared: Path) -> None:
    """golden/protocols.json says which evaluators, and how they were run."""
    own = json.loads((Path(__file__).parent / "golden/protocols.json").read_text())["cases"][case]
    content, results = case_of(own, shared)
    protocol = protocol_of(name)
    if protocol.ignored_regions:
        content["categories"] = [*content["categories"], {"id": 99, "name": "ignored regions"}]
        content["annotations"] += [
            {
                "id": 10**6 + k,
                "image_id": image,
                "category_id": 99,
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": 0,
            }
            for k, (image, *bbox) in enumerate(own["regions"])
        ]
    run = run_under(protocol, as_run(content, results))
    assert not protocol.ignored_regions or len(run.found) < len(results)
    matches = match(run)
    figures, theirs = score(matches), own["figures"][name]
    if protocol.every_recall:  # a mean over ten classes, 0 for those that the data does not have
        share = np.isfinite(figures.by_class[0, 0]).sum() / 10
        assert {figure: share * figures.value(figure) for figure in theirs} == pytest.approx(
            {figure: value["all"] for figure, value in theirs.items()}, abs=1e-9
        )
        return
    assert {f: {size: figures.value(f, size) for size in sizes} for f, sizes in theirs.items()} == {
        figure: pytest.approx(sizes, abs=1e-9) for figure, sizes in theirs.items()
    }
    if case:  # SODA-D counts fewer detections
        assert own["figures"]["soda"]["AP"] != own["figures"]["soda-d"]["AP"]
    whole = bootstrap(matches, resamples=20)  # the same rules on resamples: one of each image as it is
    np.testing.assert_allclose(whole.figures.overall, figures.overall)


def test_figures_have_their_protocols_names(invent: Invent, as_run: AsRun) -> None:
    run = as_run(*invent(3, images=5))
    expected = {
        "ai-tod": "AP AP50 AP75 AR1 AR100 AR1500 APvt APt APs APm ARvt ARt ARs ARm",
        "soda": "AP AP50 AP75 AR20000 APS APeS APrS APgS APN ARS AReS ARrS ARgS ARN",
        "visdrone": "AP AP50 AP75 AR1 AR10 AR100 AR500",
    }
    for name, labels in expected.items():
        assert list(metrics_of(run_under(PRESETS[name], run)).values["bbox"]) == labels.split()
    tiny = metrics_of(run_under(PRESETS["tinyperson"], run)).values["bbox"]
    assert {"AP25", "AP tiny1", "AR200"} <= set(tiny)
    own = metrics_of(run_under(protocol_of("16,32"), run)).values["bbox"]
    assert {"AP 0–16", "AP 16–32", "AP 32–", "AR 32–"} <= set(own)


def visdrone(content: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, float]:
    """VisDrone's figures, counted pixel by pixel and match by match."""
    skipped = {c["id"] for c in content["categories"] if c["name"] in ("ignored regions", "others")}
    ignored = {c["id"] for c in content["categories"] if c["name"] == "ignored regions"}
    aps, recalls = [], {limit: [] for limit in (1, 10, 100, 500)}
    kept: dict[int, tuple[list[Any], list[Any]]] = {}
    for image in content["images"]:
        own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        pixels = set()
        for a in own:
            if a["category_id"] in ignored:
                x, y, w, h = (max(1, round(side)) for side in a["bbox"])
                pixels |= {
                    (column, row)
                    for column in range(x, min(image["width"], x + w) + 1)
                    for row in range(y, min(image["height"], y + h) + 1)
                }

        def outside(entry: dict[str, Any], pixels: set[Any] = pixels, image: dict[str, Any] = image) -> bool:
            x, y, w, h = (max(1, round(side)) for side in entry["bbox"])
            x, y = min(x, image["width"]), min(y, image["height"])
            inside = sum(
                (column, row) in pixels
                for column in range(x + 1, min(image["width"], x + w) + 1)
                for row in range(y + 1, min(image["height"], y + h) + 1)
            )
            return inside / (w * h) < 0.5

        found = [r for r in results if r["image_id"] == image["id"] and outside(r)]
        kept[image["id"]] = (
            [a for a in own if a["category_id"] not in skipped and outside(a)],
            sorted(found, key=lambda r: -r["score"]),
        )
    for category in content["categories"]:
        number = sum(a["category_id"] == category["id"] for truth, _ in kept.values() for a in truth)
        if category["id"] in skipped or not number:
            continue
        for level in np.linspace(0.5, 0.95, 10):
            for limit in recalls:
                judged: list[tuple[float, bool]] = []
                for truth, found in kept.values():
                    free = [a for a in truth if a["category_id"] == category["id"]]
                    for r in found[:limit]:
                        if r["category_id"] != category["id"]:
                            continue
                        best = max(free, key=lambda a: iou(a["bbox"], r["bbox"]), default=None)
                        hit = best is not None and iou(best["bbox"], r["bbox"]) >= level
                        judged.append((r["score"], hit))
                        free = [a for a in free if not (hit and a is best)]
                judged.sort(key=lambda one: -one[0])
                right = np.cumsum([hit for _, hit in judged])
                recalls[limit].append(right[-1] / number if len(right) else 0)
            precision = right / np.arange(1, len(right) + 1)
            steps = np.diff(np.append(0, right / number))
            aps.append(sum(step * precision[place:].max() for place, step in enumerate(steps)))
    means = {f"AR{limit}": 100 * float(np.mean(own)) for limit, own in recalls.items()}
    return {"AP": 100 * float(np.mean(aps)), **means}


def iou(a: list[float], b: list[float]) -> float:
    sides = [min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]) for k in (0, 1)]
    both = max(0, sides[0]) * max(0, sides[1])
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def street(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Whole-pixel boxes in small images, two regions in each, and more detections than 10 of an image."""
    rng = np.random.default_rng(seed)
    names = ["ignored regions", "pedestrian", "car", "others"]
    content: dict[str, Any] = {
        "images": [{"id": k, "file_name": f"{k}.jpg", "height": 90, "width": 120} for k in range(1, 7)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
        "annotations": [],
    }
    results: list[dict[str, Any]] = []

    def box(low: int, high: int) -> list[float]:
        w, h = rng.integers(low, high, 2).tolist()
        return [float(rng.integers(0, 120 - w)), float(rng.integers(0, 90 - h)), float(w), float(h)]

    for image in content["images"]:
        for category, sides in [(0, (20, 50))] * 2 + [(int(c), (5, 20)) for c in rng.integers(1, 4, 14)]:
            bbox = box(*sides)
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": bbox,
                    "area": bbox[2] * bbox[3],
                    "iscrowd": 0,
                }
            )
            near = [max(0, side + shift) for side, shift in zip(bbox, rng.integers(-1, 2, 4).tolist(), strict=True)]
            results += [
                {"image_id": image["id"], "category_id": category or 1, "bbox": one, "score": float(rng.random())}
                for one in (near, box(5, 20))
            ]
    return content, results


@pytest.mark.parametrize("seed", range(4))
def test_visdrone_is_its_toolkits_rules(seed: int, as_run: AsRun) -> None:
    content, results = street(seed)
    full = as_run(content, results)
    run = run_under(VISDRONE, full)
    assert len(run.truth) < len(full.truth)
    assert len(run.found) < len(full.found)
    figures = score(match(run))
    expected = visdrone(content, results)
    assert {name: figures.value(name) for name in expected} == pytest.approx(expected, abs=1e-9)
    # whatever else says AP, of parts or by what errors cost, has the area under the whole curve too
    with Tally(match(run), 0.5) as tally:
        assert dict(tally.score()[0].named()) == pytest.approx(dict(figures.named()), abs=1e-9, nan_ok=True)
    curves = size_curves(match(run))
    np.testing.assert_allclose(curves.average_precision[0], figures.by_class[figures.names.index("AP50"), 0], atol=1e-9)
    assert fix(classify_errors(run)).mean_ap == pytest.approx(figures.value("AP50"), abs=1e-9)
    again = run_under(VISDRONE, run)
    assert (len(again.truth), len(again.found)) == (len(run.truth), len(run.found))
    # the same rules on resamples: one of each image as it is
    whole = bootstrap(match(run), resamples=20)
    np.testing.assert_allclose(whole.figures.overall, figures.overall)
    regions = run.truth.of_images([2, 5]).regions
    assert regions is not None
    assert regions.images.tolist() == [0, 0, 1, 1]


def test_other_limits_and_thresholds(invent: Invent, as_run: AsRun, official: Official) -> None:
    content, results = invent(5, images=8, detections=20)
    protocol = protocol_of("coco", max_detections=3, iou_thresholds=[0.75, 0.25, 0.5])
    theirs = official(
        content, results, "bbox", bins=COCO.bins, max_detections=[1, 3], thresholds=[0.25, 0.5, 0.75]
    ).eval["precision"][..., -1]
    figures = score(match(run_under(protocol, as_run(content, results))))
    known = theirs[..., 0].mean(axis=(0, 1))
    assert figures.value("AP") == pytest.approx(100 * known[known > -1].mean(), abs=1e-9)
    assert figures.names == ("AP", "AP25", "AP50", "AP75", "AR1", "AR3")


@pytest.mark.parametrize("protocol", [*PRESETS.values(), protocol_of("8,16"), COCO.with_limit(7)])
def test_a_record_is_read_back(protocol: Protocol) -> None:
    facts = json.loads(json.dumps({"protocol": protocol.as_facts()}))
    assert protocol_from(facts) == protocol
    areas = np.array([0.5, 4, 150, 1024, 2000, 20000])
    names = protocol.size_names(areas)
    for size in protocol.sizes:
        np.testing.assert_array_equal(size.names(areas), [name == size.name for name in names])


def test_older_records_have_cocos_protocol() -> None:
    assert protocol_from({}) == COCO
    assert protocol_from({"max_detections": 300}).max_detections == (1, 10, 300)
    assert tuple(size.name for size in COCO.sizes) == SIZES


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"sizes": "aitod"}, "no protocol 'aitod': give coco, ai-tod, soda, soda-d, tinyperson, visdrone, or sides"),
        ({"sizes": "32,16"}, "ascending"),
        ({"max_detections": 0}, "1 or more"),
        ({"iou_thresholds": [0.25, 1.5]}, "above 0 and at most 1"),
        ({"iou_thresholds": [0.25]}, "have 0.5 among them"),
    ],
)
def test_what_is_no_protocol_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        protocol_of(**asked)


@pytest.mark.parametrize("said", [3, {}, {"sizes": "coco", "max_detections": [], "iou_thresholds": [0.5]}, []])
def test_a_broken_record_is_one_clear_error(said: Any, tmp_path: Path) -> None:
    (tmp_path / "coco_instances_results.json").write_text("[]")
    (tmp_path / "run.json").write_text(json.dumps({"data": "x", "protocol": said}))
    with pytest.raises(ValueError, match=r"run.json has the protocol"):
        load_run(tmp_path)

"""A detector run over a data set: from an image folder to a run with its figures, the one way to a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from detectron2.data import DatasetCatalog, Metadata, MetadataCatalog
from detectron2.evaluation import DatasetEvaluator, DatasetEvaluators
from detectron2.evaluation.evaluator import inference_context
from detectron2.utils import comm

from explorer.data.coco import has_instances, register_coco
from explorer.data.images import ImageError
from explorer.engine.artifacts import provenance
from explorer.engine.config_facts import config_facts
from explorer.engine.detector import Detector
from explorer.engine.devices import gpu_explained
from explorer.engine.evaluation.classes import Scored, scored_classes
from explorer.engine.evaluation.instances import CollectDetections
from explorer.engine.evaluation.panoptic import PanopticEvaluator
from explorer.engine.evaluation.reading import StoppedError, image_loader, read_row, stop_together
from explorer.engine.evaluation.semantic import SemanticEvaluator
from explorer.engine.finite import not_finite
from explorer.engine.loaders import loaders_explained
from explorer.engine.loading import detecting_for, detection_limit
from explorer.engine.scales import scales
from explorer.scoring.alike import data_facts
from explorer.scoring.columns import Run, Truth
from explorer.scoring.convert import coco_results, run_from_detections
from explorer.scoring.ignored import found_under, truth_under
from explorer.scoring.metrics import metrics_of
from explorer.scoring.protocols import COCO, Protocol, protocol_from
from explorer.scoring.results_file import IMAGES_FILE, RESULTS_FILE
from explorer.scoring.runs import FACTS_FILE, METRICS_FILE, nothing_found, read_truth, truth_from_coco
from explorer.types import Detections, Metrics, Progress
from explorer.writing import alone_in, replacing_together, write_json
from explorer.zoo.trained import find_trained

DERIVED_FILES = ("report.json", "report.html", "autopsy.json", "objects.json")
"""What is made of a run's files; that of an earlier run goes with it."""


def evaluate(
    detector: Detector,
    data: Truth | str | Path,
    *,
    out: Path | str | None = None,
    limit: int | None = None,
    classes: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
    protocol: Protocol = COCO,
    progress: Progress | None = None,
) -> Run:
    """Runs a detector over a data set; `Run.metrics` are its figures.

    Classes are matched by name. Those that the model and the data set share are scored, and `Run.notes` say which are
    not. The detector runs the way that its `detect` does. Masks that have scores of their own (CenterMask's) are ranked
    by these, boxes by theirs.

    Args:
        detector: what to run.
        data: `PATH[:SPLIT]` of a data set, or a registered name; see `explorer.data.coco.register_coco`. Of a
            `Truth`, boxes and masks are scored, and no segments.
        out: folder for the run: detections, image ids, figures, and where they come from.
        limit: evaluate only on this many images, the first ones.
        classes: score only these classes.
        renamed: new name by old name, for the model's and the data set's classes alike: `{"minibus": "car"}`.
        protocol: sizes, IoU thresholds and limits that figures go by. Where its limit is above COCO's 100, the model
            reports that many objects per image too.
        progress: called after each image.

    Returns:
        The run, of the images that were evaluated and the classes that were scored.

    Raises:
        ImageError: an image or a label image cannot be read.
        OSError: `out` cannot be written to, or another process writes there.
        ValueError: there is no such model or data, they share no class, or there is nothing to score.
        DeviceError: the GPU fails.
    """
    detector.check_finds_objects()
    if out and find_trained(out):
        raise ValueError(
            f"{out} is the folder of a training run, whose metrics.json this would replace: choose another folder."
        )
    folder = Path(out) if out and comm.is_main_process() else None
    named = None if isinstance(data, Truth) else str(data)
    with alone_in(folder) if folder else nullcontext(), detecting_for(detector.model, protocol):
        run = run_over(
            detector,
            data if isinstance(data, Truth) else register_coco(str(data)),
            limit=limit,
            classes=classes,
            renamed=renamed,
            facts=_facts(detector, named) | {"protocol": protocol.as_facts()},
            progress=progress,
        )
        return _written(run, folder) if folder else run


def write_run(run: Run, out: Path) -> Run:
    """Writes a run to a folder, which `load_run` reads, and returns it with the folder.

    Raises:
        OSError: it cannot be written to, or another process writes there.
        ValueError: it is the folder of a training run.
    """
    if find_trained(out):
        raise ValueError(
            f"{out} is the folder of a training run, whose metrics.json this would replace: choose another folder."
        )
    with alone_in(out):
        return _written(run, out)


def _written(run: Run, out: Path) -> Run:
    """Writes a run; whenever the process is killed, a folder with `run.json` holds one run and not parts of two."""
    with replacing_together(out, FACTS_FILE) as scratch:
        write_detections(run, scratch)
        write_json(metrics_as_dict(run.metrics), scratch / METRICS_FILE, indent=2)
        write_json(run.facts, scratch / FACTS_FILE, indent=2)
        for earlier in DERIVED_FILES:
            (out / earlier).unlink(missing_ok=True)
    return replace(run, folder=out)


def run_over(
    detector: Detector,
    dataset: str | Truth,
    *,
    limit: int | None = None,
    classes: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Runs a detector over a registered data set, or over annotations at hand; the model's mode is left as it was.

    Several processes (`torch.distributed`) share the images. The main one returns what one process would have, the
    others a run without detections.

    Raises:
        ImageError: an image or a label image cannot be read; in every process, whichever met it.
        ValueError: the data set does not fit the detector, or has no images or nothing to score.
    """
    workers, segments = config_facts(detector.cfg).workers, list[DatasetEvaluator]()
    if isinstance(dataset, Truth):
        metadata: Any = Metadata(thing_classes=list(dataset.class_names))
    else:
        metadata = MetadataCatalog.get(dataset)
    scored = scored_classes(detector, metadata, classes, renamed)
    if isinstance(dataset, str):
        segments = _segment_evaluators(dataset, metadata, scored)
    protocol = protocol_from(facts or {})
    truth = truth_under(protocol, _truth(dataset, limit)).of_classes(scored.things.names, scored.things.renamed)
    instances = CollectDetections(detector.class_names)
    if not segments:
        truth.check_has_objects(f"{detector.name} on {'annotations' if isinstance(dataset, Truth) else dataset}")
    figures = _run_model(detector, image_loader(truth, detector.reads, workers), [instances, *segments], progress)
    known = {
        **(facts or {}),
        "images": len(truth.image_ids),
        "classes": scored.things.names,
        "renamed": dict(renamed or {}),
    }
    if not comm.is_main_process():
        return run_from_detections(truth.of_images(()), [], detector.name, known)
    run = run_from_detections(truth, instances.detections, detector.name, known, scored.things)
    run = replace(run, found=found_under(protocol, truth, run.found))
    notes = (*scored.notes, *_cut_by_model(detector, instances.detections), *_test_notes(detector, truth))
    if len(truth) and not len(run.found):
        why = not_finite(detector, read_row(truth, 0))
        notes += (f"{nothing_found(detector.name, len(truth.image_ids))} {why}".rstrip(),)
    run = replace(run, segments=figures, notes=notes)
    return replace(run, metrics=metrics_of(run))


def _cut_by_model(detector: Detector, detections: Sequence[Detections]) -> Iterator[str]:
    """Says on how many images the model reported as many objects as it can, so that some may be missing."""
    most = detection_limit(detector.model) if detector.cut is None else None  # of a tile is not known here
    full = sum(len(found) >= most for found in detections) if most else 0
    if full:
        yield (
            f"On {full} of {len(detections)} images {detector.name} reports {most} objects, which is its limit for an "
            "image: further objects may have been dropped. --max-detections or TEST.DETECTIONS_PER_IMAGE raise it."
        )


def _test_notes(detector: Detector, truth: Truth) -> Iterator[str]:
    """Says what of the way that photographs are tested in lowers the figures."""
    sizes: list[tuple[int, int]] = truth.image_sizes.tolist()
    found = scales(detector.cfg, detector.model_input, detector.cut, sizes)
    if found and (note := found.note()):
        yield note
    if detector.cut and getattr(getattr(detector.model, "roi_heads", None), "mask_on", False):
        yield "Photographs are processed in tiles, which give boxes only; masks are not evaluated."


class _Evaluators(DatasetEvaluators):
    """Several evaluators that score only where every process could read its images: figures on fewer are no figures."""

    def evaluate(self) -> dict[str, Any]:
        stop_together(None)
        return super().evaluate() or {}


def _run_model(
    detector: Detector, loader: Any, evaluators: list[DatasetEvaluator], progress: Progress | None
) -> Mapping[str, Mapping[str, float]]:
    # not detectron2's inference_on_dataset, which waits for a GPU that is there and failed where the CPU computes
    training, runner, together = detector.model.training, detector.runner, _Evaluators(evaluators)
    together.reset()
    try:
        with gpu_explained(), loaders_explained(), inference_context(runner), torch.no_grad():
            for done, inputs in enumerate(loader, start=1):
                together.process(inputs, runner(inputs))
                if progress:
                    progress(done, len(loader))
            figures = together.evaluate()
    except StoppedError:
        raise
    except ImageError as error:
        stop_together(error)
        raise
    finally:
        detector.model.train(training)  # detectron2 sets it back only where all goes well
    return figures


def _truth(dataset: str | Truth, limit: int | None) -> Truth:
    """The annotated objects of a data set; none of a registered one that has only panoptic labels."""
    if isinstance(dataset, Truth):
        truth = dataset
    elif has_instances(dataset):
        truth = read_truth(dataset)
    else:
        metadata = MetadataCatalog.get(dataset)
        records = DatasetCatalog.get(dataset)
        images = [{"id": record["image_id"], **record} for record in records]
        ids = {index: id_ for id_, index in metadata.thing_dataset_id_to_contiguous_id.items()}
        categories = [{"id": ids[index], "name": name} for index, name in enumerate(metadata.thing_classes)]
        truth = truth_from_coco({"images": images, "categories": categories, "annotations": []})
    return truth if limit is None else truth.of_images(truth.image_ids[:limit].tolist())


def _segment_evaluators(dataset: str, metadata: Any, scored: Scored) -> list[DatasetEvaluator]:
    evaluators: list[DatasetEvaluator] = []
    if scored.stuff and metadata.get("panoptic_json"):
        evaluators.append(PanopticEvaluator(dataset, scored.things, scored.stuff))
    if scored.stuff and metadata.get("sem_seg_root"):
        evaluators.append(SemanticEvaluator(dataset, scored.stuff))
    return evaluators


def metrics_as_dict(metrics: Metrics) -> dict[str, Any]:
    """Returns the figures as they stand in `metrics.json`."""
    return {"values": metrics.values, "images": metrics.images, **metrics.details}


def write_detections(run: Run, out: Path) -> None:
    """Writes a run's detections in COCO's results format, and the ids of the images that were evaluated."""
    write_json(coco_results(run), out / RESULTS_FILE)
    write_json(run.truth.image_ids.tolist(), out / IMAGES_FILE)


def _facts(detector: Detector, data: str | None) -> dict[str, Any]:
    """Says where a run comes from, as it stands in `run.json`."""
    return {
        **detector.origin,
        **data_facts(data),
        "run_on": detector.device.type,
        "inference": detector.inference,
        "detections_per_image": detection_limit(detector.model),
        "seed": detector.cfg.get("SEED"),  # of training; evaluation draws nothing
        **provenance(),
    }

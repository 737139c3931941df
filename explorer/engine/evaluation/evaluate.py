"""Evaluation of a detector on a registered data set: average precision, panoptic quality, mean IoU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_test_loader
from detectron2.evaluation import DatasetEvaluator, DatasetEvaluators, inference_on_dataset
from detectron2.utils import comm
from torch import nn
from torch.utils.data import DataLoader

from explorer.data.images import ImageError, read_image
from explorer.engine.artifacts import provenance, write_json
from explorer.engine.config_facts import Config, ModelInput, config_facts
from explorer.engine.detector import Detector
from explorer.engine.evaluation.coco import CocoEvaluator
from explorer.engine.evaluation.panoptic import PanopticEvaluator
from explorer.engine.evaluation.semantic import SemanticEvaluator
from explorer.types import Metrics
from explorer.zoo.downloads import sha256_of

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number in all."""
Sample = dict[str, Any]
"""One image in detectron2's data-set or model-input format."""


class ReadForTest:
    """Turns a data-set record into a model's input, reading images as prediction does.

    Picklable, so that data-loader processes can have it. The record's other entries stay, annotations
    excepted.
    """

    def __init__(self, model_input: ModelInput) -> None:
        self._model_input = model_input

    def __call__(self, record: Sample) -> Sample:
        """Returns detectron2's model input.

        Raises:
            ImageError: if the image cannot be read or has another size than its annotations say.
        """
        image = read_image(record["file_name"])
        declared = (record.get("height", image.shape[0]), record.get("width", image.shape[1]))
        if declared != image.shape[:2]:
            raise ImageError(
                f"{record['file_name']} has (height, width) {image.shape[:2]}, its annotations say {declared}. "
                "`explorer data check` lists all such images."
            )
        kept = {key: value for key, value in record.items() if key != "annotations"}
        return kept | self._model_input(image)


class Evaluators(DatasetEvaluators):
    """Several evaluators that score only where every process could read its images: figures on fewer are no figures."""

    def evaluate(self) -> dict[str, Any]:
        stop_together(None)
        return super().evaluate()  # type: ignore[no-any-return]


class _StoppedError(ImageError):
    """What all processes raise together."""


def stop_together(error: ImageError | None) -> None:
    """Tells the other processes what this one met; where any met something, all raise, so that none waits for ever.

    Raises:
        ImageError: the first process's own words.
    """
    # a loader process puts its traceback before the message
    words = str(error).rpartition("ImageError: ")[2].strip() if error else None
    for met in comm.all_gather(words):
        if met is not None:
            raise _StoppedError(f"the evaluation stops at an image that cannot be used: {met}") from error


def build_evaluator(cfg: Config, dataset: str, out: Path | None = None) -> DatasetEvaluators:
    """Builds what scores the model of `cfg` on a registered data set.

    Boxes and masks are scored where the data set has instances, panoptic segments and semantic classes
    where the model and the data set have them.

    Args:
        cfg: the model's config.
        dataset: a registered data set.
        out: folder for the detections, `coco_instances_results.json`, and `image_ids.json`.

    Raises:
        ValueError: if the data set has other classes, or nothing that the model could be scored on.
    """
    metadata, facts = MetadataCatalog.get(dataset), config_facts(cfg)
    if len(metadata.thing_classes) != facts.classes:
        raise ValueError(
            f"The model has {facts.classes} classes, data set {dataset!r} has {len(metadata.thing_classes)} "
            f"({', '.join(metadata.thing_classes[:5])}, …). Evaluate on data with the classes that it was trained on."
        )
    evaluators: list[DatasetEvaluator] = []
    if metadata.get("json_file"):
        evaluators.append(CocoEvaluator(dataset, out))
    if facts.stuff_classes:
        if metadata.get("panoptic_json"):
            evaluators.append(PanopticEvaluator(dataset))
        if metadata.get("sem_seg_root"):
            evaluators.append(SemanticEvaluator(dataset))
    if not evaluators:
        raise ValueError(f"Data set {dataset!r} has no annotations that this model could be scored on.")
    return Evaluators(evaluators)


def evaluation_loader(cfg: Config, dataset: str, limit: int | None = None) -> DataLoader[Any]:
    """Reads a registered data set image by image; several processes share the images.

    Args:
        cfg: the model's config.
        dataset: a registered data set.
        limit: read only this many images, the first ones.
    """
    facts = config_facts(cfg)
    records = DatasetCatalog.get(dataset)[:limit]
    if not records:
        raise ValueError(f"Data set {dataset!r} has no images to evaluate on.")
    loader: DataLoader[Any] = build_detection_test_loader(
        records, mapper=ReadForTest(facts.model_input), num_workers=min(facts.workers, len(records))
    )
    return loader


def evaluate(
    model: nn.Module,
    cfg: Config,
    dataset: str,
    *,
    out: Path | str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Metrics:
    """Runs a model over a data set and scores it.

    Several processes (`torch.distributed`) share the images; the main one returns what one process would
    have, the others figures without values.

    Args:
        model: a detectron2 model; its mode is left as it was.
        cfg: the config it was built from.
        dataset: a registered data set; see `explorer.data.coco.register_coco`.
        out: folder for the detections, `coco_instances_results.json`, and `image_ids.json`.
        limit: evaluate only on this many images, the first ones.
        progress: called after each image of this process.

    Raises:
        ImageError: an image or a label image cannot be read; in every process, whichever met it.
        ValueError: the data set does not fit the model, or has no images.
    """
    loader = evaluation_loader(cfg, dataset, limit)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, len(loader))

    evaluator = build_evaluator(cfg, dataset, Path(out) if out else None)
    training = model.training
    try:
        results = inference_on_dataset(model, loader, evaluator, callbacks={"after_inference": count})
    except _StoppedError:
        raise
    except ImageError as error:
        stop_together(error)
        raise
    finally:
        model.train(training)  # detectron2 sets it back only where all goes well
    return as_metrics(results, images=len(loader.dataset))  # type: ignore[arg-type]


def as_metrics(results: Mapping[str, Mapping[str, float]], images: int) -> Metrics:
    """Sorts detectron2's results into `Metrics`: `values` by task, and `AP-<class>` into `details["per_class"]`."""
    values: dict[str, dict[str, float]] = {}
    per_class: dict[str, dict[str, float]] = {}
    for task, figures in results.items():
        values[task] = {name: figure for name, figure in figures.items() if "-" not in name}
        per_class[task] = {name.partition("-")[2]: figure for name, figure in figures.items() if "-" in name}
    return Metrics(values, images, {"per_class": per_class})


def metrics_as_dict(metrics: Metrics) -> dict[str, Any]:
    """Returns the figures as they stand in `metrics.json`."""
    return {"values": metrics.values, "images": metrics.images, **metrics.details}


def write_run(
    out: Path,
    detector: Detector,
    data: str,
    metrics: Metrics,
    overrides: Sequence[str] = (),
    model: str | None = None,
) -> None:
    """Writes an evaluation's `metrics.json` and, saying where the figures come from, `run.json`.

    Args:
        out: the run's folder.
        detector: what was evaluated.
        data: the data as the user named it.
        metrics: the figures.
        overrides: the `KEY VALUE` pairs that changed its config.
        model: the zoo name or config file that it was built from; the detector's name where None.
    """
    write_json(out / "metrics.json", metrics_as_dict(metrics), indent=2)
    weights = detector.weights
    write_json(
        out / "run.json",
        {
            "model": detector.name,
            "config": model or detector.name,
            "weights": weights and {"path": weights, "sha256": sha256_of(weights)},
            "data": data,
            "images": metrics.images,
            "run_on": detector.device.type,
            "inference": detector.inference,
            "overrides": list(overrides),
            **provenance(),
        },
        indent=2,
    )

"""Run by `test_evaluate.py` in one process or several: evaluates "detections" that are disturbed ground truth.

Arguments: number of processes, folder for the figures, data sets.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm
from torch import nn

from explorer.config import load_config
from explorer.data.coco import register_coco
from explorer.data.panoptic import read_labels
from explorer.engine.building import detector_of
from explorer.engine.evaluation.evaluate import run_over, write_detections
from explorer.engine.training.launch import leave_group


class Perturbed(nn.Module):
    """Answers with what it knows to be there, moved a little; scores are rounded, so that many are equal."""

    def __init__(self, dataset: str) -> None:
        super().__init__()
        self.records = {record["image_id"]: record for record in DatasetCatalog.get(dataset)}
        self.nothing = nn.Parameter(torch.zeros(1))  # says which device it is on

    def forward(self, inputs: list[dict]) -> list[dict]:
        return [self.answer(self.records[item["image_id"]]) for item in inputs]

    def answer(self, record: dict) -> dict:
        rng = np.random.default_rng(record["image_id"])
        things = record["annotations"]
        boxes = np.array([a["bbox"] for a in things], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        boxes *= rng.normal(1, 0.03, boxes.shape)
        found = Instances((record["height"], record["width"]))
        found.pred_boxes = Boxes(torch.from_numpy(boxes).float())
        found.pred_classes = torch.tensor([a["category_id"] for a in things], dtype=torch.int64)
        found.scores = torch.from_numpy(rng.random(len(things)).round(1)).float()
        answer = {"instances": found}
        if "pan_seg_file_name" in record:
            ids = np.roll(read_labels(Path(record["pan_seg_file_name"])), rng.integers(-9, 10, 2), (0, 1))
            answer["panoptic_seg"] = (
                torch.from_numpy(ids),
                [s for s in record["segments_info"] if (ids == s["id"]).any()],
            )
        return answer


def figures(source: str, out: Path) -> dict[str, dict[str, float]]:
    """Evaluates on a data set and returns all figures by task; writes the detections to `out`."""
    dataset = register_coco(source)
    config = "panoptic_fpn_V_39_FPN_3x" if "panoptic" in source else "faster_rcnn_V_39_FPN_3x"
    cfg = load_config(config, ["DATALOADER.NUM_WORKERS", "0"])
    run = run_over(detector_of(cfg, Perturbed(dataset), "perturbed"), dataset)
    if not comm.is_main_process():
        assert not len(run.found)
        return {}
    write_detections(run, out)
    metrics = run.metrics
    return {task: {**values, **metrics.details["per_class"][task]} for task, values in metrics.values.items()}


def together(rank: int, processes: int, out: str, *sources: str) -> None:
    """Evaluates as one process of a group; the first writes the figures of each data set."""
    dist.init_process_group(
        "gloo",
        init_method=f"file://{out}/meeting",
        rank=rank,
        world_size=processes,
        timeout=timedelta(seconds=120),
    )
    for number, source in enumerate(sources):
        folder = Path(out) / str(number)
        found = figures(source, folder)
        if rank == 0:
            (folder / "figures.json").write_text(json.dumps(found))
        else:
            assert not found
    leave_group()


if __name__ == "__main__":
    processes, *rest = sys.argv[1:]  # forks, so that PyTorch and detectron2 are imported once
    torch.multiprocessing.start_processes(
        together, args=(int(processes), *rest), nprocs=int(processes), start_method="fork"
    )

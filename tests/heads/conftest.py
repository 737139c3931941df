"""What the release's arithmetic was recorded on."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from detectron2.structures import Boxes, Instances

from explorer.heads import DenseOutput


@pytest.fixture(scope="session")
def closed_form(shared):
    """Stand-ins for the outputs of the heads."""
    spec = importlib.util.spec_from_file_location("closed_form", shared / "golden/closed_form.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def arithmetic(shared):
    """What the release made of them."""
    return json.loads((shared / "golden/centermask_arithmetic.json").read_text())


@pytest.fixture
def dense(closed_form):
    """What a head says of two images of 256 by 320 pixels."""
    return DenseOutput(*closed_form.head_outputs())


@pytest.fixture
def gt_instances(arithmetic):
    """What is in these images."""
    found = []
    for size, objects in zip(arithmetic["image_sizes"], arithmetic["gt"], strict=True):
        instances = Instances(tuple(size))
        instances.gt_boxes = Boxes(torch.tensor(objects["boxes"]))
        instances.gt_classes = torch.tensor(objects["classes"])
        found.append(instances)
    return found

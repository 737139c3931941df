"""VoVNet Explorer: train VoVNet detectors, measure them, and look into what they see and miss.

The names below are looked up when they are first used (PEP 562), so that `import explorer` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.config import load_config
    from explorer.data.coco import register_coco
    from explorer.data.images import read_image
    from explorer.engine.detector import Detector, load_detector
    from explorer.engine.evaluate import evaluate
    from explorer.types import Detections, Metrics, Panoptic, Timing

__version__ = "0.1.0"

__all__ = [
    "Detections",
    "Detector",
    "Metrics",
    "Panoptic",
    "Timing",
    "__version__",
    "evaluate",
    "load_config",
    "load_detector",
    "read_image",
    "register_coco",
]

_HOMES = {
    "Detections": "explorer.types",
    "Detector": "explorer.engine.detector",
    "Metrics": "explorer.types",
    "Panoptic": "explorer.types",
    "Timing": "explorer.types",
    "evaluate": "explorer.engine.evaluate",
    "load_config": "explorer.config",
    "load_detector": "explorer.engine.detector",
    "read_image": "explorer.data.images",
    "register_coco": "explorer.data.coco",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

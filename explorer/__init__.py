"""VoVNet Explorer: train VoVNet detectors, measure them, and look into what they see and miss.

The names below are looked up when they are first used (PEP 562), so that `import explorer` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.autopsy.examine import autopsy
    from explorer.config import load_config
    from explorer.data.coco import register_coco
    from explorer.data.images import read_image
    from explorer.engine.detector import Detector
    from explorer.engine.evaluation.evaluate import evaluate
    from explorer.engine.loading import fast, load_backbone, load_detector
    from explorer.errors.bootstrap import bootstrap
    from explorer.errors.compare import compare
    from explorer.features.capture import feature_maps
    from explorer.features.hooks import FeatureRecorder
    from explorer.receptive_field.effective import effective_fields
    from explorer.receptive_field.theoretical import theoretical_fields
    from explorer.scoring.matching import match
    from explorer.scoring.outcomes import FoundRule
    from explorer.scoring.runs import load_run
    from explorer.types import Detections, Metrics, Panoptic, Timing

__version__ = "0.1.0"

__all__ = [
    "Detections",
    "Detector",
    "FeatureRecorder",
    "FoundRule",
    "Metrics",
    "Panoptic",
    "Timing",
    "__version__",
    "autopsy",
    "bootstrap",
    "compare",
    "effective_fields",
    "evaluate",
    "fast",
    "feature_maps",
    "load_backbone",
    "load_config",
    "load_detector",
    "load_run",
    "match",
    "read_image",
    "register_coco",
    "theoretical_fields",
]

_HOMES = {
    "Detections": "explorer.types",
    "Detector": "explorer.engine.detector",
    "FeatureRecorder": "explorer.features.hooks",
    "FoundRule": "explorer.scoring.outcomes",
    "Metrics": "explorer.types",
    "Panoptic": "explorer.types",
    "Timing": "explorer.types",
    "bootstrap": "explorer.errors.bootstrap",
    "compare": "explorer.errors.compare",
    "effective_fields": "explorer.receptive_field.effective",
    "evaluate": "explorer.engine.evaluation.evaluate",
    "fast": "explorer.engine.loading",
    "feature_maps": "explorer.features.capture",
    "load_backbone": "explorer.engine.loading",
    "load_config": "explorer.config",
    "load_detector": "explorer.engine.loading",
    "load_run": "explorer.scoring.runs",
    "match": "explorer.scoring.matching",
    "read_image": "explorer.data.images",
    "register_coco": "explorer.data.coco",
    "theoretical_fields": "explorer.receptive_field.theoretical",
}


def __getattr__(name: str) -> Any:
    if name == "autopsy":  # a package that can be called
        return import_module("explorer.autopsy")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

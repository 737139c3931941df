"""The models that a page offers, and those that it has loaded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.ui.actions.progress import Counter
from explorer.zoo.registry import ZooEntry, entries

if TYPE_CHECKING:  # torch and detectron2 load with the first photo, so that the page opens at once
    from explorer.engine.detector import Detector

LOWEST_SCORE = 0.05
"""Detectors report objects down to this score; the threshold on the page filters what they reported."""
MEMORY_MB = 2000
MOST_MODELS = 4
"""At most so many models are compared at once."""


@dataclass(frozen=True)
class ModelChoice:
    """A model that can be asked for, and what to call it in a list."""

    name: str
    label: str
    ready: bool


def model_choices(extra: Sequence[str] = ()) -> list[ModelChoice]:
    """Lists models: bundled ones, `extra` config files or names, those on this machine, those that would be downloaded.

    Entries that are no detectors, such as ImageNet weights, are left out.
    """
    detectors = [entry for entry in entries() if entry.config]
    known = [ModelChoice(entry.name, label_of(entry), entry.status != "download") for entry in detectors]
    own = [ModelChoice(name, f"{name} · given at start", True) for name in extra]
    bundled = [choice for choice, entry in zip(known, detectors, strict=True) if entry.status == "bundled"]
    cached = [choice for choice, entry in zip(known, detectors, strict=True) if entry.status == "cached"]
    return [*bundled, *own, *cached, *(choice for choice in known if not choice.ready)]


def chosen(names: Sequence[str]) -> list[str]:
    """Returns the models chosen, each once.

    Raises:
        ValueError: there is none, or there are too many.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        raise ValueError("Choose at least one model.")
    if len(wanted) > MOST_MODELS:
        raise ValueError(f"{len(wanted)} models are chosen; at most {MOST_MODELS} are compared at once.")
    return wanted


def label_of(entry: ZooEntry) -> str:
    """Says where a model is, how large it is and under which licence its weights are."""
    if entry.status == "download":
        size_mb = 4 * (entry.params_m or 0)  # 32 bits a parameter
        where = f"downloads about {size_mb:.0f} MB" if size_mb else "downloads"
    else:
        where = f"{entry.status}, {entry.size_mb:.0f} MB"
    return f"{entry.name} · {where} · {entry.licence}"


class Models:
    """Detectors by name, loaded when first asked for; the least recently used go when they take too much memory."""

    def __init__(self, memory_mb: float = MEMORY_MB, extra: Sequence[str] = ()) -> None:
        """Takes what may be loaded.

        Args:
            memory_mb: what the weights of all loaded models may take; one model is always kept.
            extra: config files or names that may be loaded beside the zoo's.
        """
        self._memory_mb = memory_mb
        self._known = {entry.name for entry in entries() if entry.config} | set(extra)
        self._loaded: OrderedDict[str, Detector] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def get(self, name: str, progress: Counter | None = None) -> Detector:
        """Returns a detector that reports objects from `LOWEST_SCORE` up.

        Only names of the zoo and those given at start are taken: a browser can name no file.

        Args:
            name: of the model.
            progress: called with bytes done and bytes in all while its weights are downloaded.

        Raises:
            ValueError: the model is unknown or its weights cannot be used.
            DownloadError: its weights cannot be had.
        """
        if name not in self._known:
            raise ValueError(f"There is no model {name!r} in the list; the list is what can be used here.")
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:  # who waits for a download keeps nobody from another model
            return self._keep(name, self._loaded.get(name) or self._load(name, progress))

    def _load(self, name: str, progress: Counter | None) -> Detector:
        from explorer.engine.loading import load_detector

        # not OpenVINO, whose models would stay in memory when they are evicted here
        return load_detector(name, lowest_score=LOWEST_SCORE, engine="torch", progress=progress)

    def _keep(self, name: str, detector: Detector) -> Detector:
        with self._lock:
            self._loaded[name] = detector
            self._loaded.move_to_end(name)
            while len(self._loaded) > 1 and sum(map(memory_mb, self._loaded.values())) > self._memory_mb:
                self._loaded.popitem(last=False)
        return detector

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models in memory, the least recently used first."""
        return tuple(self._loaded)


def memory_mb(detector: Detector) -> float:
    """What a detector's weights take, in megabytes."""
    tensors = [*detector.model.parameters(), *detector.model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6

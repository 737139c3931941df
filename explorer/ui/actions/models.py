"""The models that a page offers, and those that it has loaded."""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from explorer.scoring.protocols import COCO, Protocol
from explorer.text import legible
from explorer.types import PARTIAL, RANDOM, Progress
from explorer.ui.actions.number_format import engine_of
from explorer.zoo.registry import REFUSED, ZooEntry, entries

if TYPE_CHECKING:  # torch and detectron2 load with the first photo, so that the page opens at once
    from explorer.engine.detector import Detector
    from explorer.ui.actions.dataset import DataSet

LOWEST_SCORE = 0.05
"""Detectors report objects down to this score; the threshold on the page filters what they reported."""
MEMORY_MB = 800
"""What loaded models take unless told otherwise; the page stays below 2.5 GB with it (docs/results/speed-cpu.md)."""
_OPENVINO_MAPS_MB = 200
"""What OpenVINO keeps of a photo's maps until the next one: 100 for the demo models, up to 800 in float32 at 800 px."""
MOST_MODELS = 4
"""At most so many models are compared at once."""


_READY = ("bundled", "cached")
_WARM_SIZE = (480, 640)
_NEARNESS = {"bundled": 0, "cached": 1, REFUSED: 3}
GENERATED = "generated aerial scenes"
_DATA = {"aerial": GENERATED, "aerial-real": "real aerial photographs", "bccd": "blood cells"}
"""What is trained on, by the folder of the config."""


@dataclass(frozen=True)
class ModelChoice:
    """A model that can be asked for, and what to call it in a list.

    Attributes:
        name: of the model.
        label: its name and what it was trained on.
        ready: whether it can be used without a download.
        facts: in small print: what it was trained on, where its weights are, their licence.
    """

    name: str
    label: str
    ready: bool
    facts: str = ""


def model_choices(own: Sequence[ModelChoice] = ()) -> list[ModelChoice]:
    """Lists models: `own` first, then the zoo's by what they were trained on, those that can be had first.

    Entries that are no detectors, such as ImageNet weights, are left out.
    """
    names = {choice.name for choice in own}
    detectors = [entry for entry in entries() if entry.config and entry.name not in names]
    groups = list(dict.fromkeys(trained_on(entry) for entry in detectors))
    detectors.sort(key=lambda entry: (groups.index(trained_on(entry)), _NEARNESS.get(entry.status, 2)))
    return [*own, *(_choice(entry) for entry in detectors)]


def trained_on(entry: ZooEntry) -> str:
    """Says what a model of the zoo was trained on."""
    folder, _, file = (entry.config or "").rpartition("/")
    return _DATA.get(folder, folder) if file and folder else "COCO"


def _choice(entry: ZooEntry) -> ModelChoice:
    facts = f"trained on {trained_on(entry)}; {_where(entry)}; licence of the weights: {entry.licence}"
    return ModelChoice(entry.name, f"{entry.name} · {trained_on(entry)}", entry.status in _READY, facts)


def own_choice(model: str, weights: str | None = None) -> ModelChoice:
    """Looks up a model that is given beside the zoo's; its label says which weights it has.

    Args:
        model: what `load_detector` takes.
        weights: a checkpoint instead of its own.

    Raises:
        ValueError: there is no such model, or it has no checkpoint.
    """
    from explorer.zoo.downloads import DownloadError
    from explorer.zoo.resolve import resolve

    try:
        found = resolve(model, weights=weights, offline=True)
    except DownloadError:
        return ModelChoice(
            model,
            f"{legible(model)} · from the command line, downloads",
            False,
            "given on the command line; downloads",
        )
    weights_name = legible(found.weights.name) if found.weights else RANDOM
    facts = f"given on the command line; weights: {weights_name}"
    return ModelChoice(model, f"{legible(model)} · from the command line, {weights_name}", True, facts)


def results_choices(data: DataSet | None) -> list[ModelChoice]:
    """Lists files of other detectors' results on a data set."""
    if data is None:
        return []
    facts = f"another detector's results, shown on photos of {data.name}; no network"
    return [ModelChoice(name, f"{legible(name)} · results from a file", True, facts) for name in data.runs]


def uploaded_pair(files: Sequence[str | Path] | None) -> tuple[Path, Path]:
    """Returns checkpoint and config of a model that a browser handed over.

    Both are read as data. The config stands alone: it may name no file and no address for others to be read from.

    Raises:
        ValueError: these are not one checkpoint and one config, or the config asks for more.
    """
    from explorer.zoo.lazy_runs import read_dump

    paths = [Path(file) for file in files or ()]
    configs = [path for path in paths if path.suffix.lower() in {".yaml", ".yml"}]
    checkpoints = [path for path in paths if path not in configs]
    if len(configs) != 1 or len(checkpoints) != 1:
        raise ValueError(
            "Upload two files: a checkpoint (such as model_best.pth) and the config.yaml that training saved beside it."
        )
    try:
        tree = read_dump(configs[0])
    except ValueError:  # its words name the server's folder
        tree = None
    if not isinstance(tree, dict):
        raise ValueError(f"{configs[0].name} is not a config; upload the config.yaml that training saved.")
    if "_BASE_" in tree:
        raise ValueError(
            f"{configs[0].name} builds on another file ({tree['_BASE_']}), which is not loaded here; upload the "
            "config.yaml that training saved, which is complete."
        )
    return checkpoints[0], configs[0]


def chosen(names: Sequence[str]) -> list[str]:
    """Returns the models chosen, each once.

    Raises:
        ValueError: there is none, or there are too many.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        raise ValueError("Choose at least one model.")
    if len(wanted) > MOST_MODELS:
        raise ValueError(f"{len(wanted)} models are selected, but at most {MOST_MODELS} can be compared at once.")
    return wanted


def _where(entry: ZooEntry) -> str:
    """Says where a model's weights are and how large they are."""
    if entry.status in _READY:
        return f"{entry.status}, {entry.size_mb:.0f} MB"
    if entry.status == REFUSED:
        return f"cannot be downloaded, {REFUSED}"
    size_mb = 4 * (entry.params_m or 0)  # 32 bits a parameter
    return f"downloads about {size_mb:.0f} MB" if size_mb else "downloads"


class Models:
    """A cache of detectors by name, loaded on first use; the least recently used ones are evicted."""

    def __init__(
        self,
        memory_mb: float = MEMORY_MB,
        extra: Sequence[str] = (),
        weights: str | Path | None = None,
        *,
        lowest_score: float | None = LOWEST_SCORE,
        warm: bool = True,
        data: DataSet | None = None,
        protocol: Protocol = COCO,
        inference: Mapping[str, Any] | None = None,
        beside: Models | None = None,
    ) -> None:
        """Takes what may be loaded.

        Args:
            memory_mb: what all loaded models may take (see `memory_mb`); one is always kept.
            extra: models that may be loaded beside the zoo's, as `load_detector` takes them.
            weights: a checkpoint for those, instead of their own.
            lowest_score: from which score detectors report objects; None for each one's own threshold.
            warm: run each once when it is loaded: a first run takes several times as long as those that follow, and
                would be taken for the model's time.
            data: annotated photos, with other detectors' results on them, which can be chosen beside models.
            protocol: whose sizes, IoU thresholds and limits are gone by; with data, it is that of the data.
            inference: how models are run, as `load_detector` takes it: `exact`, `dtype`, `calibrate`, `emulate`; in
                float32 by torch where it is not given.
            beside: those that load and keep the weights, which are then in memory once for both; with it, `memory_mb`,
                `extra`, `weights` and `inference` are theirs, and thresholds and hooks of a model are not.
        """
        self.data = data
        self.protocol = data.protocol if data else protocol
        self._warm = warm
        self._lowest_score = lowest_score
        self._memory_mb = memory_mb
        self._inference = dict(inference or {})
        self._known: dict[str, dict[str, Any]] = {entry.name: {} for entry in entries() if entry.config}
        self._known |= {model: {"weights": weights} if weights else {} for model in extra}
        if beside:
            self._known = beside._known
        self._beside = beside
        self._loaded: OrderedDict[str, Detector] = OrderedDict()
        self._twins: WeakKeyDictionary[Detector, Detector] = WeakKeyDictionary()  # gone with those whose weights it has
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def add(self, name: str, checkpoint: Path, config: Path) -> None:
        """Lets a model be loaded that was handed over."""
        self._known[name] = {"model": checkpoint, "config_file": config}

    def remove(self, name: str) -> None:
        """Forgets a model that was handed over."""
        with self._lock:
            self._known.pop(name, None)
            self._loaded.pop(name, None)
            self._loading.pop(name, None)

    def get(self, name: str, progress: Progress | None = None, device: str = "auto") -> Detector:
        """Returns a detector, which reports objects from `lowest_score` up.

        Only names of the zoo, those given at start and those of models that were handed over are taken: a browser can
        name no file.

        Args:
            name: of the model, or of the detector that was returned for it: that is the model's, followed by what is to
                be known of its weights.
            progress: called with bytes done and bytes in all while its weights are downloaded.
            device: `auto`, or `cpu`, where the model stays then.

        Raises:
            ValueError: the model is unknown or its weights cannot be used.
            DownloadError: its weights cannot be downloaded.
        """
        if self.is_file(name):
            raise ValueError(
                f"{name} is a file of results, without the network that they come from; choose a model to look into."
            )
        if name not in self._known:
            name = name.removesuffix(f" ({RANDOM})").removesuffix(f" ({PARTIAL})")
        if name not in self._known:
            raise ValueError(f"There is no model {name!r} in the list; choose one of the listed models.")
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:  # who waits for a download keeps nobody from another model
            if self._beside:
                return self._twin(self._beside.get(name, progress, device))
            loaded = self._loaded.get(name)
            if loaded is None or not _computes(loaded, device):
                loaded = self._keep(name, self._load(name, progress, device))
                _give_back()
                self._warm_up(loaded)
                _give_back()
                return loaded
            return self._keep(name, loaded)

    def _twin(self, own: Detector) -> Detector:
        from explorer.engine.loading import report_from, twin

        if own not in self._twins:
            self._warm_up(own)
            other = twin(own)
            if self._lowest_score is not None:
                report_from(other.model, self._lowest_score)
            self._twins[own] = other
        return self._twins[own]

    def _load(self, name: str, progress: Progress | None, device: str) -> Detector:
        from explorer.engine.loading import load_detector

        options: dict[str, Any] = {"model": name, "device": device, "engine": engine_of(self._inference, device)}
        options |= self._inference | self._known[name]
        detector = load_detector(**options, lowest_score=self._lowest_score, progress=progress)
        title = f"{name} ({detector.caveat})" if detector.caveat else name
        return detector if detector.name == title else replace(detector, name=title)  # names in the list are unique

    def _warm_up(self, detector: Detector) -> None:
        if self._warm:
            with suppress(ValueError):  # a backbone alone finds nothing
                detector.detect(np.full((*_WARM_SIZE, 3), 128, np.uint8))

    def _keep(self, name: str, detector: Detector) -> Detector:
        with self._lock:
            self._loaded[name] = detector
            self._loaded.move_to_end(name)
            while len(self._loaded) > 1 and sum(map(memory_mb, self._loaded.values())) > self._memory_mb:
                self._loaded.popitem(last=False)
        return detector

    def is_file(self, name: str) -> bool:
        """Tells whether a name is that of a file of results."""
        return self.data is not None and name in self.data.runs

    def networks(self, names: Sequence[str]) -> list[str]:
        """Returns those chosen that can be looked into, each once: files of results are left out.

        Raises:
            ValueError: nothing is chosen, or too much, or files alone.
        """
        wanted = chosen(names)
        own = [name for name in wanted if not self.is_file(name)]
        return own or [self.get(name).name for name in wanted]  # which says why it cannot be

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models in memory, the least recently used first."""
        return self._beside.loaded if self._beside else tuple(self._loaded)


def _computes(detector: Detector, device: str) -> bool:
    """Whether a detector is on a device that is asked for, and its GPU, if it has one, has not failed since."""
    from explorer.engine.devices import failure_of

    own = detector.device.type
    return own == "cpu" or (device == "auto" and not failure_of(own))


def _give_back() -> None:
    """Returns to the system what was freed, as far as the C library keeps it for later."""
    with suppress(OSError, AttributeError):  # glibc alone does
        ctypes.CDLL(None).malloc_trim(0)


def memory_mb(detector: Detector) -> float:
    """What a detector takes, in megabytes: its weights, those of its fast way beside them, and what OpenVINO keeps."""
    tensors = [*detector.model.parameters(), *detector.model.buffers()]
    copies, maps = 1 if detector.fast is None else 2, 0
    if detector.fast is not None and detector.fast.chosen.engine == "openvino":
        maps = _OPENVINO_MAPS_MB
    return maps + copies * sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6

"""A detector ready for use: photographs in, detections in the frame of the original image out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explorer.backbones import BackboneOnly
from explorer.data.images import read_image
from explorer.engine.config_facts import Config, ModelInput, config_facts, config_sha256
from explorer.engine.devices import gpu_explained, seconds_now
from explorer.engine.prediction import Prediction, to_detections, to_panoptic
from explorer.engine.tiles import TiledModel
from explorer.engine.windows import OVERLAP, Cut, Tiles
from explorer.text import legible
from explorer.types import Pixels, Timing, extension
from explorer.zoo.downloads import sha256_of

if TYPE_CHECKING:
    from explorer.engine.fast.model import FastModel
    from explorer.scoring.columns import Run


@dataclass(frozen=True, eq=False, repr=False)
class Detector:
    """A model in evaluation mode, together with its preprocessing, class names and origin.

    Attributes:
        model: a detectron2 model.
        cfg: the config it was built from.
        name: display name: the zoo name, or the config's file name without its suffix.
        model_input: preprocessing of images: resizing and channel order.
        class_names: names by class index.
        stuff_class_names: names by semantic index; index 0 is detectron2's "things". Empty unless panoptic.
        weights: the checkpoint file; None for random weights.
        caveat: "random weights", "partial weights" or empty; shown wherever the detector's results are shown.
        remarks: sentences about the weights for the user, such as which checkpoint of a training run was loaded.
        fast: the optimised model that `detect` runs; None to run `model` itself.
        source: the argument it was loaded with, a zoo name or a path; empty if it was built in another way.
        overrides: the `KEY VALUE` pairs that changed its config.
        cut: how large photographs are cut into tiles; None if every photograph is processed as a whole.
    """

    model: nn.Module
    cfg: Config
    name: str
    model_input: ModelInput
    class_names: tuple[str, ...]
    stuff_class_names: tuple[str, ...] = ()
    weights: Path | None = None
    caveat: str = ""
    remarks: tuple[str, ...] = ()
    fast: FastModel | None = None
    source: str = ""
    overrides: tuple[str, ...] = ()
    cut: Cut | None = None

    def __repr__(self) -> str:
        kind, classes = type(self.model).__name__, len(self.class_names)
        return f"<Detector: {legible(self.name)}, {kind} with {classes} classes on {self.device}>"

    @classmethod
    def from_pretrained(cls, model: str | Path, **options: Any) -> Detector:
        """Loads a detector that was passed on.

        Args:
            model: a repository of the Hugging Face Hub, `user/name` or `user/name@revision`; a folder with such files;
                or anything else that `load_detector` takes. Nothing in it is run as code.
            options: those of `load_detector`.

        Raises:
            DownloadError: the repository cannot be reached or read; the message says why, in one line.
            ValueError: it holds no such model, or huggingface_hub is not installed.
        """
        return extension("hub").from_pretrained(model, **options)  # type: ignore[no-any-return]

    def save_pretrained(
        self, folder: str | Path, *, licence: str | None = None, runs: Sequence[Run | str | Path] = (), note: str = ""
    ) -> Path:
        """Writes `config.yaml`, `model.safetensors` and a card (`README.md`) into a folder, which then is a MODEL.

        The config names no file of this machine. The card says the licence, the classes, what is known of the training
        and the figures with their intervals.

        Args:
            folder: made where missing.
            licence: of the weights; None for that of the zoo's own.
            runs: evaluations of this detector, for the card's figures: `Run`, or folders of `explorer evaluate --out`.
            note: what else the card should say.

        Raises:
            ValueError: weights are random, the config is code, the licence is not known, or a run is of other weights.
        """
        return extension("hub").save_pretrained(self, folder, licence=licence, runs=runs, note=note)  # type: ignore[no-any-return]

    def push_to_hub(
        self,
        repository: str,
        *,
        licence: str | None = None,
        runs: Sequence[Run | str | Path] = (),
        note: str = "",
        private: bool = False,
    ) -> str:
        """Puts what `save_pretrained` writes into a repository of the Hugging Face Hub, made where missing.

        Args:
            repository: `user/name`.
            licence: see `save_pretrained`, as `runs` and `note`.
            runs: evaluations of this detector.
            note: what else the card should say.
            private: whether a new repository is private.

        Returns:
            Its address.

        Raises:
            DownloadError: the hub refuses, or cannot be reached.
            ValueError: as of `save_pretrained`; or nobody is logged in, or huggingface_hub is not installed.
        """
        options: dict[str, Any] = {"licence": licence, "runs": runs, "note": note}
        return extension("hub").push_to_hub(self, repository, private=private, **options)  # type: ignore[no-any-return]

    @property
    def runner(self) -> nn.Module:
        """What to run on inputs as `reads` gives them: the fast way where there is one, else the model."""
        whole = self.model if self.fast is None else self.fast
        return whole if self.cut is None else TiledModel(whole, self.model_input, self.cut)

    @property
    def reads(self) -> ModelInput:
        """How photographs become inputs of `runner`, which resizes the tiles itself where there are any."""
        return self.model_input if self.cut is None else replace(self.model_input, min_size=0, zoom=1.0)

    @property
    def finds_objects(self) -> bool:
        """Whether it is a whole detector, and not a backbone alone."""
        return not isinstance(self.model, BackboneOnly)

    def check_finds_objects(self) -> None:
        """Refuses a backbone alone.

        Raises:
            ValueError: it is one; the message says what takes it.
        """
        if not self.finds_objects:
            raise ValueError(
                f"{self.name} is a backbone without a detector and finds no objects: give it to explorer features, "
                "receptive-field, export or benchmark --stage backbone, or a detector with these weights instead."
            )

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Says which model this is, its config and where its weights are from, for files that hold its results."""
        said = {
            "model": self.name,
            "config": self.source or self.name,
            "config_sha256": config_sha256(self.cfg),
            "overrides": list(self.overrides),
            "weights": self.weights and {"path": str(self.weights), "sha256": sha256_of(self.weights)},
        }
        return said | ({"note": self.caveat} if self.caveat else {})

    @property
    def inference(self) -> dict[str, Any]:
        """Says how `runner` computes, for files that hold its results."""
        # none, where the config asks for some, is worth a word too
        tiles = {"tiles": self.cut and asdict(self.cut)} if self.cut or config_facts(self.cfg).cut else {}
        if self.fast is None:
            return {"engine": "exact", "dtype": "float32", **tiles}
        plan = self.fast.plan
        return {"engine": plan.engine, "dtype": str(plan.dtype).removeprefix("torch."), **tiles}

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def with_renamed(self, renamed: Mapping[str, str]) -> Detector:
        """Returns the detector with other names for its classes, new name by old name."""
        return replace(self, class_names=tuple(renamed.get(name, name) for name in self.class_names))

    def with_tiles(self, size: int, overlap: float = OVERLAP) -> Detector:
        """Returns the detector for large photographs, which it looks at in overlapping tiles and as a whole.

        Args:
            size: length of a tile's side in pixels of the photograph; 0 looks at photographs as a whole only.
            overlap: share of a side that neighbours have in common, at least.

        Raises:
            ValueError: the size is below 32 and not 0, or the overlap is not in [0, 0.9].
        """
        return replace(self, cut=Tiles(size, overlap) if size else None)

    @gpu_explained()
    def detect(self, image: Pixels | str | Path) -> Prediction:
        """Finds objects in one image.

        Args:
            image: an image file, or `(height, width, 3)` uint8, BGR, upright, as `explorer.read_image` gives it.

        Raises:
            ValueError: if the image has another shape or type, or this is a backbone alone.
            ImageError: the file cannot be read.
            DeviceError: the GPU fails.
        """
        self.check_finds_objects()
        file = None if isinstance(image, np.ndarray) else Path(image)
        image_bgr = image if isinstance(image, np.ndarray) else read_image(image)
        if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8 or not image_bgr.size:
            raise ValueError(
                f"Got an image of shape {image_bgr.shape} and type {image_bgr.dtype}; expected "
                "(height, width, 3) uint8 in BGR, or an image file. Read image files with explorer.read_image."
            )
        clock = _Stopwatch(self.device)
        model_input = self.reads(image_bgr)
        clock.lap("preprocess")
        with torch.no_grad():
            output = self.runner([model_input])[0]
        clock.lap("model")
        detections = replace(to_detections(output["instances"], self.class_names), file=file)
        panoptic = None
        if "panoptic_seg" in output:
            segment_ids, segments = output["panoptic_seg"]
            panoptic = to_panoptic(segment_ids, segments, self.class_names, self.stuff_class_names)
        clock.lap("postprocess")
        return Prediction(detections, panoptic, Timing(clock.stages_s))


class _Stopwatch:
    """Wall-clock seconds by stage, on a GPU too."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.stages_s: dict[str, float] = {}
        self._last = seconds_now(device)

    def lap(self, stage: str) -> None:
        now = seconds_now(self._device)
        self.stages_s[stage] = now - self._last
        self._last = now

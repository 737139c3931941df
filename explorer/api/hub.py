"""Detectors saved to be passed on: in a folder, or in a repository of the Hugging Face Hub, with their card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from explorer.api.evaluate import load_run
from explorer.engine.config_facts import config_facts
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.engine.pretrained import write_pretrained
from explorer.report.card import HubCard, measured
from explorer.scoring.columns import Run
from explorer.text import legible
from explorer.writing import alone_in, replacing
from explorer.zoo import registry
from explorer.zoo.cards import Measured
from explorer.zoo.downloads import sha256_of
from explorer.zoo.downloads.hub import PREFIX, upload_folder
from explorer.zoo.registry import ZooEntry
from explorer.zoo.trained import CARD

_ELSEWHERE = ("MODEL.WEIGHTS", "MODEL.DEVICE")
"""Keys of a config that are no setting of how a model looks at photographs."""


def from_pretrained(model: str | Path, **options: Any) -> Detector:
    """See `Detector.from_pretrained`."""
    named = str(model)
    known = named.startswith(PREFIX) or named in {entry.name for entry in registry.entries()}
    return load_detector(model if known or Path(model).expanduser().exists() else f"{PREFIX}{named}", **options)


def save_pretrained(detector: Detector, folder: str | Path, **options: Any) -> Path:
    """See `Detector.save_pretrained`."""
    folder = Path(folder).expanduser()
    card = card_of(detector, options.pop("repository", folder.name), **options)
    with alone_in(folder):
        write_pretrained(detector, folder)
        with replacing(folder / CARD) as scratch:
            scratch.write_text(card.as_markdown(), encoding="utf-8")
    return folder


def push_to_hub(detector: Detector, repository: str, *, private: bool = False, **options: Any) -> str:
    """See `Detector.push_to_hub`."""
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(detector, folder, repository=repository, **options)
        return upload_folder(Path(folder), repository, message=f"Add {legible(detector.name)}", private=private)


def card_of(
    detector: Detector,
    repository: str,
    *,
    licence: str | None = None,
    runs: Sequence[Run | str | Path] = (),
    note: str = "",
) -> HubCard:
    """Makes a detector's card of what the zoo, its config and runs say of it.

    Args:
        detector: to be passed on.
        repository: where it will be.
        licence: of its weights; None for the zoo's.
        runs: evaluations of it, `Run` or folder, whose figures are to stand in the card; without any, the zoo's.
        note: what else its readers have to know.

    Raises:
        ValueError: the licence is not known, or a run is of other weights.
    """
    entry = _entry_of(detector)
    licence = licence or (entry.licence if entry else None)
    if not licence:
        raise ValueError(
            f"The licence of {detector.name}'s weights is not known: name it, as in --licence Apache-2.0 or "
            'licence="Apache-2.0". Weights that were fine-tuned keep the licence of those they started from.'
        )
    own = [_measured(detector, load_run(run) if isinstance(run, (str, Path)) else run) for run in runs]
    card = entry.card if entry else None
    return HubCard(
        name=detector.name,
        repository=repository,
        licence=licence,
        classes=detector.class_names,
        backbone=entry.backbone if entry else _backbone(detector),
        task="image-segmentation" if _has_masks(detector) else "object-detection",
        training=(card.training if card else "") if entry else _training(detector),
        note=" ".join(filter(None, (entry.note if entry else "", note))),
        sources=entry.weights if entry else (),
        measured=own or ([card.measured] if card and _is_as_shipped(detector) else []),
    )


def _entry_of(detector: Detector) -> ZooEntry | None:
    """The zoo's entry whose weights a detector has."""
    return next((entry for entry in registry.detectors() if entry.path == detector.weights), None)


def _measured(detector: Detector, run: Run) -> Measured:
    weights = run.facts.get("weights") or {}
    if not detector.weights or weights.get("sha256") != sha256_of(detector.weights):
        raise ValueError(
            f"The run {run.name} does not say that it was made with these weights ({detector.weights}): evaluate the "
            "model again, as in explorer evaluate MODEL --data DATA --out FOLDER."
        )
    then = _settings(run.facts.get("overrides") or (), (run.facts.get("inference") or {}).get("tiles"))
    if then != (now := _settings(detector.overrides, _tiles(detector))):
        raise ValueError(
            f"The run {run.name} was made with {_said(*then)}, and {detector.name} is passed on with {_said(*now)}: "
            "evaluate the model as it is passed on."
        )
    return measured(run, Path(str(run.facts.get("data") or run.name)).name)


def _is_as_shipped(detector: Detector) -> bool:
    """Whether a model of the zoo runs as its card's figures were measured."""
    changed = any(not key.startswith(_ELSEWHERE) for key in detector.overrides[::2])
    return not changed and detector.cut == config_facts(detector.cfg).cut


def _tiles(detector: Detector) -> Mapping[str, Any] | None:
    return None if detector.cut is None else asdict(detector.cut)


def _settings(
    overrides: Sequence[str], tiles: Mapping[str, Any] | None
) -> tuple[dict[str, str], Mapping[str, Any] | None]:
    """What changes a model's figures beside its weights: overrides of its config, and how it cuts photographs."""
    keys = dict(zip(map(str, overrides[::2]), map(str, overrides[1::2]), strict=False))
    apart = (*_ELSEWHERE, "TEST.TILES.")  # the tiles say it
    return {key: value for key, value in keys.items() if not key.startswith(apart)}, tiles


def _said(overrides: Mapping[str, str], tiles: Mapping[str, Any] | None) -> str:
    keys = [f"{key} {value}" for key, value in overrides.items()]
    return ", ".join([*keys, *([f"tiles of {tiles.get('size')} px"] if tiles else [])]) or "its config as it is"


def _backbone(detector: Detector) -> str:
    model = detector.cfg.MODEL
    return str(model.VOVNET.CONV_BODY if "vovnet" in model.BACKBONE.NAME else model.BACKBONE.NAME)


def _has_masks(detector: Detector) -> bool:
    return bool(detector.stuff_class_names or detector.cfg.MODEL.MASK_ON)


def _training(detector: Detector) -> str:
    """What a run's config says of its training; a config without data sets says nothing."""
    cfg = detector.cfg
    names = " and ".join(Path(name).name for name in cfg.DATASETS.TRAIN)
    return f"{cfg.SOLVER.MAX_ITER:,} iterations of {cfg.SOLVER.IMS_PER_BATCH} images of {names}" if names else ""

"""A MODEL argument turned into a configuration and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.types import Progress
from explorer.zoo import registry
from explorer.zoo.bare import CONFIG as BARE_CONFIG
from explorer.zoo.bare import Bare, find_bare, needs
from explorer.zoo.downloads import DownloadError, adopt, fetch, offline_wanted
from explorer.zoo.downloads.hub import fetch_repository, repository_of
from explorer.zoo.downloads.mirrors import mirror
from explorer.zoo.refusals import refusal
from explorer.zoo.registry import ZooEntry
from explorer.zoo.trained import CONFIG, SAVED, LoadArguments, Trained, find_recipe, find_trained

if TYPE_CHECKING:
    from detectron2.config import CfgNode
    from omegaconf import DictConfig


_IMAGE_KEYS = ("INPUT.FORMAT", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD")
_DETECTRON2_DOWNLOADS = "https://dl.fbaipublicfiles.com/detectron2/"


@dataclass(frozen=True)
class Resolved:
    """What a MODEL argument stands for.

    Attributes:
        cfg: the configuration, not frozen, with what the weights need (pixel mean, channel order) and the overrides;
            a LazyConfig where MODEL is a `.py` file, or was trained from one.
        weights: the file on this machine, or None: a configuration without weights.
        name: the zoo's name, the run's folder, or the configuration's stem.
        entry: the zoo's entry, if MODEL names one.
        config: the file that the configuration was read from.
        remark: which checkpoint of a training run was taken, and why; of a bare backbone, that it is not known which
            images it takes; empty for anything else.
    """

    cfg: CfgNode | DictConfig
    weights: Path | None
    name: str
    entry: ZooEntry | None
    config: Path
    remark: str = ""


def resolve(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    config_file: str | Path | None = None,
    overrides: Sequence[str] = (),
    offline: bool = False,
    progress: Progress | None = None,
) -> Resolved:
    """Finds the configuration and the weights of MODEL, downloading the weights if they are not on this machine.

    Args:
        model: a name of the zoo; a configuration file, or a shipped configuration's name; the folder of a training run
            or the `config.yaml` in it, which mean the run's best checkpoint, else its final one, else its last; a
            checkpoint file; `hf-hub:user/name`, a repository that `explorer zoo push` made; or the folder of an
            evaluation, which means the model that was evaluated. A `.py` file is a LazyConfig: detectron2 runs it as
            the Python code that it is.
        weights: what `find_weights` takes, instead of those that MODEL has of its own. So do `MODEL.WEIGHTS` or, in a
            LazyConfig, `train.init_checkpoint` among the overrides.
        config_file: the configuration of a checkpoint, instead of the `config.yaml` beside it.
        overrides: `KEY VALUE` pairs, or `key=value` for a LazyConfig; they come last, after what the weights need.
        offline: never open a connection.
        progress: called with bytes done and bytes in total while weights come.

    Raises:
        ValueError: no such model, configuration or weights, where the message names the nearest ones; a checkpoint
            without a configuration, or a training run without a checkpoint.
        DownloadError: the weights cannot be downloaded.
    """
    from explorer.config import lazy_overrides

    override = any(word == "MODEL.WEIGHTS" or word.startswith("train.init_checkpoint=") for word in overrides)
    if recipe := _recipe(model, config_file, str(weights or "") if weights or override else None):
        changes = [*recipe.overrides, *overrides]
        return resolve(recipe.model, weights=recipe.weights, overrides=changes, offline=offline, progress=progress)
    source = _source(model, config_file, offline=offline, progress=progress)
    trained, entry = source.trained, source.entry
    lazy = _is_lazy(source.config)
    words = [*source.overrides, *_own_weights(trained, lazy=lazy), *overrides]
    cfg = _read(source.config, words)
    named = str(weights or named_weights(cfg))
    if trained and not named:
        raise ValueError(trained.remark)
    path: Path | None
    if entry is not None and not named:
        path, needed = fetch_weights(entry, offline=offline, progress=progress), entry.overrides
    else:
        path, needed = find_weights(named, offline=offline, progress=progress)
        if source.bare and path and not source.bare.weights and "vovnet" in cfg.MODEL.BACKBONE.NAME:
            needed = (*needed, *needs(path, cfg.MODEL.VOVNET.CONV_BODY))
    if needed:
        cfg = _read(source.config, [*(lazy_overrides(cfg, needed) if lazy else needed), *words])
    remark = trained.remark if trained and path == trained.weights else ""
    if source.bare and path and "INPUT.FORMAT" not in (*needed, *words):
        remark = f"Whether {path.name} takes RGB or BGR is not known; {cfg.INPUT.FORMAT} is assumed: set INPUT.FORMAT."
    return Resolved(cfg, path, source.name, entry, source.config, remark)


def configured(
    model: str | Path, overrides: Sequence[str] = (), config_file: str | Path | None = None
) -> tuple[CfgNode | DictConfig, str]:
    """Finds the configuration of MODEL alone, and its name; no weights are looked for.

    Raises:
        DownloadError: a repository cannot be had.
        ValueError: no such model or configuration.
    """
    if recipe := _recipe(model, config_file, ""):
        return configured(recipe.model, [*recipe.overrides, *overrides])
    source = _source(model, config_file)
    return _read(source.config, [*source.overrides, *overrides]), source.name


def lasting_name(model: str | Path, overrides: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Spells a MODEL argument and its overrides so that they mean the same later, and in another working directory."""
    if recipe := _recipe(model, None, ""):  # another evaluation may take this one's place
        return recipe.model, [*recipe.overrides, *overrides]
    if (bare := find_bare(model)) and bare.weights:
        return registry.BACKBONE_PREFIX + bare.weights, list(overrides)
    is_file = str(model) not in {entry.name for entry in registry.entries()} and Path(model).expanduser().exists()
    return str(Path(model).expanduser().absolute()) if is_file else str(model), list(overrides)


@dataclass(frozen=True)
class _Source:
    config: Path
    name: str
    entry: ZooEntry | None = None
    trained: Trained | None = None
    bare: Bare | None = None

    @property
    def overrides(self) -> list[str]:
        """What makes the config the model's own; the file of a bare backbone is its weights."""
        weights = ["MODEL.WEIGHTS", self.bare.weights] if self.bare and self.bare.weights else []
        return [*(self.bare.overrides if self.bare else ()), *weights]


def _recipe(model: str | Path, config_file: str | Path | None, weights: str | None) -> LoadArguments | None:
    if config_file or find_trained(model):  # a run's folder may hold an evaluation, too
        return None
    recipe = find_recipe(model, weights)
    if recipe and Path(recipe.model).resolve() == Path(model).expanduser().resolve():
        raise ValueError(f"The evaluation in {model} names its own folder as the model, which holds no training run.")
    return recipe


def _source(
    model: str | Path, config_file: str | Path | None, *, offline: bool = False, progress: Progress | None = None
) -> _Source:
    from explorer.config import CONFIGS

    if repository := repository_of(model):
        model = fetch_repository(repository, (CONFIG, SAVED), offline=offline, progress=progress)
        return replace(_source(model, config_file), name=repository)
    if bare := find_bare(model):
        if config_file:
            raise ValueError(f"{model} has a config of its own: leave {config_file} out.")
        return _Source(CONFIGS / BARE_CONFIG, bare.name, bare=bare)
    entry = {known.name: known for known in registry.entries()}.get(str(model))
    if entry is not None and entry.config is None:
        raise ValueError(
            f"{entry.name} is an ImageNet backbone, not a detector. Give a configuration as MODEL "
            f"and the backbone as its weights: --weights {entry.name}. Without a detector it is "
            f"backbone:{entry.backbone} --weights {entry.name}."
        )
    if entry is not None and entry.config and config_file is None:
        return _Source(CONFIGS / entry.config, entry.name, entry)
    if trained := find_trained(model, config_file):
        return _Source(trained.config, trained.name, trained=trained)
    config = _config_source(model)
    return _Source(config, config.stem)


def _own_weights(trained: Trained | None, *, lazy: bool) -> list[str]:
    """Says in a config's words that its weights are those of the run, not those that training started from."""
    if trained is None:
        return []
    weights = "" if trained.weights is None else str(trained.weights)
    quoted = weights.replace("\\", "\\\\").replace("'", "\\'")
    return [f"train.init_checkpoint='{quoted}'"] if lazy else ["MODEL.WEIGHTS", weights]


def _is_lazy(config: Path) -> bool:
    from explorer.zoo.lazy_runs import is_dump

    return config.suffix == ".py" or is_dump(config)


def _read(config: Path, overrides: Sequence[str]) -> CfgNode | DictConfig:
    from explorer.config import load_config, load_lazy_config
    from explorer.zoo.lazy_runs import load_dump

    if config.suffix == ".py":
        return load_lazy_config(config, overrides)
    return load_dump(config, overrides) if _is_lazy(config) else load_config(config, overrides)


def named_weights(cfg: CfgNode | DictConfig) -> str:
    """The weights that a config names itself, in its file or by an override; empty where it names none."""
    from omegaconf import DictConfig, OmegaConf

    named = OmegaConf.select(cfg, "train.init_checkpoint") if isinstance(cfg, DictConfig) else cfg.MODEL.WEIGHTS
    return str(named or "")


def find_weights(
    source: str | Path, *, offline: bool = False, progress: Progress | None = None
) -> tuple[Path | None, tuple[str, ...]]:
    """Finds a checkpoint, downloading it where the zoo knows it and this machine does not have it.

    Args:
        source: a file, a name of the zoo, `hf-hub:user/name`, an address that the zoo lists (`detectron2://…` is one
            of detectron2's downloads), or empty.
        offline: never open a connection.
        progress: called with bytes done and bytes in total while the file comes.

    Returns:
        The file (None for an empty `source`) and the `KEY VALUE` pairs that a config needs with it.

    Raises:
        ValueError: it is none of these.
        DownloadError: the file cannot be downloaded.
    """
    if not str(source):
        return None, ()
    if repository := repository_of(source):
        folder = fetch_repository(repository, (CONFIG, SAVED), offline=offline, progress=progress)
        return folder / SAVED, _images_taken(folder / CONFIG)
    path = Path(source).expanduser()
    if path.is_file():
        return path.absolute(), ()
    address = str(source).replace("detectron2://", _DETECTRON2_DOWNLOADS)
    for entry in registry.entries():
        if str(source) == entry.name or address in entry.weights:
            return fetch_weights(entry, offline=offline, progress=progress), entry.overrides
    names = {entry.name: entry for entry in registry.entries()}
    hint = registry.nearest(str(source), names)
    if "://" in address:
        hint = f"An address is fetched only if the zoo lists it: download {address} and give the file."
    raise ValueError(f"The weights {str(source)!r} are neither a file nor in the zoo. {hint} See `explorer zoo list`.")


def _images_taken(config: Path) -> tuple[str, ...]:
    """The `KEY VALUE` pairs of a saved config on the images that its weights take: channel order, mean, deviation."""
    from explorer.zoo.lazy_runs import read_dump

    tree: Any = read_dump(config)
    words: list[str] = []
    for key in _IMAGE_KEYS:
        section, _, name = key.partition(".")
        value = tree.get(section, {}).get(name) if isinstance(tree, dict) else None
        words += [key, str(value)] if value is not None else []
    return tuple(words)


def fetch_weights(
    entry: ZooEntry, *, offline: bool = False, progress: Progress | None = None, anyway: bool = False
) -> Path:
    """Returns the file of an entry's weights, copied from the mirror or downloaded if need be.

    Args:
        entry: of the zoo.
        offline: never open a connection.
        progress: called with bytes done and bytes in total while the file comes.
        anyway: also try sources that are known to refuse.

    Raises:
        DownloadError: no source gave the file, or all of them are known to refuse.
        ValueError: `EXPLORER_MIRROR` is no place.
    """
    if entry.bundled:
        return entry.bundled
    known, here = mirror(), entry.path.is_file()
    if known and not here and (file := known.file(entry.mirror_names)):
        return adopt_weights(entry, file)
    sources = known.addresses(entry.mirror_names) if known else ()
    sources += () if entry.refuses and not anyway else entry.weights
    if not sources and not here and not (offline or offline_wanted()):
        raise DownloadError(refusal(entry))
    return fetch(entry.path, sources, name=entry.name, sha256=entry.sha256, offline=offline, progress=progress)


def adopt_weights(entry: ZooEntry, local: Path) -> Path:
    """Puts the user's file into the cache as an entry's weights.

    Raises:
        DownloadError: it is not the entry's file.
        ValueError: there is no such file, or the entry's weights come with the package.
    """
    if entry.bundled:
        raise ValueError(f"The weights of {entry.name} are part of the package; no file is needed.")
    return adopt(entry.path, local, name=entry.name, sha256=entry.sha256)


def _config_source(model: str | Path) -> Path:
    from explorer.config import config_names, config_path

    try:
        return config_path(model)
    except ValueError:
        models = [entry.name for entry in registry.detectors()]
        stems = [Path(name).stem for name in config_names()]
        hint = registry.nearest(str(model), models) or registry.nearest(str(model), stems)
        raise ValueError(
            f"{str(model)!r} is not a model of the zoo, a configuration file, a checkpoint or the folder of a training "
            f"run (config.yaml and checkpoints). {hint} See `explorer zoo list`."
        ) from None

"""Detector configurations: detectron2's `CfgNode` with this project's keys, and LazyConfigs, read with clear errors."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode, LazyConfig
from detectron2.config import get_cfg as detectron2_cfg
from detectron2.utils.registry import locate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from explorer.config.centermask import add_centermask_config
from explorer.config.files import read_yaml

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())
"""Folder of the shipped configurations: inside an installed wheel, or beside the package in a checkout."""

LAZY_KEYS: Mapping[str, tuple[str, ...]] = {
    "INPUT.FORMAT": (
        "dataloader.train.mapper.image_format",
        "dataloader.test.mapper.image_format",
        "model.input_format",
    ),
    "MODEL.PIXEL_MEAN": ("model.pixel_mean",),
    "MODEL.PIXEL_STD": ("model.pixel_std",),
    **{
        f"MODEL.VOVNET.{key.upper()}": (f"model.backbone.bottom_up.{key}",)
        for key in ("ese", "identity", "stage_out_channels", "stem_strides", "stage2_pool", "pool_padding")
    },
}
"""What weights may need of a config, by yaml key, and the places where a LazyConfig says the same."""
_OPTIONAL_LAZY_KEYS = frozenset(
    {"train.seed", "train.loss_images", "train.logger", "explorer.class_names", "explorer.stuff_class_names"}
)
_LONGEST_REASON = 300
# What yacs raises on keys and values that it does not take; the last three on texts that it tries to read as values.
_REFUSALS = (AssertionError, KeyError, ValueError, MemoryError, RecursionError, TypeError, OverflowError)


def add_vovnet_config(cfg: CfgNode) -> CfgNode:
    """Adds this project's keys to a detectron2 config, in place, and returns it.

    `MODEL.VOVNET` configures VoVNet, `MODEL.MOBILENET` MobileNetV2, `MODEL.TIMM` any timm model. `None` or an empty
    list, from `ESE` to `POOL_PADDING`, means: as `CONV_BODY` has it; `STAGE_WITH_DCN` says of stages 2 to 5 whether
    their 3x3 convolutions are deformable. `INPUT.CROP.AROUND_OBJECT` cuts crops where an object is,
    `INPUT.CROP.ZOOM` says between which factors it is then magnified, `INPUT.CROP.BALANCED` that all classes come
    up equally often, and `INPUT.CROP.ANYWHERE` which share of the crops lies anywhere instead. Where
    `INPUT.MIN_SIZE_TEST` is 0, photographs are tested at `INPUT.ZOOM_TEST` times their own size.
    `INPUT.RANDOM_TRANSPOSE` turns images that have no upper edge, such as aerial ones, and `INPUT.OTHER_CAMERA` is
    the share of images whose colour, light, sharpness, noise and compression are changed.
    `SOLVER.OPTIMIZER` is `SGD` or `AdamW`; `SOLVER.TEACHER` names a trained detector (of the zoo, a run's folder or any
    other model) whose heads the model starts with and whose maps its backbone learns to give. `TEST.LOSS_IMAGES` is the
    number of images that the validation loss is averaged over; photographs with a side longer than `TEST.TILES.SIZE`
    are looked at in tiles of that size, 0 for never. `EXPLORER` names the classes of a model that was not
    trained on COCO; training writes those of its data there. `EXPLORER.LOGGER`, of `wandb`, `mlflow` and `trackio` with
    commas between them, says where metrics go besides the output folder.
    """
    model = cfg.MODEL
    model.VOVNET = CfgNode()
    model.VOVNET.CONV_BODY = "V-39-eSE"
    model.VOVNET.OUT_FEATURES = ["stage2", "stage3", "stage4", "stage5"]
    model.VOVNET.NORM = "FrozenBN"
    model.VOVNET.ESE = None
    model.VOVNET.IDENTITY = None
    model.VOVNET.DEPTHWISE = None
    model.VOVNET.STAGE_OUT_CHANNELS = []
    model.VOVNET.STEM_STRIDES = []
    model.VOVNET.STAGE2_POOL = None
    model.VOVNET.POOL_PADDING = None
    model.VOVNET.STAGE_WITH_DCN = [False, False, False, False]
    model.VOVNET.WITH_MODULATED_DCN = False
    model.VOVNET.DEFORMABLE_GROUPS = 1

    model.MOBILENET = CfgNode()
    model.MOBILENET.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    model.MOBILENET.NORM = "FrozenBN"

    model.TIMM = CfgNode()
    model.TIMM.NAME = "resnet50"
    model.TIMM.PRETRAINED = False
    model.TIMM.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    model.TIMM.NORM = ""

    model.FPN.TOP_BLOCK_IN_FEATURE = ""

    cfg.INPUT.CROP.AROUND_OBJECT = False
    cfg.INPUT.CROP.ZOOM = [1.0, 1.0]
    cfg.INPUT.CROP.BALANCED = False
    cfg.INPUT.CROP.ANYWHERE = 0.0
    cfg.INPUT.ZOOM_TEST = 1.0
    cfg.INPUT.RANDOM_TRANSPOSE = False
    cfg.INPUT.OTHER_CAMERA = 0.0

    cfg.SOLVER.OPTIMIZER = "SGD"
    cfg.SOLVER.TEACHER = CfgNode()
    cfg.SOLVER.TEACHER.NAME = ""
    cfg.SOLVER.TEACHER.WEIGHTS = ""
    cfg.SOLVER.TEACHER.LOSS_WEIGHT = 1.0

    cfg.TEST.LOSS_IMAGES = 64
    cfg.TEST.TILES = CfgNode()
    cfg.TEST.TILES.SIZE = 0
    cfg.TEST.TILES.OVERLAP = 0.2

    cfg.EXPLORER = CfgNode()
    cfg.EXPLORER.CLASS_NAMES = []
    cfg.EXPLORER.STUFF_CLASS_NAMES = []
    cfg.EXPLORER.LOGGER = ""
    return cfg


def get_cfg() -> CfgNode:
    """Returns a fresh config with detectron2's defaults and this project's keys."""
    return add_centermask_config(add_vovnet_config(detectron2_cfg()))


def config_names() -> list[str]:
    """Lists the shipped detector configurations as paths relative to `CONFIGS`, sorted; `Base-…` files are left out."""
    return sorted(
        path.relative_to(CONFIGS).as_posix()
        for path in CONFIGS.rglob("*")
        if path.suffix in {".yaml", ".py"} and not path.name.startswith(("Base", "_"))
    )


def config_path(source: str | Path) -> Path:
    """Finds a configuration file.

    Args:
        source: a path, or a shipped configuration with or without folder and suffix (`faster_rcnn_V_39_FPN_3x`).

    Raises:
        ValueError: there is no such file; the message names the nearest shipped ones.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    wanted = Path(source).as_posix().removeprefix("configs/")
    for name in config_names():
        if wanted in {name, Path(name).with_suffix("").as_posix(), Path(name).stem, Path(name).name}:
            return CONFIGS / name
    near = difflib.get_close_matches(Path(wanted).stem, [Path(name).stem for name in config_names()], n=3, cutoff=0.5)
    hint = f" Near it: {', '.join(near)}." if near else ""
    raise ValueError(f"There is no configuration file {str(source)!r}, and no bundled one of that name.{hint}")


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> CfgNode:
    """Reads a YAML configuration and applies `KEY VALUE` overrides.

    YAML is read as data: a tag that would construct a Python object is refused.

    Args:
        source: a path or a shipped configuration's name, as `config_path` takes it.
        overrides: alternating keys and values, as on detectron2's command line.

    Returns:
        A config that is not frozen.

    Raises:
        ValueError: no such file, not YAML, a key that does not exist or has two values, or a value of the wrong type.
    """
    path = config_path(source)
    if path.suffix == ".py":
        raise ValueError(f"{path} is a LazyConfig, which is Python code. Read it with load_lazy_config.")
    cfg = get_cfg()
    values = read_yaml(path)
    if (version := values.get("VERSION", cfg.VERSION)) != cfg.VERSION:
        raise ValueError(f"{path} has VERSION {version}; {cfg.VERSION} is read. Upgrade it with detectron2.")
    try:
        cfg.merge_from_other_cfg(CfgNode(_as_floats(values, cfg)))
    except _REFUSALS as error:
        raise ValueError(f"{path}: {_explain(error, cfg)}") from error
    _merge_overrides(cfg, overrides)
    return cfg


def load_lazy_config(source: str | Path, overrides: Sequence[str] = ()) -> DictConfig:
    """Runs a LazyConfig, which is Python code, and applies `key=value` overrides.

    Args:
        source: a path or a shipped configuration's name, as `config_path` takes it.
        overrides: in hydra's grammar. A key must be there, be an argument of what its place builds, or be asked for
            as a new one with `+key=value`.

    Raises:
        ValueError: no such file, or an override that is not `key=value`, has several values or names no known key.
    """
    cfg: DictConfig = LazyConfig.load(str(config_path(source)))
    apply_lazy(cfg, overrides)
    return cfg


def apply_lazy(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Applies `key=value` overrides to a LazyConfig, in place; see `load_lazy_config`."""
    for word in overrides:
        _apply_lazy(cfg, word)


def lazy_overrides(cfg: DictConfig, pairs: Sequence[str]) -> list[str]:
    """Says `KEY VALUE` pairs of `LAZY_KEYS` in a LazyConfig's words.

    Raises:
        ValueError: the config has no place for a key.
    """
    words = []
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        places = [place for place in LAZY_KEYS.get(key, ()) if _takes(cfg, place)]
        if not places:
            raise ValueError(
                f"These weights need {key} {value}, but this LazyConfig has no such key (expected: "
                f"{' or '.join(LAZY_KEYS.get(key, ())) or 'unknown'}). Use a YAML config, or give the weights as a "
                "file and set what they need in the config."
            )
        words += [f"{place}={value}" for place in places if not _follows_another(cfg, place)]
    return words


def _apply_lazy(cfg: DictConfig, word: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if "=" not in word:
        raise ValueError(f"Override {word!r}: a LazyConfig takes key=value, as in model.num_classes=6.")
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
        key = str(override.key_or_group)
        if override.is_sweep_override():
            raise ValueError(f"Override {word!r} has several values; give one, or a list as key=[a,b].")
        if not (override.is_add() or key in _OPTIONAL_LAZY_KEYS or _takes(cfg, key)):
            hint = _near(key, list(_lazy_keys(OmegaConf.to_container(cfg, resolve=False))))
            raise ValueError(f"Override {word!r}: there is no key {key}.{hint} To add a new one, write +{word}.")
        LazyConfig.apply_overrides(cfg, [word])
    except (HydraException, OmegaConfBaseException, KeyError, NotImplementedError) as error:
        reason = str(error.args[0] if isinstance(error, KeyError) else error).partition("\n")[0]
        raise ValueError(f"Override {word!r}: {reason}") from error


def _takes(cfg: DictConfig, key: str) -> bool:
    """Whether a LazyConfig has `key`, or builds something there that has such an argument."""
    where, _, name = key.rpartition(".")
    try:
        parent = OmegaConf.select(cfg, where) if where else cfg
    except OmegaConfBaseException:
        return False
    if isinstance(parent, ListConfig):
        return name.isdigit() and int(name) < len(parent)
    if not isinstance(parent, DictConfig):
        return False
    target = parent.get("_target_")
    return name in parent.keys() or (target is not None and name in _arguments(target))  # noqa: SIM118


def _arguments(target: Any) -> set[str]:
    return set(inspect.signature(locate(target) if isinstance(target, str) else target).parameters)


def _follows_another(cfg: DictConfig, key: str) -> bool:
    """Whether a key's value is written as that of another key: `${…}`."""
    where, _, name = key.rpartition(".")
    return OmegaConf.is_interpolation(OmegaConf.select(cfg, where), name)


def _lazy_keys(node: Any, prefix: str = "") -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{name}"
        yield from _lazy_keys(value, f"{prefix}{name}.")


def _merge_overrides(cfg: CfgNode, overrides: Sequence[str]) -> None:
    if len(overrides) % 2:
        raise ValueError(f"Overrides come in pairs, KEY VALUE; {overrides[-1]!r} has no value.")
    try:
        cfg.merge_from_list(_floats_in(overrides, cfg))
    except _REFUSALS as error:
        raise ValueError(f"Overrides {' '.join(overrides)}: {_explain(error, cfg)}") from error


def _as_floats(values: Mapping[str, Any], cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Makes whole numbers floats where the config has floats, which yacs refuses to do."""
    found = dict(values)
    for key, value in values.items():
        known = cfg.get(key)
        if isinstance(value, dict) and isinstance(known, Mapping):
            found[key] = _as_floats(value, known)
        elif type(value) is int and isinstance(known, float):
            found[key] = float(value)
    return found


def _floats_in(overrides: Sequence[str], cfg: CfgNode) -> list[str]:
    """The same for `KEY VALUE` pairs."""
    words = list(overrides)
    for place in range(0, len(words), 2):
        *parents, name = words[place].split(".")
        node: Any = cfg
        for parent in parents:
            node = node.get(parent) if isinstance(node, CfgNode) else None
        whole = words[place + 1].removeprefix("-").isdecimal()
        if whole and isinstance(node, CfgNode) and isinstance(node.get(name), float):
            words[place + 1] += ".0"
    return words


def _explain(error: Exception, cfg: CfgNode) -> str:
    """Turns yacs's words into a sentence that names the nearest existing key."""
    words = " ".join(str(error.args[0] if error.args else error).split()) or "a value is nested too deeply"
    if len(words) > _LONGEST_REASON:  # yacs shows whole values, and names the key at the end
        words = f"{words[: _LONGEST_REASON // 2]} … {words[-_LONGEST_REASON // 2 :]}"
    if "Non-existent" not in words:
        return words
    key = words.rpartition(": ")[2]
    return f"there is no key {key}.{_near(key, list(_keys(cfg)))}"


def _near(key: str, keys: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, keys, n=1) or [k for k in keys if k.endswith("." + key.rpartition(".")[2])]
    return f" Did you mean {near[0]}?" if near else ""


def _keys(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"

"""Detector configurations: the keys that they have, and how they are read."""

from explorer.config.centermask import add_centermask_config
from explorer.config.reading import (
    CONFIGS,
    LAZY_KEYS,
    add_vovnet_config,
    apply_lazy,
    config_names,
    config_path,
    get_cfg,
    lazy_overrides,
    load_config,
    load_lazy_config,
)

__all__ = [
    "CONFIGS",
    "LAZY_KEYS",
    "add_centermask_config",
    "add_vovnet_config",
    "apply_lazy",
    "config_names",
    "config_path",
    "get_cfg",
    "lazy_overrides",
    "load_config",
    "load_lazy_config",
]

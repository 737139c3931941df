"""Any timm model with `features_only` as a detectron2 backbone, a peer to compare VoVNet with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor, nn

from explorer.backbones.norms import freeze

_STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}
_PROBE_SIZE = (96, 160)  # odd, unequal maps at stride 32: no fixed window or table of positions passes by chance


class TimmBackbone(Backbone):
    """A timm feature extractor whose maps of stride 4, 8, 16 and 32 are called `res2` to `res5`."""

    @configurable
    def __init__(
        self,
        name: str,
        *,
        pretrained: bool = False,
        input_channels: int = 3,
        norm: str = "",
        freeze_at: int = 0,
        out_features: Sequence[str] = tuple(_STRIDES),
    ) -> None:
        """Builds the timm model.

        Args:
            name: a model name that timm knows, such as `convnext_tiny`.
            pretrained: let timm fetch its weights from the hub. Set `MODEL.PIXEL_MEAN` and `PIXEL_STD` to the model's
                own statistics and `INPUT.FORMAT` to RGB then (`pixel_statistics` gives them).
            input_channels: channels of the image.
            norm: `FrozenBN` stops every batch normalisation; empty leaves timm's layers as they are.
            freeze_at: 0 trains all, 5 freezes everything; timm's networks have no common stages between.
            out_features: names among `res2` … `res5`.

        Raises:
            ImportError: timm is not installed.
            ValueError: timm has no such model, it gives no map of a wanted stride, takes images of one size alone or
                does not pad them, or an argument is not as above.
        """
        super().__init__()
        timm = _import_timm()
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=3)
            raise ValueError(f"timm has no model {name!r}." + (f" Near it: {', '.join(near)}." if near else ""))
        unknown = sorted(set(out_features) - set(_STRIDES))
        if unknown or not out_features:
            raise ValueError(f"OUT_FEATURES is {list(out_features)}; name at least one of {', '.join(_STRIDES)}.")
        if norm not in ("", "FrozenBN"):
            raise ValueError(f"MODEL.TIMM.NORM is {norm!r}; choose FrozenBN, or leave it empty for timm's own layers.")
        if freeze_at not in (0, 5):
            raise ValueError(f"FREEZE_AT is {freeze_at}; a timm backbone takes 0 (train all) or 5 (freeze all).")

        probe, options = _build(name, in_chans=input_channels)
        index_of_stride = {stride: i for i, stride in enumerate(probe.feature_info.reduction())}
        self._out_features = [feature for feature in _STRIDES if feature in set(out_features)]
        missing = [f for f in self._out_features if _STRIDES[f] not in index_of_stride]
        if missing:
            strides = ", ".join(map(str, index_of_stride))
            raise ValueError(f"{name} has no feature for {', '.join(missing)}: its strides are {strides}.")
        indices = [index_of_stride[_STRIDES[feature]] for feature in self._out_features]
        _check_sizes(name, probe, input_channels)
        self.model = timm.create_model(name, pretrained=pretrained, out_indices=indices, **options)
        self._out_feature_strides = {f: _STRIDES[f] for f in self._out_features}
        self._out_feature_channels = dict(zip(self._out_features, self.model.feature_info.channels(), strict=True))
        # Many of timm's networks give their maps as (batch, height, width, channels), Swin among them.
        self._channels_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        if norm == "FrozenBN" or freeze_at:
            # timm's own: detectron2's conversion would drop the activation that timm's normalisations carry
            self.model = timm.layers.freeze_batch_norm_2d(self.model)
        if freeze_at:
            freeze(self.model)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict[str, Any]:
        """Reads the arguments from `MODEL.TIMM` and `MODEL.BACKBONE.FREEZE_AT`."""
        return {
            "name": cfg.MODEL.TIMM.NAME,
            "pretrained": cfg.MODEL.TIMM.PRETRAINED,
            "input_channels": input_shape.channels if input_shape else len(cfg.MODEL.PIXEL_MEAN),
            "norm": cfg.MODEL.TIMM.NORM,
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
            "out_features": cfg.MODEL.TIMM.OUT_FEATURES,
        }

    @property
    def size_divisibility(self) -> int:
        """The largest output stride: images padded to it give maps of exactly `size / stride`."""
        return max(self._out_feature_strides.values())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Computes the features of a `(batch, channels, height, width)` image, by name of `out_features`."""
        features = self.model(x)
        if self._channels_last:
            features = [feature.permute(0, 3, 1, 2).contiguous() for feature in features]
        return dict(zip(self._out_features, features, strict=True))

    def merge_branches(self) -> None:
        """Merges the parallel branches of RepVGG, MobileOne and their like into one convolution each, in place.

        Results change by rounding alone; the network must be in evaluation mode and cannot be trained afterwards.

        **Source:** timm's `reparameterize_model`, which knows no frozen norms; in evaluation those equal plain ones.
        """
        timm = _import_timm()
        plain = timm.layers.unfreeze_batch_norm_2d(self.model).eval()
        self.model = timm.utils.reparameterize_model(plain, inplace=True)


def pixel_statistics(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation that a timm model's weights expect, RGB, on the 0 to 255 scale of detectron2."""
    pretrained = _import_timm().get_pretrained_cfg(name)
    return [255 * value for value in pretrained.mean], [255 * value for value in pretrained.std]


def _build(name: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """A timm feature extractor for images of any size, if timm can have it so, and the options that made it."""
    timm = _import_timm()
    options["features_only"] = True
    try:  # Swin's layers expect the size of their pretraining unless told otherwise
        any_size = {**options, "strict_img_size": False}
        return timm.create_model(name, **any_size), any_size
    except TypeError:  # the networks that have no such expectation have no such option either
        return timm.create_model(name, **options), options


def _check_sizes(name: str, model: nn.Module, channels: int) -> None:
    """Runs a small image through `model`: not every fixed size is declared, and training is late to find out."""
    try:
        with torch.no_grad():
            features = model.eval()(torch.zeros(1, channels, *_PROBE_SIZE))
    except (AssertionError, RuntimeError, ValueError) as error:  # by which timm and torch refuse a size
        raise ValueError(
            f"timm's {name} only accepts images of a fixed size, but detectors need variable sizes: for an image of "
            f"{_PROBE_SIZE[0]}×{_PROBE_SIZE[1]} pixels, it says “{error}”. Choose a network that accepts any size."
        ) from error
    first = 1 if getattr(model, "output_fmt", "NCHW") == "NHWC" else 2
    for feature, stride in zip(features, model.feature_info.reduction(), strict=True):  # type: ignore[operator, union-attr]
        cells, expected = tuple(feature.shape[first : first + 2]), tuple(side // stride for side in _PROBE_SIZE)
        if stride in _STRIDES.values() and cells != expected:
            raise ValueError(
                f"timm's {name} does not pad its input: its map of stride {stride} has {cells[0]}×{cells[1]} cells for "
                f"an image of {_PROBE_SIZE[0]}×{_PROBE_SIZE[1]} pixels, {expected[0]}×{expected[1]} are needed to "
                "place boxes. Choose a network that pads, such as convnext_tiny."
            )


def _import_timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ImportError("timm is not installed. Install it with: pip install 'vovnet-explorer[timm]'") from error
    return timm

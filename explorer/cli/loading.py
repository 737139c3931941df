"""MODEL and the options that go with it, which commands share, and the model that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from explorer.cli.running import progress
from explorer.text import legible_lines

if TYPE_CHECKING:
    from explorer.engine.detector import Detector

MODELS = "a zoo name, hf-hub:user/name, a config file, the folder of a training run, or a checkpoint file"
Model = Annotated[str, typer.Argument(help=f"{MODELS.capitalize()}.")]
OptionalModel = Annotated[str | None, typer.Argument(metavar="[MODEL]", help=f"{MODELS.capitalize()}.")]
AnyModel = Annotated[
    str, typer.Argument(metavar="MODEL", help=f"{MODELS.capitalize()}; or backbone:V-99-eSE, backbone:FILE.")
]
Weights = Annotated[str | None, typer.Option("--weights", help="Checkpoint to load instead of the model's own.")]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config-file", metavar="FILE", help="Config of a checkpoint file. [default: the config.yaml beside it]"
    ),
]
AllowPartial = Annotated[
    bool, typer.Option("--allow-partial", help="Load weights that match the model only partly; the rest stays random.")
]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Allow a LazyConfig (.py), which is executed as code.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Use only the first N images.")]
Device = Annotated[str, typer.Option("--device", help="auto (a GPU that works, else the CPU), cpu, cuda or cuda:N.")]
Exact = Annotated[bool, typer.Option("--exact", help="Run the model in plain PyTorch instead of on the fast path.")]
Dtype = Annotated[
    str,
    typer.Option("--dtype", help="Number format of the fast path: float32, bfloat16, int8, or auto for the fastest."),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        "--calibrate",
        metavar="FOLDER|DATA",
        help=(
            "Photos similar to those the model will be used on, to calibrate int8; the ranges are cached for its "
            "weights."
        ),
    ),
]
Emulate = Annotated[
    bool, typer.Option("--emulate", help="Allow a --dtype without native support on this processor, which is slower.")
]
Tile = Annotated[
    int | None,
    typer.Option(
        "--tile",
        metavar="PX",
        help="Also process larger photos in tiles of this size in pixels; 0 turns tiles off. [default: the config's]",
    ),
]
Overlap = Annotated[
    float, typer.Option("--overlap", help="Overlap of neighbouring tiles, as a fraction of their side.")
]


@dataclass(frozen=True)
class InferenceOptions:
    """Options on how a model is run."""

    exact: Exact = False
    dtype: Dtype = "float32"
    calibrate: Calibrate = None
    emulate: Emulate = False


@dataclass(frozen=True)
class TilingOptions:
    """Options on how large photos are looked at."""

    tile: Tile = None
    overlap: Overlap = 0.2

    def applied(self, detector: Detector) -> Detector:
        """Returns the detector as the options want it.

        Raises:
            ValueError: there are no such tiles.
        """
        return detector if self.tile is None else detector.with_tiles(self.tile, self.overlap)


@dataclass(frozen=True)
class CheckpointOptions:
    """Options on where a model's weights and config come from."""

    weights: Weights = None
    config_file: ConfigFile = None
    allow_partial: AllowPartial = False
    trust_code: TrustCode = False

    def of(self, model: str, tiling: TilingOptions = TilingOptions(), **options: Any) -> Loading:
        """Returns what loads MODEL with these options and further ones of `load_detector`."""
        own = {"config_file": self.config_file, "allow_partial": self.allow_partial}
        return Loading(model, {"weights": self.weights, **own, **options}, self.trust_code, tiling)


@dataclass(frozen=True)
class Loading:
    """Loads MODEL where a function of `explorer.api` needs it.

    A bar shows while weights come, and what is to be known of them is said on standard error.

    Attributes:
        model: see `explorer.engine.loading.load_detector`.
        options: those of `load_detector` that were given; with `random`, of `load_or_random`.
        trust_code: a LazyConfig may run.
        tiling: how large photos are looked at.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    trust_code: bool = False
    tiling: TilingOptions = TilingOptions()

    def __str__(self) -> str:
        return self.model

    def __call__(self, **needed: Any) -> Detector:
        """Loads the detector with what the function needs and, above that, what the user asked for.

        Raises:
            ValueError: see `load_detector`; or there are no such tiles.
        """
        from explorer.engine.loading import load_detector, load_or_random

        options = {**needed, **self.options}
        for config in (self.model, options.get("config_file")):
            check_trusted(config, self.trust_code)
        with progress(f"fetching {self.model}", "bytes") as advance:
            loading = load_or_random if "random" in options else load_detector
            detector = loading(self.model, progress=advance, **options)
        for remark in detector.remarks:
            typer.echo(legible_lines(remark), err=True)
        if options.get("dtype") == "auto" and detector.fast:
            typer.echo(legible_lines(f"Computing in {detector.fast.chosen.reason}."), err=True)
        return self.tiling.applied(detector)


def check_trusted(config: str | None, trust_code: bool) -> None:
    """Keeps code that came from outside from being run by naming it, as data is.

    Raises:
        ValueError: it is a LazyConfig that did not come with this package, and is not trusted.
    """
    from explorer.zoo.trained import is_shipped

    if config and config.endswith(".py") and not trust_code and not is_shipped(config):
        raise ValueError(
            f"{config} is a LazyConfig, which is executed as Python code. Read it first, then allow it with "
            "--trust-code."
        )

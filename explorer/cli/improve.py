"""`explorer improve`: what using a model otherwise adds, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.protocol import IouThresholds, MaxDetections, Sizes, protocol_asked
from explorer.cli.running import (
    AllowPartial,
    ConfigFile,
    Device,
    Limit,
    Model,
    Overlap,
    Overrides,
    Tile,
    TrustCode,
    Weights,
    exit_codes,
    load,
    progress,
)

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.errors.improve import Help


def improve(
    model: Model,
    data: Annotated[str, typer.Argument(metavar="DATA", help="PATH[:SPLIT] of a data set.")],
    overrides: Overrides = None,
    weights: Weights = None,
    config_file: ConfigFile = None,
    allow_partial: AllowPartial = False,
    trust_code: TrustCode = False,
    limit: Limit = None,
    device: Device = "auto",
    tile: Tile = None,
    overlap: Overlap = 0.2,
    sizes: Sizes = None,
    max_detections: MaxDetections = None,
    iou_thresholds: IouThresholds = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the gain and the cost of a larger input, more proposals, image slices and flips, without training.

    --tile also measures tiles of a fixed size.
    """
    from rich.console import Console

    from explorer.engine.devices import cpu_behind
    from explorer.errors.improve import default_variants
    from explorer.errors.improve import improve as run
    from explorer.errors.variants import tiled
    from explorer.report.document import help_document
    from explorer.report.tables import help_grid
    from explorer.scoring.classes import shared_classes
    from explorer.scoring.runs import read_truth

    with exit_codes():
        protocol = protocol_asked(sizes, max_detections, iou_thresholds)
        truth = read_truth(data)
        if limit:
            truth = truth.of_images(truth.image_ids[:limit].tolist())

        def measured(place: str) -> tuple[Detector, Sequence[Help]]:
            detector = load(
                model,
                weights=weights,
                config_file=config_file,
                overrides=overrides or (),
                device=place,
                exact=True,
                allow_partial=allow_partial,
                trust_code=trust_code,
            )
            if note := shared_classes(detector.class_names, truth.class_names).note:
                say(note, err=True)
            asked = [tiled(detector, tile, overlap)] if tile else []
            with progress("measuring") as advance:
                ways = [*default_variants(detector), *asked]
                return detector, run(detector, truth, ways, protocol=protocol, progress=advance)

        detector, ways = cpu_behind(device, measured)
        if json_file:
            write_output(detector.origin | {"data": data} | help_document(ways), json_file)
    if json_file != "-":
        say((detector.name, "bold"), f" on {data}, {len(truth.image_ids)} images, in percentage points")
        Console().print(help_grid(ways).on_terminal())
        for way in ways[1:]:
            say((f"{way.name}: {way.says}", "dim"))

"""From which FPN level a run's model pools each object, where its config says so."""

from __future__ import annotations

import numpy as np

from explorer.scoring.columns import Run


def levels_of(run: Run) -> tuple[str, ...] | None:
    """Returns the level's name for each object, `(G,)`; None where the model is not known or has no such levels."""
    from explorer.zoo.resolve import configured

    model = run.facts.get("config") or run.facts.get("model")
    if not isinstance(model, str):
        return None
    try:
        cfg, _ = configured(model, run.facts.get("overrides", ()))  # raises for other projects' models
        from explorer.autopsy.two_stage.stages import Pyramid  # takes seconds to import
        from explorer.engine.config_facts import config_facts

        names = tuple(cfg.MODEL.ROI_HEADS.IN_FEATURES)
        numbers = [int(name.removeprefix("p")) for name in names]
        if "RCNN" not in cfg.MODEL.META_ARCHITECTURE and "FPN" not in cfg.MODEL.META_ARCHITECTURE:
            return None
        if cfg.MODEL.PROPOSAL_GENERATOR.NAME != "RPN":  # CenterMask's boxes come from FCOS, which has another rule
            return None
        model_input = config_facts(cfg).model_input
    except (ValueError, AttributeError, KeyError, OSError):
        return None
    pyramid = Pyramid(names, numbers[0], numbers[-1], 224, 4, 0.3)
    truth = run.truth
    scales = np.array(
        [[new / old for new, old in zip(model_input.size_for(h, w), (h, w), strict=True)] for h, w in truth.image_sizes]
    ).reshape(-1, 2)
    sizes = truth.boxes_xywh[:, 2:] * scales[truth.images][:, ::-1]
    boxes = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    return tuple(names[place] for place in pyramid.levels_of(boxes).tolist())

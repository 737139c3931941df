"""The trainings of the demo zoo that `tools/zoo.py` runs: one recipe, with one change in each training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COMPARED = ("backbones", "ablations", "necks")


@dataclass(frozen=True)
class Training:
    """One training of the zoo.

    Attributes:
        name: of its folder, and in the tables.
        config: a shipped one.
        changes: `KEY VALUE` pairs.
        group: what it is compared within (`COMPARED`); `seeds` of the backbones, `teacher` and `tasks` are measured
            alone.
        seed: of data order, augmentation and initial weights.
        basis: the run that it is a variant of.
    """

    name: str
    config: str
    changes: tuple[str, ...] = ()
    group: str = "backbones"
    seed: int = 1
    basis: str = ""


TEACHER = "V-19-slim-dw, teacher"
AS_THE_OTHERS = ("SOLVER.TEACHER.NAME", "demo/V-19-slim-dw", "SOLVER.MAX_ITER", "500")
STARTED = ("MODEL.WEIGHTS", "demo/V-19-slim-dw")
NEW_NECK = (*STARTED, "SOLVER.TEACHER.NAME", "", "SOLVER.MAX_ITER", "500", "MODEL.FPN.OUT_CHANNELS")
"""The trained backbone, with a neck and a head for proposals that fit no teacher's."""
NO_ESE = ("MODEL.VOVNET.ESE", "none")
V_39 = "aerial/faster_rcnn_V_39.yaml"
BACKBONES = (
    Training("MobileNetV2", "aerial/faster_rcnn_Mv2.yaml"),
    Training("V-19-slim-dw", "aerial/faster_rcnn_V_19_slim_dw.yaml", AS_THE_OTHERS),
    Training("V-19-slim", "aerial/faster_rcnn_V_19_slim.yaml"),
    Training("V-19-dw", "aerial/faster_rcnn_V_19_dw.yaml"),
    Training("V-19", "aerial/faster_rcnn_V_19.yaml"),
    Training("V-39", V_39),
    Training("R-50", "aerial/faster_rcnn_R_50.yaml"),
)
SEEDS = (2, 3)
"""More seeds of every backbone."""
TRAININGS = (
    Training(TEACHER, "aerial/faster_rcnn_V_19_slim_dw.yaml", group="teacher", seed=3),
    *BACKBONES,
    Training("V-39, V1", V_39, (*NO_ESE, "MODEL.VOVNET.IDENTITY", "False"), "ablations", basis="V-39"),
    Training("V-39, V1 + identity", V_39, NO_ESE, "ablations", basis="V-39"),
    Training("FPNLite, 128 channels", "aerial/faster_rcnn_V_19_slim_dw.yaml", (*NEW_NECK, "128"), "necks"),
    Training("FPN, 256 channels", "aerial/faster_rcnn_V_19_slim_dw.yaml", (*NEW_NECK, "256"), "necks"),
    *(
        Training(f"{one.name}, seed {seed}", one.config, one.changes, "seeds", seed, one.name)
        for one in BACKBONES
        for seed in SEEDS
    ),
    Training("Mask R-CNN", "aerial/mask_rcnn_V_19_slim_dw.yaml", STARTED, group="tasks"),
    Training("CenterMask", "aerial/centermask_V_19_slim_dw.yaml", STARTED, group="tasks"),
    Training("Panoptic FPN", "aerial/panoptic_fpn_V_19_slim_dw.yaml", STARTED, group="tasks"),
)


def backbones_by_seed() -> dict[str, list[Training]]:
    """The trainings of each backbone, the first seed first."""
    return {
        one.name: [one, *(own for own in TRAININGS if own.basis == one.name and own.group == "seeds")]
        for one in BACKBONES
    }


def groups() -> dict[str, Sequence[Sequence[Training]]]:
    """What is compared with what: recipes by group, each with its seeds; a group's basis is the last of it."""
    found: dict[str, Sequence[Sequence[Training]]] = {}
    for name in COMPARED:
        own = [one for one in TRAININGS if one.group == name]
        bases = {one.basis for one in own}
        found[name] = [[one] for one in (*own, *(one for one in TRAININGS if one.name in bases))]
    return found | {"backbones": list(backbones_by_seed().values())}

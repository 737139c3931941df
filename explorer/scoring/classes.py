"""Classes matched by name: which classes of a model and of a data set are the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

_SHOWN = 8


@dataclass(frozen=True)
class SharedClasses:
    """The classes that a model and a data set share; only these are scored.

    Attributes:
        names: the classes that are scored, in the data set's order and under their new names.
        rows: by class index of the model, the place in `names`; -1 for a class that is not scored.
        renamed: new name by old name, for both sides.
        model_only: the model's classes that the data set does not have; their detections are not scored.
        data_only: the data set's classes that the model does not have; their objects are not scored.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    renamed: Mapping[str, str]
    model_only: tuple[str, ...] = ()
    data_only: tuple[str, ...] = ()

    def row_of(self, data_name: str) -> int:
        """The place in `names` of a class of the data set, -1 if it is not scored."""
        name = self.renamed.get(data_name, data_name)
        return self.names.index(name) if name in self.names else -1

    @property
    def note(self) -> str:
        """One line on what is not scored; empty where the classes are the same."""
        parts = [
            f"{len(names)} of the {whose} ({listed(names)})"
            for names, whose in ((self.model_only, "model's classes"), (self.data_only, "data set's classes"))
            if names
        ]
        if not parts:
            return ""
        scored = f"{len(self.names)} {'class is' if len(self.names) == 1 else 'classes are'} scored"
        return f"{scored} ({listed(self.names)}); not scored: {' and '.join(parts)}."


def shared_classes(
    model_names: Sequence[str],
    data_names: Sequence[str],
    classes: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> SharedClasses:
    """Matches a model's classes with a data set's by name, never by position.

    Args:
        model_names: by class index of the model. Several may get one name by `renamed`.
        data_names: by class row of the data set.
        classes: score only these; all that are shared where empty.
        renamed: new name by old name. It holds for the model and for the data set alike, before names are matched, so
            `{"minibus": "car"}` counts minibuses as cars on whichever side has them.

    Raises:
        ValueError: nothing is shared, or a class that is asked for or renamed is not there.
    """
    renamed = dict(renamed or {})
    known = {*model_names, *data_names}
    if unknown := [name for name in renamed if name not in known]:
        raise ValueError(
            f"There is no class {unknown[0]!r} to rename: neither the model ({listed(model_names)}) nor the data set "
            f"({listed(data_names)}) has it."
        )
    of_model = [renamed.get(name, name) for name in model_names]
    of_data = list(dict.fromkeys(renamed.get(name, name) for name in data_names))
    names = [name for name in of_data if name in of_model]
    if not names:
        raise ValueError(_nothing_shared(of_model, of_data))
    if missing := [name for name in classes if name not in names]:
        side = "model" if missing[0] in of_data else "data set" if missing[0] in of_model else "model nor the data set"
        raise ValueError(
            f"Class {missing[0]!r} cannot be scored: the {side} has no such class. Shared are {listed(names)}."
        )
    scored = [name for name in names if not classes or name in classes]
    return SharedClasses(
        tuple(scored),
        tuple(scored.index(name) if name in scored else -1 for name in of_model),
        renamed,
        tuple(dict.fromkeys(name for name in of_model if name not in of_data)),
        tuple(name for name in of_data if name not in of_model),
    )


def listed(names: Sequence[str]) -> str:
    """Lists names, the first few of many."""
    return ", ".join(names[:_SHOWN]) + (f", … {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _nothing_shared(of_model: Sequence[str], of_data: Sequence[str]) -> str:
    text = (
        f"The model and the data set share no class by name. The model has {listed(of_model)}; "
        f"the data set has {listed(of_data)}."
    )
    folded = {name.casefold(): name for name in of_data}
    for name in of_model:
        if close := get_close_matches(name.casefold(), folded, n=1, cutoff=0.75):
            return f'{text} If two are the same class, say so: --map "{name}={folded[close[0]]}".'
    return (
        f"{text} Use data with the classes that the model was trained on, or say which are the same: --map \"model's "
        "class=data's class\". Names of a model are set with EXPLORER.CLASS_NAMES."
    )

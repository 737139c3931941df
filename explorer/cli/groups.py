"""Options that commands share, as one parameter of a command: a dataclass whose fields are the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Lets Typer see each field of a command's dataclasses as an option of its own, in their place.

    Args:
        command: a function whose parameters are annotated for Typer, or with dataclasses of such fields with defaults.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type] = {}
    shown: list[Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if is_dataclass(kind) and isinstance(kind, type):
            groups[name], own = kind, get_type_hints(kind, include_extras=True)
            shown += [
                Parameter(f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=own[f.name])
                for f in fields(kind)
            ]
        else:
            shown.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=kind))

    @wraps(command)
    def call(**given: Any) -> None:
        made = {name: kind(**{f.name: given.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        command(**given, **made)

    call.__dict__["__signature__"] = Signature(shown)
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return call

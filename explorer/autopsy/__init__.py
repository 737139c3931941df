"""Where a missed object died: a detector's stages followed in one forward pass, and what each of them lost.

`explorer.autopsy` names this package and the function that most people want of it, so the package can be called:
`explorer.autopsy(detector, truth)` is `explorer.autopsy.examine.autopsy(detector, truth)`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.autopsy.examine import Autopsy


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Autopsy:
        from explorer.autopsy.examine import autopsy

        return autopsy(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage

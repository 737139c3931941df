"""The stage of a detector that lost each missed object: all stages are followed in one forward pass.

`explorer.autopsy` names this package and the public function, so the package can be called:
`explorer.autopsy(model, data)` is `explorer.api.autopsy.autopsy(model, data)`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from explorer.types import extension


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return extension("autopsy").autopsy(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage

"""VoVNet Explorer: train VoVNet detectors, measure them, and look into what they see and miss.

`__init__.pyi` lists the public names, each once. They are looked up when they are first used (PEP 562), so that
`import explorer` loads no torch.
"""

from importlib import import_module
from typing import Any

import lazy_loader

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("vovnet-explorer")
    if name == "autopsy":  # a package that can be called, so that its modules can be imported as well
        return import_module("explorer.autopsy")
    try:
        return _public(name)
    except ModuleNotFoundError as error:
        doctor = import_module("explorer.doctor")
        if error.name == "detectron2":
            words = doctor.without_detectron2()
        elif error.name == "ipywidgets":
            words = f"explorer.{name} needs ipywidgets, which is not installed: {doctor.add_extra('notebooks')}"
        else:
            raise
        raise ModuleNotFoundError(words, name=error.name) from error

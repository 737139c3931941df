"""Which VoVNet a checkpoint holds: by names and `shapes` of its tensors, by what is `known`. `convert` writes it."""

from explorer.zoo.identify.identity import SAID, Found, Identity, find, identify

__all__ = ["SAID", "Found", "Identity", "find", "identify"]

"""Which VoVNet a checkpoint holds: by names and `shapes` of its tensors, by what is `known`. `convert` writes it."""

from explorer.zoo.identify.identity import SAID, IdentifiedFile, Identity, find, identify

__all__ = ["SAID", "IdentifiedFile", "Identity", "find", "identify"]

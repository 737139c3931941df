"""Procedural aerial scenes with COCO instance, panoptic and semantic labels: the data set that needs no download."""

from explorer.data.aerial.categories import STUFF, THINGS
from explorer.data.aerial.scene import Scene, render_scene
from explorer.data.aerial.write import AerialSummary, make_aerial

__all__ = ["STUFF", "THINGS", "AerialSummary", "Scene", "make_aerial", "render_scene"]

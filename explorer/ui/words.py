"""What controls are called, the same on the page and in notebooks."""

MINIMUM_SCORE = "Minimum score"
LAYERS, LAYER, SHOW, CHANNEL = "Layers", "Layer", "Show", "Channel"
X, Y = "x, px", "y, px"
EFFECTIVE, GATES = "Show effective fields", "Squeeze-excitation (eSE) on"
MODEL, MISSES = "Model to analyse", "Most informative misses"


def sizes_of(protocol_name: str) -> str:
    """What to call the choice of a protocol's sizes."""
    return f"Sizes ({called(protocol_name)})"


def called(protocol_name: str) -> str:
    """What to call a protocol: COCO as everybody writes it."""
    return "COCO" if protocol_name == "coco" else protocol_name

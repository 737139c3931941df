"""Colours that people with colour-vision deficiency can tell apart (Okabe and Ito, 2008)."""

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")


def class_colour(index: int) -> str:
    """The colour of a class, the same in every figure; it repeats after seven classes."""
    return OKABE_ITO[index % len(OKABE_ITO)]

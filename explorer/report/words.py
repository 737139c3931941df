"""Short text for metrics with their uncertainty."""

from __future__ import annotations

import math
from collections import Counter

from explorer.autopsy.result import Autopsy
from explorer.autopsy.verdicts import Verdict
from explorer.errors.bootstrap import TOO_FEW
from explorer.scoring.outcomes import OperatingPoint


def interval_words(value: float, low: float, high: float, *, signed: bool = False, unit: str = "images") -> str:
    """`21.3 [19.0, 23.4]`, or `21.3, too few images`; signed where asked, a dash where there is nothing to measure.

    `unit` is what is resampled (`Figures.unit`).
    """
    if math.isnan(value):
        return "–"
    form = "+.1f" if signed else ".1f"
    ends = f", {TOO_FEW.format(unit)}" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]"
    return f"{value:{form}}{ends}".replace("-", "−")


def found_sentence(point: OperatingPoint) -> str:
    """States when an object counts as found, and the precision at that score threshold."""
    right = f"above this threshold, {point.precision_percent:.0f} % of the detections of {point.run} are correct"
    shows = right if point.detections else f"{point.run} has no detections above this threshold"
    return f"An object counts as found by a detection of its class with {point.words}; {shows}."


def autopsy_sentences(autopsy: Autopsy) -> tuple[str, ...]:
    """Adds to the table of outcomes how centerness lowers scores, and what relaxing each stage confirms."""
    sentences = []
    if held := autopsy.held_back_by_centerness:
        low = int((autopsy.verdicts == Verdict.LOW_SCORE).sum())
        sentences.append(
            f"Of the {low:,} objects scored below the threshold of {autopsy.point.score:.3g}, {held:,} would reach it "
            "with a centerness of 1."
        )
    if autopsy.verification:
        sentences.append(verification_sentence(autopsy))
    return tuple(sentences)


def verification_sentence(autopsy: Autopsy) -> str:
    """Says for how many lost objects relaxing the stage that lost them confirms that it did."""
    own = autopsy.verification.values()
    lost, confirmed, found = (sum(getattr(each, name) for each in own) for name in ("lost", "confirmed", "found"))
    said = (
        f"Verified by relaxing only the stage that lost each object: {confirmed:,} of {lost:,} objects "
        f"({100 * confirmed / lost:.1f} %) get past that stage, and {found:,} ({100 * found / lost:.1f} %) are detected"
    )
    then = sum((Counter(each.after) for each in own), Counter[Verdict]())
    others = ", ".join(f"{end.label} {number:,}" for end, number in then.most_common() if end != Verdict.FOUND)
    return f"{said}; the others are then lost at another stage: {others}." if others else f"{said}."


def p_words(p: float) -> str:
    """`0.034`, `< 0.001`, or a dash."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def seed_settle_words(seed_share: float, settled: bool) -> str:
    """Says whether more seeds or more images would narrow an interval over both, by whose variance is larger."""
    if settled:
        return "settled"
    if math.isnan(seed_share):
        return "–"
    what, share = ("seeds", seed_share) if seed_share > 0.5 else ("images", 1 - seed_share)
    return f"more {what} ({100 * share:.0f} % of the variance)"


def settle_words(more_images: float, settled: bool) -> str:
    """Says how many more images would show a difference of this size in four of five tries."""
    if math.isnan(more_images):
        return "–"
    if settled:
        return "settled"
    if math.isinf(more_images):
        return "no difference"
    return f"about {rounded(more_images):,} more images"


def rounded(number: float) -> int:
    """To two digits that count: the estimate has no more."""
    digits = max(0, len(str(int(number))) - 2)
    return int(round(number, -digits))

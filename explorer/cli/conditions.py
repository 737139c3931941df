"""`--fail-if`: conditions on differences, where their outcome is written, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explorer.cli.output import say

if TYPE_CHECKING:
    from explorer.errors.gates import Gate, Judgement
    from explorer.report.tables import Grid


@dataclass(frozen=True)
class Conditions:
    """What is to be checked, and where the outcome is written.

    Attributes:
        gates: the conditions.
        junit_file: file for a JUnit report, if any.
        markdown_file: file for the conditions and tables as Markdown, if any.
    """

    gates: Sequence[Gate]
    junit_file: Path | None
    markdown_file: Path | None

    @classmethod
    def of(cls, texts: Sequence[str], junit_file: Path | None, markdown_file: Path | None) -> Conditions:
        """Reads conditions such as `APs < -0.5`.

        Raises:
            ValueError: a text is not a condition, or there is a JUnit file and no condition.
        """
        from explorer.errors.gates import gate_of

        if junit_file and not texts:
            raise ValueError(
                '--junit writes the results of --fail-if; give at least one condition, such as --fail-if "APs < -0.5"'
            )
        return cls([gate_of(text) for text in texts], junit_file, markdown_file)

    def write(self, judged: Sequence[Judgement], grids: Sequence[Grid], notes: Sequence[str]) -> None:
        """Writes the files that are asked for."""
        from explorer.report.gates import junit, markdown
        from explorer.writing import replacing

        texts = ((self.junit_file, junit(judged, notes)), (self.markdown_file, markdown(judged, grids, notes)))
        for path, text in texts:
            if path:
                with replacing(path) as scratch:
                    scratch.write_text(text, encoding="utf-8")


def end(judged: Sequence[Judgement]) -> None:
    """Prints the outcome of each condition on standard error, and exits with code 1 if one failed."""
    from explorer.report.gates import gate_words

    for own in judged:
        say(gate_words(own), err=True)
    if any(own.outcome == "failed" for own in judged):
        raise typer.Exit(1)

"""XML files as data: no document type, so no entities, which could multiply or name other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from explorer.reading import read_bytes

_DEEPEST = 64


def read_xml(path: Path) -> Element:
    """Reads an XML file.

    Raises:
        ValueError: it cannot be read, is no XML, has a document type, or is nested too deeply.
    """
    content = read_bytes(path)
    builder, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"it has elements in each other, {_DEEPEST} deep and more")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: Any) -> None:
        raise ValueError("it has a document type (<!DOCTYPE …>), which annotations do not need: remove it")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
        root: Element = builder.close()
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:  # the last three of encodings, too
        raise ValueError(f"{path} cannot be read as XML: {error}") from error
    return root


def text_of(element: Element, place: str, otherwise: str = "") -> str:
    """Returns the text of the first element at a place below, without the space around it."""
    return (element.findtext(place) or otherwise).strip()

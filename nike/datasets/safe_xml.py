"""Reads untrusted XML files with limits on size and nesting depth. Document type declarations are rejected."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.parsers import expat

from mrcnn.errors import UserError
from nike.datasets.photos import is_file
from nike.formatting import printable

MAX_XML_BYTES = 500_000_000
MAX_XML_DEPTH = 32  # CVAT files have 5 levels
MAX_SNIFFED_BYTES = 2_000


def has_root(path: Path, tag: str) -> bool:
    """Returns whether the first MAX_SNIFFED_BYTES bytes of a file contain an element with the given tag."""
    if not is_file(path):
        return False
    with open(path, "rb") as file:
        return re.search(rb"<%s[\s>]" % tag.encode(), file.read(MAX_SNIFFED_BYTES)) is not None


def read_xml(path: str | os.PathLike, max_bytes: int = MAX_XML_BYTES) -> ET.Element:
    """Reads an untrusted XML file.

    Args:
        path: path of the file.
        max_bytes: int, maximum file size in bytes.

    Returns:
        The root element.

    Raises:
        ValueError: if the file is too large, too deeply nested, not XML, or has a document type declaration. The
            message starts with the file name.
    """
    name = printable(Path(path).name)
    with open(path, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UserError(f"{name}: larger than {max_bytes:,} bytes. Check that it is an annotation file.")
    builder, parser = ET.TreeBuilder(), expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_XML_DEPTH:
            raise UserError(f"{name}: nested deeper than {MAX_XML_DEPTH} levels. Check that it is an annotation file.")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*declaration: object) -> None:
        raise UserError(f"{name}: document types and entities are not supported. Delete <!DOCTYPE ...>.")

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UserError(f"{name}: not well-formed XML ({printable(error)}).") from None
    return builder.close()

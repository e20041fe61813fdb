"""Self-contained HTML pages without scripts or external files, with light and dark mode."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence

import numpy as np
import PIL.Image

from nike.datasets.safe_json import write_text
from nike.formatting import printable

JPEG_QUALITY = 85
STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #6b6b70; --paper: #f6f6f4; --card: #fff; --line: #e2e2de }
@media (prefers-color-scheme: dark) { :root { --ink: #ececea; --soft: #a0a0a5; --paper: #161618; --card: #212124;
  --line: #37373b } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 1200px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .25rem } h2 { font-size: 1.05rem; margin: 2.25rem 0 .75rem }
p { margin: 0 0 1rem } .soft { color: var(--soft) } .wide { overflow-wrap: anywhere }
.tables { display: flex; flex-wrap: wrap; gap: 1.5rem 4rem; align-items: flex-start }
table { border-collapse: collapse } td, th { padding: .2rem .9rem .2rem 0; text-align: right; font-weight: normal }
th { color: var(--soft) } td:first-child, th:first-child { text-align: left }
.framed { background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden }
.framed b { font-weight: 600 }
"""


def write_page(path: str | os.PathLike, title: str, style: str, body: str) -> None:
    """Writes an HTML page. `style` is CSS added to STYLE, and `body` is HTML below the heading with the title."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{text(title)}</title><style>{STYLE}{style}</style>"
    body = f"<h1>{text(title)}</h1>\n{body}"
    write_text(path, f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n')


def text(value: object) -> str:
    """Escapes a value for HTML."""
    return html.escape(printable(value))


def table(rows: Sequence[Sequence[object]]) -> str:
    """Formats rows as an HTML table. The first row is the header."""
    heading, *others = rows
    cells = "".join(f"<th>{text(cell)}</th>" for cell in heading)
    lines = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in others)
    return f"<table><tr>{cells}</tr>{lines}</table>"


def picture(image: np.ndarray, alt: str) -> str:
    """Returns an HTML element with an embedded image, uint8 `[H, W, 3]`."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{text(alt)}" loading="lazy">'

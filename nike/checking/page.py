"""The HTML page of `nike check`: every problem with a picture of the place. One file, no network, no scripts."""

from __future__ import annotations

import base64
import html
import io
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw

from mrcnn.data.reading import read_image
from nike.checking.inspection import Inspection, histogram_names
from nike.formats.records import SEVERITIES, Problem
from nike.formats.safe_json import write_text
from nike.text import plural, printable

THUMBNAIL = 280  # pixels
MAX_PICTURES = 300  # further problems are listed without; the page stays under some 10 MB
MIN_BOX = 40  # a box smaller than this on the thumbnail is shown enlarged

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #6b6b70; --paper: #f6f6f4; --card: #fff; --line: #e2e2de;
  --error: #c62828; --warning: #b26a00; --note: #1565a8; --bar: #8a8a85; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececea; --soft: #a0a0a5; --paper: #161618; --card: #212124;
  --line: #37373b; --error: #ff7b72; --warning: #e3a34a; --note: #79b8f3; --bar: #77777c; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 1200px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .25rem } h2 { font-size: 1.05rem; margin: 2.25rem 0 .75rem }
p { margin: 0 0 1rem } .soft { color: var(--soft) } .wide { overflow-wrap: anywhere }
.overview { display: flex; flex-wrap: wrap; gap: 1.5rem 4rem; align-items: flex-start }
table { border-collapse: collapse } td, th { padding: .2rem .9rem .2rem 0; text-align: right; font-weight: normal }
th { color: var(--soft) } td:first-child, th:first-child { text-align: left }
.bar { display: inline-block; height: .65rem; background: var(--bar); border-radius: 2px; vertical-align: middle }
.count { display: inline-block; margin-right: 1.25rem; font-weight: 600 }
.error { color: var(--error) } .warning { color: var(--warning) } .note { color: var(--note) }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1rem }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden }
.card .pictures { display: flex; background: var(--line); gap: 1px }
.card img { width: 100%; min-width: 0; height: 210px;
  object-fit: contain; background: var(--paper) }
.card div.text { padding: .6rem .8rem .8rem; font-size: .9rem; overflow-wrap: anywhere }
.card b { display: block; font-weight: 600 }
"""


def write_page(path: str | os.PathLike, result: Inspection, title: str) -> None:
    """Writes the page.

    Args:
        path: the HTML file.
        result: what `inspect_dataset` found.
        title: the dataset as the user knows it.
    """
    pictures = _Pictures()
    groups = []
    for severity, code, problems in result.kinds():
        cards = "".join(_card(problem, pictures) for problem in problems)
        heading = f'<span class="{severity}">{severity}</span> {_text(code)} <span class="soft">{len(problems)}</span>'
        groups.append(f'<h2>{heading}</h2><div class="cards">{cards}</div>')
    counts = ""
    for severity in SEVERITIES:
        count = result.count(severity)
        counts += f'<span class="count {severity if count else "soft"}">{plural(count, severity)}</span>'
    body = (
        f'<h1>Dataset check</h1><p class="soft wide">{_text(title)}</p><p>{counts}</p>'
        f'<div class="overview">{_parts_table(result)}{_size_table(result)}</div>'
        + ("".join(groups) or "<h2>Nothing wrong was found.</h2>")
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<title>Dataset check</title><style>{STYLE}</style></head>'
        f"<body>{body}</body></html>\n",
    )


def _text(value: object) -> str:
    return html.escape(printable(value))


def _parts_table(result: Inspection) -> str:
    classes = next(iter(result.parts.values())).classes
    heads = "".join(f"<th>{_text(name)}</th>" for name in ("", "photos", "negatives", "ignored", *classes))
    rows = ""
    for name, part in result.parts.items():
        cells = [part.photos, part.negatives, part.ignored]
        cells += [f"{c.instances} in {plural(c.photos, 'photo')}" for c in part.classes.values()]
        rows += f"<tr><td>{_text(name)}</td>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"
    return f"<table><tr>{heads}</tr>{rows}</table>"


def _size_table(result: Inspection) -> str:
    largest = max(*result.sizes, 1)
    rows = "".join(
        f'<tr><td>{name}</td><td>{count}</td><td style="text-align:left">'
        f'<span class="bar" style="width:{200 * count / largest:.0f}px"></span></td></tr>'
        for name, count in zip(histogram_names(), result.sizes, strict=True)
    )
    return f"<table><tr><th>size, network pixels</th><th>instances</th><th></th></tr>{rows}</table>"


def _card(problem: Problem, pictures: _Pictures) -> str:
    shown = [pictures.show(problem.photo, problem.extent), pictures.show(problem.beside, None)]
    images = "".join(f'<img src="{source}" alt="" loading="lazy">' for source in shown if source)
    strip = f'<div class="pictures">{images}</div>' if images else ""
    where = _text(f"{problem.file} {problem.where}")
    return f'<div class="card">{strip}<div class="text"><b>{where}</b>{_text(problem.message)}</div></div>'


class _Pictures:
    """Thumbnails as data URLs, until there are MAX_PICTURES."""

    def __init__(self):
        self.left = MAX_PICTURES
        self._read = lru_cache(maxsize=4)(_read)  # problems of one photo come one after another

    def show(self, path: Path | None, extent: tuple[float, float, float, float] | None) -> str | None:
        """The photo with the place marked; None if there is none, it cannot be read, or the page is full."""
        if path is None or self.left <= 0:
            return None
        image = self._read(path)
        if image is None:
            return None
        self.left -= 1
        buffer = io.BytesIO()
        mark(image, extent).save(buffer, "JPEG", quality=80)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _read(path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except (OSError, ValueError):
        return None


def mark(image: np.ndarray, extent: tuple[float, float, float, float] | None) -> PIL.Image.Image:
    """A thumbnail with a frame around a place; a small place is cut out and enlarged.

    Args:
        image: uint8 `[H, W, 3]`.
        extent: (y1, x1, y2, x2) pixels, or None for no frame; may reach out of the photo.
    """
    picture = PIL.Image.fromarray(image)
    y1, x1, y2, x2 = extent or (0, 0, 0, 0)
    scale = THUMBNAIL / max(picture.size)
    if extent and max(y2 - y1, x2 - x1) * scale < MIN_BOX:
        half = max(y2 - y1, x2 - x1, 8) * 2
        cy, cx = (y1 + y2) / 2, (x1 + x2) / 2
        left, top = max(int(cx - half), 0), max(int(cy - half), 0)
        right, bottom = min(int(cx + half), picture.width), min(int(cy + half), picture.height)
        if right > left and bottom > top:
            picture = picture.crop((left, top, right, bottom))
            y1, x1, y2, x2 = y1 - top, x1 - left, y2 - top, x2 - left
            scale = THUMBNAIL / max(picture.size)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    picture = picture.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=2)
    if extent:
        (left, right), (top, bottom) = np.clip([x1, x2], 0, None) * scale, np.clip([y1, y2], 0, None) * scale
        left, top, right, bottom = left - 3, top - 3, min(right, size[0]) + 3, min(bottom, size[1]) + 3
        if left + 4 < right and top + 4 < bottom:
            pen = PIL.ImageDraw.Draw(picture)
            pen.rectangle([left, top, right, bottom], outline="white", width=4)
            pen.rectangle([left + 1, top + 1, right - 1, bottom - 1], outline=(220, 0, 80), width=2)
    return picture

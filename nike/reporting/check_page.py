"""The HTML page of `nike check`, with thumbnails of the problems."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw

from mrcnn.data.image_files import read_image
from nike.datasets.inspection import Inspection, histogram_names, subset_rows
from nike.datasets.records import SEVERITIES, Problem
from nike.formatting import plural
from nike.reporting.page import picture, table, text, write_page

THUMBNAIL = 280  # pixels
MAX_PICTURES = 300  # limits the page to about 10 MB; further problems are listed without a picture
MIN_BOX = 40  # minimum side of a box in the thumbnail in pixels; photos with smaller boxes are cropped

STYLE = """
:root { --error: #c62828; --warning: #b26a00; --note: #1565a8; --bar: #8a8a85 }
@media (prefers-color-scheme: dark) { :root { --error: #ff7b72; --warning: #e3a34a; --note: #79b8f3; --bar: #77777c } }
.bar { display: inline-block; height: .65rem; background: var(--bar); border-radius: 2px; vertical-align: middle }
.count { display: inline-block; margin-right: 1.25rem; font-weight: 600 }
.error { color: var(--error) } .warning { color: var(--warning) } .note { color: var(--note) }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1rem }
.pictures { display: flex; background: var(--line); gap: 1px }
.pictures img { width: 100%; min-width: 0; height: 210px; object-fit: contain; background: var(--paper) }
.card div.text { padding: .6rem .8rem .8rem; font-size: .9rem; overflow-wrap: anywhere }
.card b { display: block }
"""


def write_check(path: str | os.PathLike, result: Inspection, title: str) -> None:
    """Writes the results of `nike check` as an HTML page.

    Args:
        path: path of the HTML file.
        result: result of `inspect_dataset`.
        title: name of the dataset.
    """
    pictures = _Thumbnails()
    groups = []
    for severity, code, problems in result.kinds():
        cards = "".join(_card(problem, pictures) for problem in problems)
        heading = f'<span class="{severity}">{severity}</span> {text(code)} <span class="soft">{len(problems)}</span>'
        groups.append(f'<h2>{heading}</h2><div class="cards">{cards}</div>')
    counts = ""
    for severity in SEVERITIES:
        count = result.count(severity)
        counts += f'<span class="count {severity if count else "soft"}">{plural(count, severity)}</span>'
    body = (
        f'<p class="soft wide">{text(title)}</p><p>{counts}</p>'
        f'<div class="tables">{table(subset_rows(result))}{_size_table(result)}</div>'
        + ("".join(groups) or "<h2>No problems found.</h2>")
    )
    write_page(path, "Dataset check", STYLE, body)


def _size_table(result: Inspection) -> str:
    largest = max(*result.sizes, 1)
    rows = "".join(
        f'<tr><td>{name}</td><td>{count}</td><td style="text-align:left">'
        f'<span class="bar" style="width:{200 * count / largest:.0f}px"></span></td></tr>'
        for name, count in zip(histogram_names(), result.sizes, strict=True)
    )
    return f"<table><tr><th>size at network input (pixels)</th><th>instances</th><th></th></tr>{rows}</table>"


def _card(problem: Problem, pictures: _Thumbnails) -> str:
    images = pictures.show(problem.photo, problem.extent) + pictures.show(problem.other_photo, None)
    strip = f'<div class="pictures">{images}</div>' if images else ""
    where = text(f"{problem.file} {problem.where}")
    return f'<div class="card framed">{strip}<div class="text"><b>{where}</b>{text(problem.message)}</div></div>'


class _Thumbnails:
    """Creates up to MAX_PICTURES thumbnails."""

    def __init__(self):
        self.left = MAX_PICTURES
        self._read = lru_cache(maxsize=4)(_read)  # problems of a photo are consecutive

    def show(self, path: Path | None, extent: tuple[float, float, float, float] | None) -> str:
        """Returns a thumbnail as HTML, or "" if the photo cannot be read or MAX_PICTURES have been created."""
        if path is None or self.left <= 0:
            return ""
        image = self._read(path)
        if image is None:
            return ""
        self.left -= 1
        return picture(np.asarray(draw_thumbnail(image, extent)), "")


def _read(path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except (OSError, ValueError):  # the check reports unreadable photos
        return None


def draw_thumbnail(image: np.ndarray, extent: tuple[float, float, float, float] | None) -> PIL.Image.Image:
    """Returns a thumbnail with a frame around a region. The photo is cropped to the surroundings of a small region.

    Args:
        image: uint8 `[H, W, 3]`.
        extent: (y1, x1, y2, x2), region in pixels, which may extend beyond the photo, or None for no frame.
    """
    photo = PIL.Image.fromarray(image)
    y1, x1, y2, x2 = extent or (0, 0, 0, 0)
    scale = THUMBNAIL / max(photo.size)
    if extent and max(y2 - y1, x2 - x1) * scale < MIN_BOX:
        half = max(y2 - y1, x2 - x1, 8) * 2
        cy, cx = (y1 + y2) / 2, (x1 + x2) / 2
        left, top = max(int(cx - half), 0), max(int(cy - half), 0)
        right, bottom = min(int(cx + half), photo.width), min(int(cy + half), photo.height)
        if right > left and bottom > top:
            photo = photo.crop((left, top, right, bottom))
            y1, x1, y2, x2 = y1 - top, x1 - left, y2 - top, x2 - left
            scale = THUMBNAIL / max(photo.size)
    size = (max(round(photo.width * scale), 1), max(round(photo.height * scale), 1))
    photo = photo.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=2)
    if extent:
        (left, right), (top, bottom) = np.clip([x1, x2], 0, None) * scale, np.clip([y1, y2], 0, None) * scale
        left, top, right, bottom = left - 3, top - 3, min(right, size[0]) + 3, min(bottom, size[1]) + 3
        if left + 4 < right and top + 4 < bottom:
            pen = PIL.ImageDraw.Draw(photo)
            pen.rectangle([left, top, right, bottom], outline="white", width=4)
            pen.rectangle([left + 1, top + 1, right - 1, bottom - 1], outline=(220, 0, 80), width=2)
    return photo

"""Line and bar charts over [0, 1] as inline SVG, without scripts, fonts or external files.

Colors are CSS classes `c0`, `c1`, ..., defined in STYLE for light and dark mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nike.reporting.page import text

WIDTH, HEIGHT = 420, 270  # in SVG units
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 10, 40  # margins for the axis labels
TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)

STYLE = """
:root { --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b0669a }
@media (prefers-color-scheme: dark) { :root { --c0: #5ab4ec; --c1: #ff9a52; --c2: #3fcf9f; --c3: #dd9cc8 } }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 1rem }
figure.chart { margin: 0; padding: .9rem 1rem .4rem }
figure.chart > svg { display: block; width: 100%; height: auto; font-size: 11px }
figure.chart figcaption b { display: block }
.legend { display: inline-block; margin-right: 1rem; font-size: .85rem; color: var(--soft) }
.legend svg { display: inline-block; width: 22px; height: 8px; vertical-align: middle; margin-right: .3rem }
.c0 { stroke: var(--c0); fill: var(--c0) } .c1 { stroke: var(--c1); fill: var(--c1) }
.c2 { stroke: var(--c2); fill: var(--c2) } .c3 { stroke: var(--c3); fill: var(--c3) }
path.line { fill: none; stroke-width: 2; stroke-linejoin: round } .dashed { stroke-dasharray: 5 4 }
.column { stroke: none } .grid { stroke: var(--line); stroke-width: 1 }
.vertical { stroke: var(--soft); stroke-dasharray: 2 3 }
figure.chart text { fill: var(--soft) } .dot { stroke: var(--card); stroke-width: 2 }
"""


@dataclass(frozen=True)
class Series:
    """A data series.

    Attributes:
        label: str, legend entry.
        values: y values of a line, or counts of bars.
        color: str, CSS class.
        x: x values of a line.
        dashed: bool, whether the line is dashed.
    """

    label: str
    values: Sequence[float]
    color: str
    x: Sequence[float] = ()
    dashed: bool = False


def _x(value: float) -> float:
    return LEFT + value * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    return TOP + (1 - value) * (HEIGHT - TOP - BOTTOM)


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    dots: Iterable[tuple[float, float, str]] = (),
    verticals: Iterable[tuple[float, str]] = (),
) -> str:
    """Draws lines over [0, 1] x [0, 1].

    Args:
        title: str, title of the chart.
        series: list of `Series`. Series without points are skipped.
        x_label, y_label: str, axis labels.
        dots: (x, y, tooltip) of highlighted points.
        verticals: (x, tooltip) of vertical lines.
    """
    parts = [_axes(x_label, y_label, [(tick, f"{tick:g}") for tick in TICKS])]
    for x, tip in verticals:
        path = f"M{_x(x):.1f} {_y(0):.1f}V{_y(1):.1f}"
        parts.append(f'<path class="vertical" d="{path}"><title>{text(tip)}</title></path>')
    for line in series:
        points = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(line.x, line.values, strict=True))
        if points:
            style = f"line {line.color}{' dashed' if line.dashed else ''}"
            parts.append(f'<path class="{style}" d="M{points}"/>')
    for x, y, tip in dots:
        parts.append(
            f'<circle class="dot c0" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="5"><title>{text(tip)}</title></circle>'
        )
    return _figure(title, parts, series, is_line=True)


def bar_chart(title: str, edges: Sequence[float], series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Draws stacked bars.

    Args:
        title: str, title of the chart.
        edges: N + 1 bin edges from 0 to 1.
        series: list of `Series` with N counts each, stacked from bottom to top.
        x_label, y_label: str, axis labels.
    """
    sums = [sum(counts) for counts in zip(*(one.values for one in series), strict=True)]
    highest = _round_up(max([*sums, 1]))
    parts = [_axes(x_label, y_label, [(tick, f"{tick * highest:g}") for tick in (0, 0.5, 1)])]
    for i, (left, right) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        base = 0.0
        for one in series:
            if not one.values[i]:
                continue
            bottom, base = base, base + one.values[i] / highest
            size = f'width="{_x(right) - _x(left) - 2:.1f}" height="{_y(bottom) - _y(base):.1f}"'
            tip = text(f"{left:g} to {right:g}: {one.values[i]:g} {one.label}")
            position = f'x="{_x(left) + 1:.1f}" y="{_y(base):.1f}"'
            parts.append(f'<rect class="column {one.color}" {position} {size}><title>{tip}</title></rect>')
    return _figure(title, parts, series, is_line=False)


def _round_up(value: float) -> int:
    """Rounds up to 2, 4, 6, 10, 20, 40, ..., so that the tick at half of the result is an integer."""
    scale = 1
    while True:
        for step in (2, 4, 6, 10):
            if step * scale >= value:
                return step * scale
        scale *= 10


def _axes(x_label: str, y_label: str, y_ticks: Sequence[tuple[float, str]]) -> str:
    parts = []
    for value, label in y_ticks:
        parts.append(f'<path class="grid" d="M{_x(0)} {_y(value):.1f}H{_x(1)}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{_y(value) + 4:.1f}" text-anchor="end">{label}</text>')
    for value in TICKS:
        parts.append(f'<path class="grid" d="M{_x(value):.1f} {_y(0)}v4"/>')
        parts.append(f'<text x="{_x(value):.1f}" y="{_y(0) + 17:.1f}" text-anchor="middle">{value:g}</text>')
    middle = _y(0.5)
    parts.append(f'<text x="{_x(0.5)}" y="{HEIGHT - 6}" text-anchor="middle">{text(x_label)}</text>')
    turn = f'transform="rotate(-90 11 {middle})"'
    parts.append(f'<text x="11" y="{middle}" text-anchor="middle" {turn}>{text(y_label)}</text>')
    return "".join(parts)


def _figure(title: str, parts: Sequence[str], series: Sequence[Series], is_line: bool) -> str:
    legend = "".join(_legend(one, is_line) for one in series)
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}">{"".join(parts)}</svg>'
    return f'<figure class="chart framed"><figcaption><b>{text(title)}</b>{legend}</figcaption>{drawing}</figure>'


def _legend(one: Series, is_line: bool) -> str:
    shape = f'<rect class="column {one.color}" x="6" width="10" height="8"/>'
    if is_line:
        shape = f'<path class="line {one.color}{" dashed" if one.dashed else ""}" d="M0 4H22"/>'
    return f'<span class="legend"><svg viewBox="0 0 22 8" aria-hidden="true">{shape}</svg>{text(one.label)}</span>'

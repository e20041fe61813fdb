"""Charts: valid SVG, positions, arbitrary texts and values."""

import re
import xml.etree.ElementTree as ET

import pytest

from nike.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Series, bar_chart, line_chart


def parse(chart):
    figure = ET.fromstring(chart.replace("&nbsp;", " "))
    return figure, figure.find("svg")


def points(path):
    return [tuple(map(float, pair.split(","))) for pair in path.get("d")[1:].split()]


def test_lines_are_scaled_to_the_plot_area():
    _, svg = parse(line_chart("t", [Series("a", [0, 1], "c0", [0, 1])], "x", "y"))
    (line,) = [path for path in svg.findall("path") if "line" in path.get("class").split()]
    assert points(line) == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]


def test_empty_lines_dots_and_marks():
    chart = line_chart("t", [Series("a", [], "c0", [])], "x", "y", [(0.5, 0.25, "here")], [(0.5, "there")])
    figure, svg = parse(chart)
    assert not [path for path in svg.findall("path") if "line" in path.get("class").split()]
    (dot,) = svg.findall("circle")
    assert float(dot.get("cx")) == LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert dot.find("title").text == "here"
    assert "there" in [title.text for title in svg.iter("title")]
    assert [span.find("svg").tail for span in figure.iter("span")] == ["a"]


def test_bars_are_stacked_to_scale():
    series = [Series("good", [3, 0], "c0"), Series("bad", [1, 2], "c1")]
    _, svg = parse(bar_chart("t", [0, 0.5, 1], series, "x", "y"))
    bars = [{k: float(bar.get(k)) for k in ("x", "y", "width", "height")} for bar in svg.findall("rect")]
    full = HEIGHT - TOP - BOTTOM  # the axis ends at 4
    assert [bar["height"] for bar in bars] == pytest.approx([full * 3 / 4, full / 4, full / 2], abs=0.11)
    assert bars[1]["y"] + bars[1]["height"] == pytest.approx(bars[0]["y"], abs=0.11)
    assert bars[0]["x"] == bars[1]["x"] < bars[2]["x"]


@pytest.mark.parametrize("highest, top", [(0, 2), (1, 2), (3, 4), (7, 10), (11, 20), (61, 100), (12345, 20000)])
def test_axes_end_at_rounded_numbers(highest, top):
    chart = bar_chart("t", [0, 1], [Series("a", [highest], "c0")], "x", "y")
    labels = re.findall(r'text-anchor="end">([^<]+)<', chart)
    assert labels == [f"{share * top:g}" for share in (0, 0.5, 1)]


def test_texts_are_escaped():
    evil = "<script>\"&'"
    for chart in (
        line_chart(evil, [Series(evil, [0], "c0", [0])], evil, evil, [(0, 0, evil)], [(0, evil)]),
        bar_chart(evil, [0, 1], [Series(evil, [1], "c0")], evil, evil),
    ):
        assert "<script>" not in chart
        parse(chart)

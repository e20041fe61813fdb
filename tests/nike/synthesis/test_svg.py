import numpy as np
import pytest

from nike.synthesis.svg import MAX_BYTES, flatten_path, read_svg

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{}</svg>'


def area(outline):
    x, y = outline.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@pytest.mark.parametrize(
    "d",
    [
        "M1 2 L5 2 L5 4 L1 4 Z",
        "m1,2 4,0 0,2 -4,0z",  # further coordinate pairs after a move are line segments
        "M1 2H5V4H1Z",
        "M 1 2 h4v2h-4 z",
        "M1 2L5 2 5 4 1 4 1 2",  # explicit closing segment
        "M1e0 2.0h+4v.2e1h-4z",
    ],
)
def test_equivalent_path_data_of_a_rectangle(d):
    (outline,) = flatten_path(d)
    np.testing.assert_allclose(outline, [(1, 2), (5, 2), (5, 4), (1, 4)])


def test_numbers_need_no_separator():
    np.testing.assert_allclose(flatten_path("M0 0l1-1.5.5-.25z")[0], [(0, 0), (1, -1.5), (1.5, -1.75)])


def test_line_after_closing_starts_at_the_first_point():
    first, second = flatten_path("M1 1h2v2z l-1 0 0-1z")
    np.testing.assert_allclose(second, [(1, 1), (0, 1), (0, 0)])
    assert len(first) == 3


@pytest.mark.parametrize("d", ["M2 0A2 2 0 0 1-2 0A2 2 0 0 1 2 0z", "M2 0a2 2 0 01-4 0a2 2 0 014 0z"])
def test_two_half_arcs_form_a_circle(d):
    (outline,) = flatten_path(d)
    np.testing.assert_allclose(np.hypot(*outline.T), 2, rtol=3e-4)  # arcs are approximated by cubic curves
    assert area(outline) == pytest.approx(np.pi * 4, rel=0.01)
    assert outline[1, 1] > 0  # sweep 1 is clockwise with y down


@pytest.mark.parametrize(("large", "sweep", "expected"), [(0, 0, 0.25), (0, 1, 0.25), (1, 0, 0.75), (1, 1, 0.75)])
def test_arc_flags_select_the_arc(large, sweep, expected):
    (outline,) = flatten_path(f"M0 0A1 1 0 {large}{sweep} 1 1L{'1 0' if sweep else '0 1'}z")
    end = np.flatnonzero(np.abs(outline - (1, 1)).max(axis=1) < 1e-9)[0]
    length = np.hypot(*np.diff(outline[: end + 1], axis=0).T).sum()
    assert length == pytest.approx(expected * 2 * np.pi, rel=0.01)


def test_too_small_arc_radius_is_scaled_up():
    (outline,) = flatten_path("M0 0A1 1 0 0 1 10 0z")
    np.testing.assert_allclose(np.hypot(outline[:, 0] - 5, outline[:, 1]), 5, rtol=3e-4)


def test_bezier_curves_match_their_formulas():
    cubic = flatten_path("M0 0C0 1 1 1 1 0z")[0]
    t = np.arange(17) / 16
    np.testing.assert_allclose(cubic[:, 1], 3 * t * (1 - t), atol=1e-12)
    quadratic = flatten_path("M0 0Q1 2 2 0z")[0]
    np.testing.assert_allclose(quadratic, np.stack([2 * t, 4 * t * (1 - t)], 1), atol=1e-12)


def test_smooth_curves_mirror_the_last_control_point():
    np.testing.assert_allclose(
        flatten_path("M0 0C0 1 1 1 1 0S2-1 2 0z")[0], flatten_path("M0 0C0 1 1 1 1 0C1-1 2-1 2 0z")[0]
    )
    np.testing.assert_allclose(flatten_path("M0 0Q1 2 2 0T4 0z")[0], flatten_path("M0 0Q1 2 2 0Q3-2 4 0z")[0])
    np.testing.assert_allclose(flatten_path("M0 0L2 0T4 1z")[0][-1], (4, 1))  # without a control point, T is a line


@pytest.mark.parametrize(
    ("d", "message"),
    [
        ("M0 0L1", "invalid path data"),
        ("0 0 1 1", "invalid path data"),
        ("M0 0A1 1 0 2 0 1 1", "invalid path data"),
        ("M0 0L1e999 0L0 1z", "beyond 1e\\+06"),
        ("M0 0L2000000 0L0 1z", "beyond 1e\\+06"),
        ("M0 0Lnan 1z", "invalid path data"),
    ],
)
def test_invalid_path_data_raises(d, message):
    with pytest.raises(ValueError, match=message):
        flatten_path(d)


BOMB = '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "M0 0"><!ENTITY b "&a;&a;&a;&a;">]>' + SVG.format(
    '<path d="&b;"/>'
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB.encode(), "document types"),
        (b'<!DOCTYPE svg SYSTEM "file:///etc/passwd">' + SVG.format("").encode(), "document types"),
        (SVG.format('<path d="M0 0h9v9z">').encode(), "well-formed"),
        (SVG.format("<circle r='5'/>").encode(), "no <path"),
        (SVG.format("<path/>").encode(), "no <path"),
        (SVG.format('<path d="M0 0L1 1 2 2z"/>').encode(), "encloses an area"),
        (SVG.format('<path d="M0 0h1"/>').encode(), "no <path"),
        (SVG.format('<path d="M0 0h1"/><path d="M0 0 L"/>').encode(), r"path\[1\]: invalid path data"),
        (b"<svg>" + b" " * MAX_BYTES + b"</svg>", "larger than 1,048,576 bytes"),
        (b"<g>" * 300000, "nested deeper"),
        (b"", "well-formed"),
        (b"\x00\xff\xfe", "well-formed"),
    ],
)
def test_invalid_files_raise_a_one_line_message(tmp_path, content, message):
    path = tmp_path / "logo.svg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_svg(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nested_paths_are_read(tmp_path):
    path = tmp_path / "logo.svg"
    path.write_text(SVG.format('<g><path d="M0 0h1v1z"/><g><path d="M5 5h1v1z m3 0h1v1z"/></g></g>'), encoding="utf-8")
    assert [outline[0].tolist() for outline in read_svg(path)] == [[0, 0], [5, 5], [8, 5]]


def test_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.svg"):
        read_svg(tmp_path / "nowhere.svg")

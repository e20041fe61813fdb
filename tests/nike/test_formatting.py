"""Formatting of values: safe for terminals, limited in length, with complete file names."""

from nike.formatting import MAX_SHORT, align_columns, plural, printable, short


def test_control_characters_are_escaped():
    assert printable("a\x1b[31m\n\udc80b") == "a\\x1b[31m\\n\\udc80b"


def test_short_is_bounded_for_any_value():
    for value in ("x" * 10**6, ["y" * 10**6] * 100, {i: [i] * 100 for i in range(1000)}, 10**4000):
        assert len(short(value)) <= MAX_SHORT and short(value).isprintable()


def test_file_names_are_not_truncated():
    name = "train/" + "air-zoom-pegasus-41-road-running-shoes-" + "KcmWJb.jpg"
    assert short(name) == repr(name)


def test_counts():
    assert [plural(n, "photo") for n in (0, 1, 2)] == ["no photos", "1 photo", "2 photos"]


def test_tables():
    assert list(align_columns([["", "AP"], ["mask", "0.5"]])) == ["       AP", "mask  0.5"]

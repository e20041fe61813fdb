"""docs/comparison.md: entries for this project name existing tests, and claims about other projects have sources."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
TABLE, _, REST = TEXT.partition("\n## ")
ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in TABLE.splitlines() if line.startswith("|")]
HEADER, ROWS = ROWS[0], ROWS[2:]
SOURCES = dict(re.findall(r"^(\d+)\. .*\((https://\S+?)\)", TEXT, re.MULTILINE))


def test_the_table_has_its_columns():
    assert HEADER == ["Feature", "Ultralytics", "supervision, labelme", "nike-mrcnn", "Test"]
    assert len(ROWS) > 15 and {len(row) for row in ROWS} == {5}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_entries_for_this_project_name_a_command_or_page_and_existing_tests(row):
    tests = re.fullmatch(r"(?:`([^`]+)` ?)+", row[4]) and re.findall("`([^`]+)`", row[4])
    for test in tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test
    shown = re.findall(r"`nike [a-z]+|\]\(([\w/-]+\.md)\)", row[3])
    assert shown, row[3]
    assert all((ROOT / "docs" / page).is_file() for page in shown if page)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_claims_about_other_projects_have_sources(row):
    for cell in row[1:3]:
        for claim in cell.split("; "):
            assert claim == "–" or re.search(r"\[\d+\]$", claim), claim


def test_sources_are_numbered_and_used():
    assert list(SOURCES) == [str(number) for number in range(1, len(SOURCES) + 1)]
    assert set(re.findall(r"\[(\d+)\](?!\()", TABLE)) == set(SOURCES)


def test_advantages_of_the_other_projects_are_listed():
    assert all(f"**{name}**" in REST for name in ("Ultralytics", "supervision", "labelme"))

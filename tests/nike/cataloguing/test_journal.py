"""The journal: an image is marked as crashed only after two attempts that ended on it."""

from nike.cataloguing.journal import Journal


def attempt(output, *rows, ended=False):
    journal = Journal(output, 3)
    for row in rows:
        journal.record_row(row)
    if ended:
        journal.finish_rows()
    return journal


def test_an_image_is_marked_after_two_attempts(tmp_path):
    first = attempt(tmp_path)
    assert not first.is_careful and first.crashed == set()
    assert attempt(tmp_path, 0, 1).is_careful
    assert attempt(tmp_path, 0, 1).crashed == set()  # the first crash may have another cause
    assert attempt(tmp_path, 0, 2).crashed == {1}
    assert attempt(tmp_path, 0, 2).crashed == {1}
    last = attempt(tmp_path)
    assert last.crashed == {1, 2}
    last.delete()
    assert not attempt(tmp_path).is_careful


def test_a_crash_after_all_rows_marks_no_image(tmp_path):
    attempt(tmp_path)
    for _ in range(3):
        assert attempt(tmp_path, 0, 1, ended=True).crashed == set()

"""Writing and reading of history.csv."""

import os

import pytest

from mrcnn.training.history import read_history, write_history
from mrcnn.training.progress import Progress

ROWS = [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.25, "val_mask_AP": 0.5}, {"epoch": 3, "loss": 1.0}]


def test_rows_are_read_up_to_an_epoch(tmp_path):
    write_history(ROWS, tmp_path)
    assert (tmp_path / "history.csv").read_text() == "epoch,loss,val_mask_AP\n1,2.5,\n2,1.25,0.5\n3,1,\n"
    assert read_history(tmp_path, 2) == ROWS[:2]


@pytest.mark.parametrize("text", [None, "", "epoch,loss\n1\n2,x\n", "loss\n3\n", "epoch\nnan\n", "\0"])
def test_other_files_are_rejected(tmp_path, text):
    if text is not None:
        (tmp_path / "history.csv").write_text(text)
    assert read_history(tmp_path, 9) == []


def test_the_best_epoch_is_restored():
    progress = Progress.from_rows(3, ROWS)
    assert (progress.epoch, progress.best) == (3, {"epoch": 2, "mask_AP": 0.5})


def test_a_full_disk_keeps_the_earlier_file(tmp_path, monkeypatch):
    write_history([{"epoch": 1, "loss": 2.0}], tmp_path)
    before = (tmp_path / "history.csv").read_text()

    def no_space(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match=r"history.csv: the history could not be written \(No space left on device\)"):
        write_history([{"epoch": 2, "loss": 1.0}], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["history.csv"]
    assert (tmp_path / "history.csv").read_text() == before

"""`nike runs`: table and JSON of complete, new and damaged runs."""

import json
import os

from nike.runs import find_runs, main

HISTORY = "epoch,loss,val_mask_AP,val_box_AP\n1,2.0,0.25,0.3\n2,1.5,0.4,0.35\n3,1.4,0.31,0.5\n"


def write_run(folder, name, history, argv=None, time=0):
    run = folder / name
    run.mkdir()
    (run / "history.csv").write_text(history)
    os.utime(run / "history.csv", (time, time))
    if argv is not None:
        (run / "run.json").write_text(json.dumps({"argv": argv}))
        photos = {"labels": {"nike": "nike"}, "train": [["a.jpg", 1], ["b.jpg", 2]], "val": [["c.jpg", 3]]}
        (run / "photos.json").write_text(json.dumps(photos))


def test_the_best_epoch_of_each_run(tmp_path, capsys):
    write_run(tmp_path, "new", "epoch,loss\n1,3.0\n", time=2)
    write_run(tmp_path, "old", HISTORY, ["--epochs", "3", "--dataset", "shoes"], time=1)
    assert main(["--logs", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "epochs", "best", "mask", "AP", "box", "AP", "train", "val", "options"]
    assert lines[1].split() == ["old", "3", "2", "0.400", "0.350", "2", "1", "--epochs", "3", "--dataset", "shoes"]
    assert lines[2].split() == ["new", "1", "-", "-", "-", "-", "-"]
    assert main(["--logs", str(tmp_path), "--json", "--sort", "AP"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [(run["name"], run["mask_AP"]) for run in runs] == [("new", None), ("old", 0.4)]


def test_the_best_epoch_of_a_run_without_masks_has_the_best_box_ap(tmp_path):
    write_run(tmp_path, "boxes", "epoch,loss,val_box_AP\n1,3.0,0.5\n2,2.0,0.7\n3,1.5,0.6\n", time=1)
    (run,) = find_runs(tmp_path)
    assert (run.best_epoch, run.mask_AP, run.box_AP) == (2, None, 0.7)


def test_a_run_interrupted_in_the_first_epoch_is_listed(tmp_path):
    write_run(tmp_path, "young", "", ["--epochs", "3"])
    (tmp_path / "young" / "history.csv").unlink()
    (run,) = find_runs(tmp_path)
    assert (run.name, run.epochs, run.best_epoch, run.train) == ("young", 0, None, 2)


def test_damaged_runs_are_listed(tmp_path, capsys):
    write_run(tmp_path, "damaged", "epoch,val_mask_AP\nx,1\n1,nan\n,\n\x00", ["--epochs", "\x1b[31m"], time=1)
    (tmp_path / "damaged" / "run.json").write_text("[1]")
    assert main(["--logs", str(tmp_path)]) == 0
    assert "damaged" in capsys.readouterr().out


def test_no_runs_give_a_one_line_message(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "missing"):
        assert main(["--logs", str(folder)]) == 2
        assert "no runs found. Start one with nike train" in capsys.readouterr().err

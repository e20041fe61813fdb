"""Comparison of the models of the papers: plans of all rows, resuming, mean and standard deviation.

`nike train` only plans the runs.
"""

import csv
import re
from pathlib import Path

import pytest

from nike import train
from nike.training import paper_models
from nike.training.preparation import new_run
from nike.training.run_config import prepend_config_options

QUICK = ["--quick", "--images=1"]


class FakeTrain:
    """Replaces the process of `nike train`. It checks the options and writes a history with AP 0.1.

    Attributes:
        runs: planned runs by name.
        resumed: values of `--resume`.
        stop: name of a run that is interrupted after it has saved its state.
    """

    def __init__(self):
        self.runs, self.resumed, self.stop = {}, [], None

    def __call__(self, argv, log):
        if argv[0].startswith("--resume="):
            folder = Path(argv[0].removeprefix("--resume="))
            self.resumed.append(folder.name)
        else:
            argv = prepend_config_options(argv)
            arguments = train.parse(argv)
            self.runs[arguments.name] = new_run(arguments, argv)
            folder = arguments.logs / f"{arguments.name}20260101T0000"
            folder.mkdir()
            (folder / "training_run_partial.state").touch()
            if arguments.name == self.stop:
                log.write_text("loading\nerror: disk full\n")
                return 2
        with open(folder / "history.csv", "w", newline="") as file:
            rows = csv.DictWriter(file, [f"val_{metric}" for metric in paper_models.METRICS])
            rows.writeheader()
            rows.writerow({})  # an epoch without validation
            rows.writerow({f"val_{metric}": 0.1 for metric in paper_models.METRICS})
        return 0


@pytest.fixture
def fake(monkeypatch):
    fake = FakeTrain()
    monkeypatch.setattr(paper_models, "run_training", fake)
    return fake


def test_rows_plan_equal_steps_and_their_own_model(fake, tmp_path, capsys):
    assert paper_models.main([*QUICK, "--rows", *paper_models.ROWS, "--output", str(tmp_path / "out")]) == 0
    assert set(fake.runs) == {f"{name}-0" for name in paper_models.ROWS}
    for run in fake.runs.values():
        assert run.stages[-1].epochs * run.config.STEPS_PER_EPOCH == 4
        assert run.data.train.class_names == ["BG", "nike", "ring", "star"]
        assert len(run.data.val.image_ids) == 3 + 6 and run.arguments.seed == 0
    configs = {name: fake.runs[f"{name}-0"].config for name in paper_models.ROWS}
    assert [name for name, config in configs.items() if config.ROI_POOLING == "pool"] == ["fpn-pool", "c4-pool"]
    assert [name for name, config in configs.items() if config.MASK_ACTIVATION == "softmax"] == ["fpn-softmax"]
    assert configs["c4"].BACKBONE == "resnet50_c4" and configs["random-resnext"].BACKBONE == "resnext50"
    losses = [stage.options["losses"] for stage in fake.runs["fpn-alternating-0"].stages]
    assert losses == ["rpn", "mrcnn", "rpn", "mrcnn"]
    assert [stage.layers for stage in fake.runs["fpn-0"].stages] == ["all"]
    text = (tmp_path / "out" / "table.md").read_text()
    assert text.count(" 0.100 ") == 4 * len(paper_models.ROWS) and text in capsys.readouterr().out


def test_mean_and_sample_standard_deviation():
    runs = [dict.fromkeys(paper_models.METRICS, value) | {"box_AP": 0.5} for value in (0.1, 0.3)]
    *_, row = paper_models.markdown_table({"c4": runs}).splitlines()
    assert row == f"| ResNet-50-C4 | {'0.200 ± 0.141 | ' * 3}0.500 ± 0.000 |"  # 0.2 / sqrt(2)


def test_the_output_of_training_is_kept(tmp_path):
    (tmp_path / "run.log").write_text("earlier\n")
    assert paper_models.run_training(["--epochs=0"], tmp_path / "run.log") == 2
    expected = "earlier\nerror: --epochs: expected at least 1, got 0.\n"
    assert (tmp_path / "run.log").read_text() == expected


def test_an_interrupted_command_continues(fake, tmp_path, capsys):
    argv = [*QUICK, "--rows", "fpn", "c4", "--output", str(tmp_path)]
    fake.stop = "c4-0"
    assert paper_models.main(argv) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'runs' / 'c4-0.log'}: error: disk full\n"
    assert paper_models.main(argv) == 0
    assert fake.resumed == ["c4-020260101T0000"] and len(fake.runs) == 2
    capsys.readouterr()
    assert paper_models.main(argv) == 0  # all runs are finished
    assert len(fake.resumed) == 1 and capsys.readouterr().out.count(" 0.100 ") == 2 * 4


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--steps=6"], "--steps: expected a multiple of 4, got 6"),
        (["--seeds=0"], "--seeds: expected at least 1, got 0"),
        (["--image-size=100"], "IMAGE_MAX_DIM must be a multiple of 64"),
        (["--weights=nosuch.h5"], "--weights: .* got nosuch.h5"),
        ([*QUICK, "--steps=8"], "results of different options.*'steps': 4.*Choose another --output"),
    ],
)
def test_user_errors_are_one_line(fake, tmp_path, capsys, argv, message):
    assert paper_models.main([*QUICK, "--rows", "fpn", "--output", str(tmp_path)]) == 0
    capsys.readouterr()
    assert paper_models.main([*argv, "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


def test_a_user_error_leaves_no_files_in_the_output_folder(fake, tmp_path):
    assert paper_models.main([*QUICK, "--image-size=100", "--output", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())

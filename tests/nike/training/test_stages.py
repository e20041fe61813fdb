"""Stages of a training run."""

import argparse
import re

import pytest

from nike.training.stages import StageSpec, default_warmup, parse_stage, plan_given_stages, plan_stages


def ends(stages):
    return [(stage.layers, stage.epochs) for stage in stages]


@pytest.mark.parametrize("epochs, heads", [(2, 1), (5, 1), (12, 2), (30, 5)])
def test_heads_are_trained_first_for_a_sixth_of_the_epochs(epochs, heads):
    assert ends(plan_stages(epochs, 0.1, None, "heads-first")) == [("heads", heads), ("3+", epochs)]


def test_the_learning_rate_schedule_applies_to_the_last_stage():
    heads, last = plan_stages(12, 0.1, None, "heads-first")
    assert heads.options == {"schedule": "constant"} and not last.options


@pytest.mark.parametrize("steps, warmup", [(10, 0), (432, 21), (6000, 100)])
def test_the_warmup_of_short_runs_is_shortened(steps, warmup):
    assert default_warmup(steps) == warmup


def test_one_epoch_has_one_stage():
    assert ends(plan_stages(1, 0.1, None, "heads-first")) == [("3+", 1)]


def test_all_layers_are_trained_from_the_start_if_the_backbone_is_random():
    assert ends(plan_stages(30, 0.1, None, "heads-first", from_scratch=True)) == [("all", 30)]


def test_given_layers_are_a_single_stage():
    assert ends(plan_stages(7, 0.1, "4+", "alternating")) == [("4+", 7)]


def test_alternating_trains_each_half_with_its_own_losses():
    stages = plan_stages(10, 0.1, None, "alternating")
    assert [stage.epochs for stage in stages] == [2, 5, 7, 10]
    assert [stage.options["losses"] for stage in stages] == ["rpn", "mrcnn", "rpn", "mrcnn"]
    names = ["conv1", "fpn_p2", "rpn_conv_shared", "mrcnn_mask"]
    trained = [[name for name in names if re.fullmatch(stage.layers, name)] for stage in stages]
    assert trained == [names[:3], [*names[:2], names[3]], names[2:3], names[3:]]


def test_alternating_needs_four_epochs():
    with pytest.raises(ValueError, match="--epochs: --schedule=alternating requires at least 4, got 3"):
        plan_stages(3, 0.1, None, "alternating")


@pytest.mark.parametrize(
    "text, spec",
    [
        ("heads,5", StageSpec("heads", 5)),
        ("4+,20,1e-4", StageSpec("4+", 20, 1e-4)),
        (" heads , 5", StageSpec("heads", 5)),
        ("rpn_.*,3,.5", StageSpec("rpn_.*", 3, 0.5)),
    ],
)
def test_notation_of_a_stage(text, spec):
    assert parse_stage(text) == spec


INVALID = [
    "",
    "heads",
    "heads,",
    "heads,0",
    "heads,1.5",
    ",5",
    "heads,5,0",
    "heads,5,10",
    "heads,5,x",
    "heads,5,all,25",
]
INVALID += ["(,5", "a{99999999999999},5"]


@pytest.mark.parametrize("text", INVALID)
def test_invalid_notation_of_a_stage(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected LAYERS,EPOCHS"):
        parse_stage(text)


def test_a_stage_is_printed_in_the_same_notation():
    assert [str(parse_stage(text)) for text in ("heads,5", "all,25,0.001")] == ["heads,5", "all,25,0.001"]


def test_given_stages():
    stages = plan_given_stages([StageSpec("heads", 2), StageSpec("all", 4, 0.5)], None, 0.1)
    assert [(stage.title, stage.layers, stage.epochs, stage.learning_rate) for stage in stages] == [
        ("stage 1: heads", "heads", 2, 0.1),
        ("stage 2: all", "all", 6, 0.5),
    ]


@pytest.mark.parametrize(
    "counts, epochs, expected",
    [
        ([2, 4], 60, [20, 60]),
        ([1, 8, 1], 3, [1, 2, 3]),  # at least one epoch per stage
        ([1, 8, 1], 5, [1, 4, 5]),
        ([9, 1, 1], 4, [2, 3, 4]),
        ([5], 2, [2]),
    ],
)
def test_another_number_of_epochs_is_divided_among_the_given_stages(counts, epochs, expected):
    stages = plan_given_stages([StageSpec("all", count) for count in counts], epochs, 0.1)
    assert [stage.epochs for stage in stages] == expected


def test_fewer_epochs_than_given_stages():
    with pytest.raises(ValueError, match="--epochs: 2 stages require at least 2 epochs, got 1"):
        plan_given_stages([StageSpec("heads", 1), StageSpec("all", 1)], 1, 0.1)

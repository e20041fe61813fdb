"""Stages of a training run."""

import re

import pytest

from nike.training.stages import default_warmup, plan_stages


def ends(stages):
    return [(stage.layers, stage.epochs) for stage in stages]


@pytest.mark.parametrize("epochs, heads", [(2, 1), (5, 1), (12, 2), (30, 5)])
def test_heads_are_trained_first_for_a_sixth_of_the_epochs(epochs, heads):
    assert ends(plan_stages(epochs, 0.1, None, "heads-then-all")) == [("heads", heads), ("all", epochs)]


def test_the_learning_rate_schedule_applies_to_the_last_stage():
    heads, last = plan_stages(12, 0.1, None, "heads-then-all")
    assert heads.options == {"schedule": "constant"} and not last.options


@pytest.mark.parametrize("steps, warmup", [(10, 0), (432, 21), (6000, 100)])
def test_the_warmup_of_short_runs_is_shortened(steps, warmup):
    assert default_warmup(steps) == warmup


def test_one_epoch_has_one_stage():
    assert ends(plan_stages(1, 0.1, None, "heads-then-all")) == [("all", 1)]


def test_all_layers_are_trained_from_the_start_if_the_backbone_is_random():
    assert ends(plan_stages(30, 0.1, None, "heads-then-all", from_scratch=True)) == [("all", 30)]


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

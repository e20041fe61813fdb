"""Plots and tables."""

import types

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mrcnn import visualize
from mrcnn.visualization import tables


@pytest.fixture(autouse=True)
def no_windows():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def test_precision_recall_curve():
    ax = visualize.plot_precision_recall(0.725, np.array([1, 1, 0.5, 0]), np.array([0, 0.5, 1, 1]))
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 1], [0.5, 1], [1, 0.5], [1, 0]])
    assert ax.get_title() == "Precision-Recall Curve. AP@50 = 0.725"


def test_plot_overlaps_labels_matches():
    overlaps = np.array([[0.9, 0.0], [0.6, 0.4]])
    ax = visualize.plot_overlaps(
        np.array([1, 2, 0]), np.array([1, 2, 0]), np.array([0.95, 0.5, 0.0]), overlaps, ["BG", "nike", "puma"]
    )
    assert [text.get_text() for text in ax.texts] == ["0.900\nmatch", "0.000", "0.600\nwrong", "0.400"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["nike 0.95", "puma 0.50"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["nike", "puma"]


# Training curves

HISTORY = {
    "loss": [3.0, 2.0, 1.5],
    "val_loss": [3.2, 2.5, 2.1],
    "mrcnn_mask_loss": [1.0, 0.8, 0.7],
    "val_mask_AP50": [None, 0.4, 0.5],
    "val_mask_APs": [-1.0, -1.0, 0.3],
    "lr": [0.01, 0.01, 0.001],
    "images_per_second": [9, 9, 9],
}


def lines(figure) -> dict[str, list]:
    return {ax.get_title(): [line.get_xydata().tolist() for line in ax.lines] for ax in figure.axes}


def test_training_curves_of_a_history():
    figure = visualize.plot_training_curves(HISTORY)
    assert lines(figure) == {
        "Loss (dashed: validation)": [[[1, 3.0], [2, 2.0], [3, 1.5]], [[1, 3.2], [2, 2.5], [3, 2.1]]],
        "Parts of the loss": [[[1, 1.0], [2, 0.8], [3, 0.7]]],
        "Average precision": [[[2, 0.4], [3, 0.5]], [[3, 0.3]]],
        "Learning rate": [[[1, 0.01], [2, 0.01], [3, 0.001]]],
    }
    assert [line.get_linestyle() for line in figure.axes[0].lines] == ["-", "--"]
    assert not plt.get_fignums()  # the figure is not registered with pyplot


def test_training_curves_of_a_keras_history():
    assert len(visualize.plot_training_curves(types.SimpleNamespace(history=HISTORY)).axes) == 4


def test_training_curves_of_a_csv_file(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss,val_loss\n5,3.0,\n6,2.0,2.5\n")
    picture = tmp_path / "curves.png"
    figure = visualize.plot_training_curves(log, picture)
    assert lines(figure) == {"Loss (dashed: validation)": [[[5, 3.0], [6, 2.0]], [[6, 2.5]]]}
    assert Image.open(picture).size == (572, 440)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "log.csv"]


@pytest.mark.parametrize("name", ["AP", "val_AP", "mAP", "val_mask_AP75", "box_APs", "AP50_mask", "val_ap"])
def test_column_names_of_average_precision(name):
    assert list(lines(visualize.plot_training_curves({name: [0.1]}))) == ["Average precision"]


def test_training_curves_reject_invalid_histories(tmp_path):
    log = tmp_path / "log.csv"
    with pytest.raises(FileNotFoundError):
        visualize.plot_training_curves(log)
    log.write_text("epoch,loss\n1,3.0\n2,broken\n")
    with pytest.raises(ValueError, match=r"log\.csv, line 3, column loss: expected a number, got 'broken'"):
        visualize.plot_training_curves(log)
    with pytest.raises(ValueError, match=r"expected columns such as loss.*got \['shape'\]"):
        visualize.plot_training_curves({"shape": [1.0]})
    with pytest.raises(ValueError, match="format"):
        visualize.plot_training_curves(HISTORY, tmp_path / "curves.docx")
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


# Tables


def test_table_in_a_terminal_is_aligned_text(capsys):
    visualize.display_table([["name", "n"], ["nike", 12], ["a<b"]])
    assert capsys.readouterr().out == "name  n\nnike  12\na<b\n"


def test_table_in_a_notebook_is_html(monkeypatch):
    shown = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    display = types.ModuleType("IPython.display")
    display.HTML, display.display = str, shown.append
    monkeypatch.setitem(__import__("sys").modules, "IPython", ipython)
    monkeypatch.setitem(__import__("sys").modules, "IPython.display", display)
    visualize.display_table([["a<b", 1]])
    assert shown == ["<table><tr><td>a&lt;b</td><td>1</td></tr></table>"]


def variable(name: str) -> types.SimpleNamespace:
    return types.SimpleNamespace(name=name)


def test_weight_stats_warn_about_dead_weights(capsys):
    kernel = np.ones((3, 3, 2, 4), dtype=np.float32)
    kernel[..., 1] = 0
    layer = types.SimpleNamespace(
        name="conv1",
        weights=[variable("kernel"), variable("conv1/bias:0")],
        get_weights=lambda: [kernel, np.zeros(4, dtype=np.float32)],
    )
    model = types.SimpleNamespace(get_trainable_layers=lambda: [layer])
    visualize.display_weight_stats(model)
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["WEIGHT", "NAME", "SHAPE", "MIN", "MAX", "STD"]
    assert rows[1].split("  ")[0] == "conv1/kernel" and rows[1].endswith("1 of 4 filters dead")
    assert "+0.4330" in rows[1]  # three quarters are ones, so the standard deviation is sqrt(3) / 4
    assert rows[2].startswith("conv1/bias") and "dead" not in rows[2]


@pytest.mark.parametrize(
    "name, values, warning",
    [
        ("a/kernel", np.zeros((3, 4)), "*** dead? all zero"),
        ("a/gamma", np.zeros(4), "*** dead? all zero"),
        ("a/gamma", np.ones(4), ""),
        ("a/moving_mean", np.zeros(4), ""),
        ("a/kernel", np.full((3, 4), 5000.0), "*** overflow?"),
        ("a/bias", np.array([np.nan]), "*** not finite"),
        ("a/kernel", np.zeros((0, 4)), ""),
    ],
)
def test_weight_warnings(name, values, warning):
    assert tables.weight_warning(name, values) == warning

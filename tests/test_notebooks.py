"""Stored notebooks have short cells with explanations, contain figures, and reveal nothing about the machine.

`make notebooks` executes them. These tests only read the files.
"""

import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = [
    "00_first_masks",
    "01_data",
    "02_anchors_and_rpn_targets",
    "03_region_proposals",
    "04_roi_pool_and_roi_align",
    "05_heads_and_masks",
    "06_train",
    "07_weights_and_activations",
    "08_evaluation",
    "09_your_own_logo",
    "10_from_rcnn_to_mask_rcnn",
    "11_semantic_and_instance_segmentation",
    "12_keypoints",
]
MACHINE_PATH = re.compile(r"(?<![\w./])/(home|root|work|tmp|Users|usr|opt|mnt|var)/|[A-Z]:\\\\")
FIGURES = {"image/png", "image/jpeg"}
NOISE = ("oneDNN", "cudart", "absl::InitializeLog", "cuInit", "Traceback", "Warning:")


@pytest.fixture(params=NAMES)
def notebook(request):
    return json.loads((FOLDER / f"{request.param}.ipynb").read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(notebook):
    """Yields the text of all outputs, without figures."""
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            yield "".join(output.get("text", []))
            for kind, data in output.get("data", {}).items():
                if not kind.startswith("image/"):
                    yield "".join(data)


def test_no_notebook_is_missing_or_unlisted():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


def test_cells_are_short_and_follow_a_text_cell(notebook):
    before = None
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            assert 0 < len(source.splitlines()) <= 15, source
            assert before == "markdown", source
        before = cell["cell_type"]


def test_every_cell_was_run_in_order_without_error(notebook):
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output["output_type"] for cell in code_cells(notebook) for output in cell["outputs"]}
    assert "error" not in kinds


def test_figures_are_stored(notebook):
    figures = [o for cell in code_cells(notebook) for o in cell["outputs"] if o.get("data", {}).keys() & FIGURES]
    assert len(figures) >= 3


def test_plots_are_stored_without_loss_and_photographs_as_jpeg(monkeypatch):
    pytest.importorskip("nbclient")
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    from run import small_figure

    plot = np.full((300, 1600, 3), 255, np.uint8)
    plot[::30] = 0, 90, 200
    photograph = np.random.default_rng(0).integers(0, 256, (300, 700, 3), dtype=np.uint8)
    stored = {}
    for name, pixels in (("plot", plot[:, :700]), ("wide plot", plot), ("photograph", photograph)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        ((kind, encoded),) = small_figure(base64.b64encode(file.getvalue()).decode()).items()
        stored[name] = kind, Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert {name: kind for name, (kind, _) in stored.items()} == {
        "plot": "image/png",
        "wide plot": "image/png",
        "photograph": "image/jpeg",
    }
    np.testing.assert_array_equal(np.asarray(stored["plot"][1]), plot[:, :700])
    assert stored["wide plot"][1].size == (800, 150)


@pytest.mark.parametrize("name", ["CellTimeoutError", "DeadKernelError"])
def test_a_slow_cell_or_a_killed_kernel_does_not_stop_the_other_notebooks(monkeypatch, capsys, name):
    exceptions = pytest.importorskip("nbclient.exceptions")
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    def execute(*arguments, **options):
        raise getattr(exceptions, name)("too slow")

    monkeypatch.setattr(run.NotebookClient, "execute", execute)
    assert run.run(FOLDER / "01_data.ipynb", save=False) is False
    assert "01_data.ipynb: failed after" in capsys.readouterr().out


def test_no_machine_paths_or_warnings_are_stored(notebook):
    for text in texts(notebook):
        assert not MACHINE_PATH.search(text), text[:300]
        assert not any(word in text for word in NOISE), text[:300]
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert all(cell["metadata"] == {} for cell in notebook["cells"])


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_and_links_are_valid(name):
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 1_000_000
    for target in re.findall(r"\]\(([\w.]+\.ipynb)\)", path.read_text(encoding="utf-8")):
        assert (FOLDER / target).is_file(), target


def test_the_model_that_loads_coco_weights_is_a_resnet101():
    from nike.config import NikeConfig

    text = json.loads((FOLDER / "09_your_own_logo.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in text["cells"]]
    (snippet,) = [source for source in sources if "model.load_weights(" in source and "coco" in source]
    (expression,) = re.findall(r"^config = (.*)$", snippet, re.MULTILINE)
    assert eval(expression, {"NikeConfig": NikeConfig}).BACKBONE == "resnet101"

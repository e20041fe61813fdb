"""Stored notebooks have short cells with explanations, contain figures, and reveal nothing about the machine.

`make notebooks` executes them. These tests only read the files.
"""

import json
import re
from pathlib import Path

import pytest

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
    kinds = [kind for cell in code_cells(notebook) for output in cell["outputs"] for kind in output.get("data", {})]
    assert sum(kind in ("image/png", "image/jpeg") for kind in kinds) >= 3


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

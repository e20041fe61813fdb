"""`nike push`: model card, upload in one commit, and reading of the uploaded weights with `hf://`."""

import hashlib
import json

import pytest
import yaml

from hub_server import TOKEN, Repository, hub_server, use_server
from mrcnn.checkpoints.hub import hub_weights
from mrcnn.config import Config
from nike import push
from nike.reporting.model_card import Evaluation, ModelCard, render

huggingface_hub = pytest.importorskip("huggingface_hub", reason="pip install -e '.[test]' brings huggingface_hub")
RUN = "nike20260101T1200"
HISTORY = """epoch,loss,val_mask_AP,val_mask_AP50,val_box_AP,val_box_AP50
1,0.9,0.25,0.5,0.3,0.6
2,0.8,0.5,0.75,0.55,0.8
3,0.7,,,,
4,0.6,0.375,0.7,0.4,0.7
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Writes a weights file with 2 classes and 10 weights in float16."""
    import h5py
    import numpy as np

    path = tmp_path_factory.mktemp("weights") / "shoes.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"mrcnn_class_logits"])
        file.attrs["mrcnn_config"] = json.dumps({"BACKBONE": "resnet50", "IMAGE_MAX_DIM": 512})
        file.attrs["mrcnn_metadata"] = json.dumps({"class_names": ["BG", "shoe", "two `ticks|"]})
        group = file.create_group("mrcnn_class_logits")
        group.attrs["weight_names"] = np.array([b"kernel:0", b"bias:0"])
        group["kernel:0"] = np.zeros((4, 2), np.float16)
        group["bias:0"] = np.zeros(2, np.float16)
    return path


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_server() as server:
        use_server(monkeypatch, server.url, tmp_path)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture
def run(tmp_path, weights):
    """Writes a log folder with the checkpoints of epoch 4 and of the best epoch, 2."""
    folder = tmp_path / "logs" / RUN
    folder.mkdir(parents=True)
    for name in ("0004", "best"):
        (folder / f"mask_rcnn_nike_{name}.h5").write_bytes(weights.read_bytes())
    (folder / "history.csv").write_text(HISTORY)
    photos = {"labels": {"nike": "nike"}, "train": [["a.jpg", 1], ["b.jpg", 2], ["c.jpg", 3]], "val": [["d.jpg", 4]]}
    (folder / "photos.json").write_text(json.dumps(photos))
    return folder


def content(hub, name="me/shoes"):
    repository = hub.repositories[name]
    return repository.commits[repository.refs["main"]]


def metrics(text):
    card = huggingface_hub.ModelCard(text)
    return {result.metric_type: result.metric_value for result in card.data.eval_results}


def test_upload_and_download_give_the_same_file(hub, weights, capsys):
    assert push.main([str(weights), "me/shoes", "--license", "mit"]) == 0
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    printed = capsys.readouterr().out
    assert f"hf://me/shoes@{hub.repositories['me/shoes'].refs['main']}/shoes.h5#sha256={digest}" in printed
    reference = printed.split("'")[1]
    assert hub_weights(reference).read_bytes() == weights.read_bytes()
    assert not hub.repositories["me/shoes"].private


def test_the_card_describes_the_file(hub, weights):
    assert push.main([str(weights), "me/shoes", "--license", "cc-by-4.0", "--file", "v1.h5"]) == 0
    text = content(hub)["README.md"].decode()
    data = huggingface_hub.ModelCard(text).data
    assert (data.license, data.pipeline_tag, data.library_name) == ("cc-by-4.0", "image-segmentation", "nike-mrcnn")
    assert {"mask-rcnn", "resnet50"} <= set(data.tags)
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in text and "| Weights | 10, float16 |" in text
    assert "`shoe`, `two  ticks`" in text and "512 x 512 pixels" in text and "No metrics are available" in text
    assert sorted(content(hub)) == ["README.md", "v1.h5"]


@pytest.mark.parametrize(
    "name, expected, epoch",
    [
        ("best", {"mask_AP": 0.5, "mask_AP50": 0.75, "box_AP": 0.55, "box_AP50": 0.8}, 2),
        ("last", {"mask_AP": 0.375, "mask_AP50": 0.7, "box_AP": 0.4, "box_AP50": 0.7}, 4),
    ],
)
def test_metrics_are_those_of_the_epoch_that_wrote_the_file(hub, run, name, expected, epoch, capsys):
    assert push.main([name, "me/shoes", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert metrics(text) == expected and f"epoch {epoch}" in text
    assert "1 validation image of the training run" in text and "| Training images | 3 |" in text
    assert hub.requests == []


def test_scores_of_evaluate_replace_those_of_the_run(hub, run, tmp_path, capsys):
    box, mask = {"AP": 0.625, "AP50": -1}, {"AP": 0.125, "AP50": 0.25}
    (tmp_path / "scores.json").write_text(json.dumps({"counts": {"photos": 7}, "mask": mask, "box": box}))
    assert push.main(["best", "me/shoes", "--dry-run", "--scores", "scores.json"]) == 0
    text = capsys.readouterr().out
    assert metrics(text) == {"mask_AP": 0.125, "mask_AP50": 0.25, "box_AP": 0.625} and "on 7 labelled images" in text


def test_a_second_push_keeps_the_history_and_the_card_if_asked(hub, weights):
    assert push.main([str(weights), "me/shoes"]) == 0
    hub.repositories["me/shoes"].commit({"README.md": b"mine"})
    assert push.main([str(weights), "me/shoes", "--file", "b.h5", "--keep-card"]) == 0
    assert sorted(content(hub)) == ["README.md", "b.h5", "shoes.h5"] and content(hub)["README.md"] == b"mine"
    assert push.main([str(weights), "me/shoes"]) == 0
    assert content(hub)["README.md"].startswith(b"---\nlicense: unknown\n")


def test_private_weights_are_never_uploaded_to_a_public_repository(hub, weights, capsys):
    assert push.main([str(weights), "me/secret", "--private"]) == 0
    assert hub.repositories["me/secret"].private
    hub.repositories["me/shoes"] = Repository()
    assert push.main([str(weights), "me/shoes", "--private"]) == 2
    assert "error: --private: me/shoes exists and is public" in capsys.readouterr().err
    assert content(hub) == {}


@pytest.mark.parametrize("token", ["hf_of_somebody_else", None])
def test_without_the_right_token_the_error_is_one_line(hub, weights, monkeypatch, capsys, token):
    monkeypatch.delenv("HF_TOKEN") if token is None else monkeypatch.setenv("HF_TOKEN", token)
    hub.repositories["me/shoes"] = Repository()
    assert push.main([str(weights), "me/shoes"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: me/shoes: ") and "`hf auth login`" in error and error.count("\n") == 1
    assert content(hub) == {}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["none.h5", "me/shoes"], "or an existing file, got none.h5"),
        (["shoes.h5", "shoes"], "expected owner/name"),
        (["shoes.h5", "../shoes"], "expected owner/name"),
        (["shoes.h5", "me/shoes", "--file", "a/b.h5"], "--file: expected a name"),
        (["shoes.h5", "me/shoes", "--file", "shoes.pkl"], "--file: expected a name"),
        (["shoes.h5", "me/shoes", "--license", "mine: all"], "--license: expected an identifier"),
        (["shoes.h5", "me/shoes", "--scores", "none.json"], "no such file"),
        (["shoes.h5", "me/shoes", "--scores", "bad.json"], "expected the output of `nike evaluate --json`"),
        (["text.h5", "me/shoes"], "text.h5: "),
    ],
)
def test_user_errors(hub, weights, tmp_path, capsys, arguments, message):
    (tmp_path / "shoes.h5").write_bytes(weights.read_bytes())
    (tmp_path / "text.h5").write_text("no weights")
    (tmp_path / "bad.json").write_text('{"mask": 3}')
    assert push.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert hub.requests == []


def test_names_cannot_break_out_of_the_card():
    names = ["a`</code><script>", "b|c", "d\n# e", "---"]
    evaluation = Evaluation("x: [y] # z", {"mask_AP": 0.5})
    text = render(ModelCard("me/a", "a.h5", 1, "0" * 64, names, None, None, 1, "float32", "mit", evaluation))
    _, header, body = text.split("---\n", 2)
    assert yaml.safe_load(header)["model-index"][0]["results"][0]["dataset"]["name"] == evaluation.data
    assert "\n# e" not in body and "b c" in body and "`a </code><script>`" in body  # code spans show HTML as text


def test_the_config_names_that_the_card_reads_exist():
    assert {"BACKBONE", "IMAGE_MAX_DIM"} <= set(Config().to_dict())

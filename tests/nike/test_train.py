"""`nike train` on synthetic images: messages, files, resume, and errors before the first step."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrcnn import checkpoints
from nike import train
from nike.training.trackers import TRACKERS

TINY = {
    "BACKBONE": "mobilenet_v2",
    "IMAGE_MIN_DIM": 64,
    "IMAGE_MAX_DIM": 64,
    "RPN_ANCHOR_SCALES": [8, 16, 24, 32, 48],
    "TOP_DOWN_PYRAMID_SIZE": 16,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 32,
    "RPN_CHANNELS": 16,
    "MASK_HEAD_CHANNELS": 16,
    "MASK_HEAD_CONVOLUTIONS": 1,
    "MASK_REFINEMENT_SIZE": 16,
    "MASK_REFINEMENT_CHANNELS": 4,
    "MINI_MASK_SHAPE": [32, 32],
    "POST_NMS_ROIS_TRAINING": 50,
    "POST_NMS_ROIS_INFERENCE": 20,
    "TRAIN_ROIS_PER_IMAGE": 16,
}


def write_image(folder, name, polygon=True, label="nike"):
    image = Image.new("RGB", (80, 60), (40, 60, 80))
    points = [[20, 20], [60, 15], [50, 45], [25, 40]]
    if polygon:
        ImageDraw.Draw(image).polygon([tuple(p) for p in points], fill=(250, 250, 250))
    image.save(folder / f"{name}.png")
    shape = {"label": label, "points": points, "shape_type": "polygon", "group_id": None, "flags": {}}
    labels = {"version": "5.0", "flags": {}, "shapes": [shape] if polygon else [], "imagePath": f"{name}.png"}
    labels |= {"imageData": None, "imageHeight": 60, "imageWidth": 80}
    (folder / f"{name}.json").write_text(json.dumps(labels))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("red", "green", "blue", "white", "black"):
        write_image(folder, name)
    write_image(folder, "empty", polygon=False)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text("\n".join(f"{name}: {value}" for name, value in TINY.items()))
    return path


@pytest.fixture(scope="module", autouse=True)
def policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture(scope="module")
def run(photos, settings, tmp_path_factory):
    """Returns a first run and its output."""
    logs = tmp_path_factory.mktemp("logs")
    options = ["--config", str(settings), "--layers=heads", "--epochs=1", "--steps=2", "--mixed-precision=off"]
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda *values, **_: printed.append(" ".join(map(str, values))))
        code = train.main(["--weights=none", "--dataset", str(photos), "--logs", str(logs), *options])
    assert code == 0
    return logs, "\n".join(printed)


@pytest.mark.slow
def test_a_time_budget_gives_the_run_of_its_epochs(run, photos, settings, tmp_path, monkeypatch, capsys):
    """The trial does not change the weights, the data or the folder, and `--resume` does not repeat it."""
    from nike.training import run as module

    planned = []
    monkeypatch.setattr(module, "plan_epochs", lambda *arguments, **options: planned.append(arguments) or (1, 2))
    logs = tmp_path / "logs"
    options = ["--config", str(settings), "--layers=heads", "--time=1h30m", "--mixed-precision=off"]
    assert train.main(["--weights=none", "--dataset", str(photos), "--logs", str(logs), *options]) == 0
    ((speeds, seconds),) = planned
    (speed,) = speeds.values()
    assert min(speed.step, speed.validation, speed.start) > 0 and 5000 < seconds < 5400
    printed = capsys.readouterr().out
    assert "time        1 h 30 min: 1 epoch of 2 steps; " in printed and "heads to epoch 1" in printed
    (folder,) = logs.iterdir()
    record = train.parse(json.loads((folder / "run.json").read_text())["argv"])
    assert (record.epochs, record.steps) == (1, 2)
    with (
        checkpoints.read_checkpoint(folder / "mask_rcnn_nike_0001.h5") as timed,
        checkpoints.read_checkpoint(next(run[0].glob("*/mask_rcnn_nike_0001.h5"))) as plain,
    ):
        for name, layer in plain.layers.items():
            for role, weights in layer.weights.items():
                np.testing.assert_array_equal(timed.layers[name].weights[role], weights, err_msg=f"{name}/{role}")
        assert timed.config == plain.config
    assert train.main(["--resume", "--logs", str(logs)]) == 0
    assert "Nothing to train up to epoch 1" in capsys.readouterr().out


@pytest.mark.slow
def test_an_automatic_batch_gives_the_run_of_its_batch(photos, settings, tmp_path, monkeypatch, capsys):
    """A batch of 1 is measured, and a batch of 4 is chosen. `--resume` does not repeat the measurement."""
    from nike.training import run as module

    def choose(peak, memory, most):
        assert 1e8 < peak(1) < memory and most == 5
        return 4, "4 images need 1.0 GB"

    monkeypatch.setattr(module, "choose_batch", choose)
    logs = tmp_path / "logs"
    options = ["--config", str(settings), "--layers=heads", "--epochs=1", "--mixed-precision=off", "--batch=auto"]
    options += ["--steps=1", "--validate-every=0", "--augment=off"]
    assert train.main(["--weights=none", "--dataset", str(photos), "--logs", str(logs), *options]) == 0
    printed = capsys.readouterr().out
    assert "\nbatch       4 images need 1.0 GB\n" in printed
    assert "1 steps per epoch, 4 images per step; heads to epoch 1, learning rate 0.0003" in printed
    (folder,) = logs.iterdir()
    assert train.parse(json.loads((folder / "run.json").read_text())["argv"]).batch == 4
    assert train.main(["--resume", "--logs", str(logs)]) == 0
    assert "Nothing to train up to epoch 1" in capsys.readouterr().out
    assert "--batch auto: a resumed run keeps its batch size" in mistake(
        capsys, "--resume", "--logs", logs, "--batch=auto"
    )


def test_messages_before_and_after_training(run, photos):
    logs, printed = run
    folder = next(logs.iterdir())
    for line in (
        "training    5 images (1 without logos): 4 nike",
        "validation  1 image (0 without logos): 1 nike",
        "network     mobilenet_v2, 64 x 64 pixels, classes: nike",
        "start       random",
        "2 steps per epoch, 2 images per step; heads to epoch 1, learning rate 0.00015",
        f"logs        {folder}",
        f"First 12 training images after augmentation: {folder}/augmented.jpg",
        "best        mask AP",
        f"weights     {folder}/mask_rcnn_nike_best.h5",
        f"(--weights=best --logs {logs} in nike detect, evaluate, pack and train)",
        "threshold   0.",
        f"nike detect --weights {folder}/mask_rcnn_nike_best.h5 {photos}",
    ):
        assert line in printed, printed
    assert printed.index("training    5") < printed.index("== heads: to epoch 1") < printed.index("best        mask AP")


def test_the_checkpoint_is_self_contained(run):
    logs, _ = run
    path = next(logs.glob("*/mask_rcnn_nike_best.h5"))
    with checkpoints.read_checkpoint(path) as checkpoint:
        assert checkpoint.config["BACKBONE"] == "mobilenet_v2" and checkpoint.config["NUM_CLASSES"] == 2


@pytest.mark.slow
def test_a_finished_run_continues_with_more_epochs(run, tmp_path, capsys):
    logs = tmp_path / "logs"
    shutil.copytree(run[0], logs)
    assert train.main(["--resume", "--logs", str(logs), "--epochs=2"]) == 0
    printed = capsys.readouterr().out
    assert "0001.state: epoch 1, step 0" in printed and "after augmentation" not in printed
    assert len(next(logs.glob("*/history.csv")).read_text().splitlines()) == 3
    # After an interruption in epoch 2, `--resume` without other options also continues to epoch 2.
    assert train.parse(json.loads(next(logs.glob("*/run.json")).read_text())["argv"]).epochs == 2


def test_a_new_run_starts_from_the_last_weights_with_their_settings(run, photos, capsys, monkeypatch):
    from nike.training.preparation import new_run

    arguments = train.parse(["--weights=last", "--dataset", str(photos), "--logs", str(run[0])])
    planned = new_run(arguments, [])
    assert planned.config.BACKBONE == "mobilenet_v2" and tuple(planned.config.RPN_ANCHOR_SCALES) == (8, 16, 24, 32, 48)
    assert planned.weights.classes == 2 and planned.weights.path.name == "mask_rcnn_nike_0001.h5"
    arguments = train.parse(["--weights=best", "--dataset", str(photos), "--logs", str(run[0])])
    assert new_run(arguments, []).weights.path.name == "mask_rcnn_nike_best.h5"


def test_a_resumed_run_keeps_its_options_and_added_ones():
    from nike.training.preparation import _merge_options

    assert _merge_options(["--lr=1", "--seed=2"], ["--resume"]) == ["--lr=1", "--seed=2"]
    assert _merge_options(["--lr=1"], ["--resume", "x", "--lr", "1"]) == ["--lr=1"]
    joined = train.parse(_merge_options(["--lr=1", "--seed=2"], ["--resume", "x", "--lr=3"]))
    assert (joined.lr, joined.seed) == (3, 2)


def test_repeated_folders_of_a_resumed_run_replace_its_folders():
    from nike.training.preparation import _merge_options

    saved = ["--negatives=a", "--negatives", "b", "--stages", "heads,1", "all,2", "--extra-data=c"]
    assert _merge_options(saved, [*saved, "--resume"]) == saved  # the same command with --resume
    joined = train.parse(_merge_options(saved, ["--negatives=d", "--resume"]))
    assert (list(map(str, joined.negatives)), list(map(str, joined.extra_data))) == (["d"], ["c"])
    assert len(joined.stages) == 2


@pytest.mark.parametrize("epochs, stop", [(28, 25), (30, 26), (100, 37)])
def test_default_early_stopping_does_not_shorten_short_runs(epochs, stop):
    """If AP does not improve after the first validation of the last stage, 1 + 20 validations of this stage are run."""
    from mrcnn.training.callbacks import patience_is_exhausted
    from mrcnn.training.progress import Progress
    from nike.training.stages import plan_stages

    arguments = train.parse(["--epochs", str(epochs)])
    heads, _ = plan_stages(epochs, 1e-4, arguments.layers, arguments.schedule)
    progress = Progress(epoch=heads.epochs)
    while not patience_is_exhausted(progress, arguments.patience):
        progress.end_epoch({"epoch": progress.epoch + 1, "val_mask_AP": 0.3})
    assert progress.epoch == stop
    assert not patience_is_exhausted(progress, train.parse(["--patience=0"]).patience)


def test_resume_with_another_config(run, tmp_path, capsys):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"RPN_CHANNELS": 32}))
    message = mistake(capsys, "--resume", "--logs", run[0], "--epochs=2", "--config", other)
    assert "has different settings (RPN_CHANNELS: 16 -> 32). Resume with its settings" in message
    assert "--epochs=2" not in next(run[0].glob("*/run.json")).read_text()


def test_a_config_file_overrides_the_settings_for_random_weights(photos, tmp_path):
    from nike.training.preparation import new_run

    frozen = tmp_path / "frozen.json"
    frozen.write_text('{"TRAIN_BN": false}')
    options = ["--weights=none", "--dataset", str(photos), "--logs", str(tmp_path / "logs")]
    assert new_run(train.parse(options), options).config.TRAIN_BN is None
    assert new_run(train.parse([*options, "--config", str(frozen)]), options).config.TRAIN_BN is False


def test_a_config_file_overrides_the_widths_for_imagenet_weights(photos, tmp_path):
    from nike.training.preparation import new_run

    wide = tmp_path / "wide.yaml"
    wide.write_text("RPN_CHANNELS: 512")
    options = ["--weights=imagenet", "--dataset", str(photos), "--logs", str(tmp_path / "logs")]
    assert new_run(train.parse(options), options).config.RPN_CHANNELS == 128
    config = new_run(train.parse([*options, "--config", str(wide)]), options).config
    assert (config.RPN_CHANNELS, config.TOP_DOWN_PYRAMID_SIZE) == (512, 128)


def test_defaults_equal_those_in_the_help(photos, tmp_path, capsys):
    from nike.training.preparation import new_run

    with pytest.raises(SystemExit):
        train.parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("BACKBONE: mobilenet_v2\nIMAGE_MIN_DIM: 640\nIMAGE_MAX_DIM: 640\nIMAGES_PER_GPU: 3\n")
    common = ["--weights=none", "--dataset", str(photos), "--logs", str(tmp_path / "logs")]
    plain, changed = (new_run(train.parse(o), o).config for o in (common, [*common, "--config", str(recipe)]))
    assert (changed.BACKBONE, changed.IMAGE_MAX_DIM, changed.IMAGES_PER_GPU) == ("mobilenet_v2", 640, 3)
    for default in (
        "(default: value in --config, else in the weights)",
        f"square network input (default: value in --config, else {plain.IMAGE_MAX_DIM})",
        f"of the available memory (default: value in --config, else {plain.IMAGES_PER_GPU})",
        f"at least {plain.STEPS_PER_EPOCH} steps)",  # six images give three batches
        "0: no validation and no best checkpoint",
    ):
        assert default in text


def test_checks_before_a_run_do_not_import_tensorflow(photos, tmp_path):
    """`quiet.import_tensorflow` imports it after the dataset and the options have been checked."""
    script = (
        "import sys; from nike import train; from nike.training.preparation import new_run\n"
        "new_run(train.parse(sys.argv[1:]), sys.argv[1:])\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    options = ["--weights=none", "--dataset", str(photos), "--logs", str(tmp_path / "logs")]
    subprocess.run([sys.executable, "-c", script, *options], check=True)


def mistake(capsys, *options):
    assert train.main([str(option) for option in options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_layer_names_of_all_stages_are_checked_before_training(photos, settings, tmp_path, capsys):
    options = ["--weights=none", "--dataset", photos, "--logs", tmp_path / "logs", "--config", settings]
    assert "no layer name matches 'al'" in mistake(capsys, *options, "--stages", "heads,1", "al,1")
    assert not [*tmp_path.glob("logs/*")]


@pytest.mark.slow
def test_stages_with_a_time_budget(photos, settings, tmp_path, monkeypatch, capsys):
    """Each layer set is measured, and each stage is trained. `--resume` finds nothing left to train."""
    from nike.training import run as module

    planned = []
    monkeypatch.setattr(module, "plan_epochs", lambda speeds, *_, **__: planned.append(speeds) or (3, 1))
    options = ["--weights=none", "--dataset", photos, "--logs", tmp_path, "--config", settings, "--time=1h"]
    options += ["--validate-every=0", "--augment=off", "--mixed-precision=off", "--stages", "heads,4", "all,8,1e-5"]
    assert train.main([str(option) for option in options]) == 0
    (speeds,) = planned
    assert list(speeds) == ["all", "heads"] and min(speed.step for speed in speeds.values()) > 0
    printed = capsys.readouterr().out
    assert "== stage 1: heads: to epoch 1" in printed and "== stage 2: all: to epoch 3" in printed
    (file,) = tmp_path.glob("*/run.json")
    record = train.parse(json.loads(file.read_text())["argv"])
    assert ([str(stage) for stage in record.stages], record.epochs) == (["heads,4", "all,8,1e-05"], 3)
    assert train.main(["--resume", "--logs", str(tmp_path)]) == 0
    assert "Nothing to train up to epoch 3" in capsys.readouterr().out


def test_errors_in_options(photos, settings, tmp_path, capsys):
    common = ["--weights=none", "--dataset", photos, "--logs", tmp_path / "logs"]
    assert "--epochs: expected at least 1, got 0" in mistake(capsys, *common, "--epochs=0")
    assert "--lr: expected a number above 0" in mistake(capsys, *common, "--lr=-1")
    assert "--name: expected letters" in mistake(capsys, *common, "--name=../x")
    assert "--seed: expected at least 0, got -1" in mistake(capsys, *common, "--seed=-1")
    assert "--seed: expected a number below 2^32, got 4294967296" in mistake(capsys, *common, "--seed=4294967296")
    assert "--keep: expected at least 0, got -2" in mistake(capsys, *common, "--keep=-2")
    assert "--accumulate: supported on one device only" in mistake(capsys, *common, "--accumulate=2", "--devices=2")
    assert "--ema: expected 0 (off) or a momentum below 1, got 1.0" in mistake(capsys, *common, "--ema=1")
    assert "--layers: expected heads, 3+" in mistake(capsys, *common, "--layers=(")
    assert "BACKBONE must be one of" in mistake(capsys, *common, "--backbone=vgg")
    assert "multiple of 64" in mistake(capsys, *common, "--image-size=500")
    assert "--weights: " in mistake(capsys, *common, "--weights=nowhere.h5")
    assert "--epochs: --schedule=alternating requires at least 4" in mistake(
        capsys, *common, "--schedule=alternating", "--epochs=2"
    )
    assert "--time chooses the number of epochs. Remove --epochs" in mistake(capsys, *common, "--time=2h", "--epochs=3")
    assert "--time: a resumed run keeps its number of epochs" in mistake(capsys, *common, "--time=2h", "--resume")
    assert "--device: gpu:7 requested, but TensorFlow finds " in mistake(capsys, *common, "--device=gpu:7")
    assert "--devices: 99 GPUs requested, but TensorFlow finds " in mistake(capsys, *common, "--devices=99")
    assert "can be resumed" in mistake(capsys, *common, "--resume")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("IMAGE_SIZE: 3")
    assert "unknown setting 'IMAGE_SIZE'" in mistake(capsys, *common, "--config", wrong)
    wrong.write_text("{: 3")
    assert "wrong.yaml: not valid YAML" in mistake(capsys, *common, "--config", wrong)
    for missing in ("missing.yaml", "missing.json"):
        error = mistake(capsys, *common, "--config", tmp_path / missing)
        assert error == f"error: --config: {tmp_path / missing}: no such file. Check the path.\n"
    assert not (tmp_path / "logs").exists()


def test_errors_in_the_dataset(photos, tmp_path, capsys):
    common = ["--weights=none", "--logs", tmp_path / "logs", "--dataset"]
    nowhere = tmp_path / "nowhere"
    assert f"--dataset: {nowhere}: no such folder" in mistake(capsys, *common, nowhere)
    for option in ("--val", "--extra-data", "--negatives"):
        assert f"{option}: {nowhere}: no such folder" in mistake(capsys, *common, photos, option, nowhere)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "nothing to load" in mistake(capsys, *common, empty)
    write_image(empty, "a", polygon=False)
    write_image(empty, "b", polygon=False)
    assert "no instance of nike in 1 training image (no annotated instances)" in mistake(capsys, *common, empty)
    other = tmp_path / "other"
    other.mkdir()
    write_image(other, "c", label="puma")
    assert "validation image (labels found: puma" in mistake(capsys, *common, photos, "--val", other)
    broken = shutil.copytree(photos, tmp_path / "broken")
    (broken / "red.png").write_bytes(b"no photo")
    assert "red.png" in mistake(capsys, *common, broken, "--strict")


def test_an_unreadable_and_an_unlabelled_image_are_listed(photos, tmp_path):
    from nike.training.data import error_lines, load_training_data, summary_lines

    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "red.png").write_bytes(b"no photo")
    (folder / "green.json").unlink()
    (folder / "blue.png").unlink()
    data = load_training_data(folder, val=photos)
    text = "\n".join(summary_lines(data))
    heading, *errors = error_lines(data)  # errors are also listed at the end of the run
    assert heading.startswith("problems    2 errors") and any("red.png" in error for error in errors)
    assert "training    3 images" in text and "problems    2 errors, 1 warning;" in text
    assert all(name in text for name in ("red", "green", "blue"))


def test_split_by_fraction_and_seed(photos):
    from nike.training.data import load_training_data

    half = load_training_data(photos, val_split=0.5, seed=1)
    again = load_training_data(photos, val_split=0.5, seed=1)
    names = [info["id"] for info in half.val.image_info]
    assert names == [info["id"] for info in again.val.image_info] and 2 <= len(names) <= 3
    assert "50% of the images for validation" in half.split


def test_additional_negatives(photos, tmp_path):
    from nike.training.data import load_training_data

    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "street.png")
    plain, more = load_training_data(photos), load_training_data(photos, negatives=[tmp_path])
    assert len(more.train.image_ids) == len(plain.train.image_ids) + 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_log_folder(photos, tmp_path, capsys):
    tmp_path.chmod(0o500)
    message = mistake(capsys, "--weights=none", "--dataset", photos, "--logs", tmp_path / "logs")
    assert "is not a writable folder" in message


def test_log_folder_is_a_file(photos, tmp_path, capsys):
    (tmp_path / "logs").write_text("")
    message = mistake(capsys, "--weights=none", "--dataset", photos, "--logs", tmp_path / "logs")
    assert "logs is not a writable folder (Not a directory). Choose another folder." in message


@pytest.mark.slow
def test_a_run_is_reported_to_trackers(photos, settings, tmp_path, monkeypatch):
    reported = {}

    class Recorder:
        def __init__(self, folder, options):
            reported.update(folder=folder, options=options, metrics={})

        def log(self, metrics, epoch):
            reported["metrics"][epoch] = metrics

        def finish(self, files):
            reported["files"] = [file.name for file in files]

    monkeypatch.setitem(TRACKERS, "mlflow", Recorder)
    options = ["--config", str(settings), "--layers=heads", "--epochs=1", "--steps=1", "--mixed-precision=off"]
    options += ["--weights=none", "--dataset", str(photos), "--logs", str(tmp_path), "--log", "tensorboard,mlflow"]
    assert train.main(options) == 0
    assert reported["folder"].parent == tmp_path and reported["options"]["option_epochs"] == 1
    assert list(reported["metrics"]) == [1] and {"loss", "val_mask_AP"} <= set(reported["metrics"][1])
    assert {"curves.png", "run.json", "augmented.jpg", "validation_1.jpg"} <= set(reported["files"])
    assert any(file.endswith(".h5") for file in reported["files"])


@pytest.mark.parametrize("is_chief", [True, False])
def test_only_one_of_several_workers_reports_to_trackers(monkeypatch, is_chief):
    from mrcnn.training import distribution
    from nike.config import NikeConfig
    from nike.training.run import Run

    monkeypatch.setattr(distribution, "is_chief", lambda strategy: is_chief)
    monkeypatch.setitem(TRACKERS, "mlflow", lambda folder, settings: folder.name)
    run = Run(train.parse(["--log=tensorboard,mlflow"]), [], NikeConfig(), data=None, stages=[])
    run._start_trackers(SimpleNamespace(log_dir="logs/run", keras_model=SimpleNamespace(distribute_strategy=None)))
    assert run.trackers == ["run"] * is_chief


def test_training_enables_one_dnn_and_keeps_a_choice_of_the_user(monkeypatch):
    from nike.training import preparation

    monkeypatch.setattr(preparation, "new_run", lambda *arguments: SimpleNamespace(start=lambda: None))
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    train.run_command([])
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    train.run_command([])
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_boxes_only(photos, settings, tmp_path, capsys):
    """Trains on boxes in COCO format. `nike evaluate` and `nike detect` accept the weights without masks."""
    from nike import detect, evaluate

    annotations = [{"id": i, "image_id": i, "category_id": 1, "bbox": [20, 15, 41, 31]} for i in range(1, 6)]
    names = [f"{name}.png" for name in ("red", "green", "blue", "white", "black")]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names, 1)]
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in names:
        shutil.copy(photos / name, folder)
    data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "nike"}]}
    (folder / "boxes.json").write_text(json.dumps(data))
    common = ["--dataset", str(folder), "--logs", str(tmp_path / "logs")]
    options = ["--config", str(settings), "--layers=heads", "--epochs=1", "--steps=2", "--mixed-precision=off"]
    assert train.main(["--weights=none", *common, *options]) == 2
    assert "has no segmentation" in capsys.readouterr().err
    assert train.main(["--weights=none", "--task=boxes", *common, *options]) == 0
    printed = capsys.readouterr().out
    assert "64 x 64 pixels, boxes only, classes: nike" in printed and "best        box AP" in printed
    weights = next((tmp_path / "logs").glob("*/mask_rcnn_nike_best.h5"))
    with checkpoints.read_checkpoint(weights) as checkpoint:
        assert checkpoint.config["MASK_HEAD"] is False
        assert not [name for name in checkpoint.layers if "mask" in name or "refine" in name]

    assert evaluate.main(["--weights", str(weights), "--dataset", str(folder), "--split=all", "--json=-"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["kind"] == "box" and "mask" not in scores and 0 <= scores["box"]["AP"] <= 1
    assert scores["counts"]["instances"] == 5 and list(scores["voc"]) == ["box"]
    output = tmp_path / "found"
    arguments = ["--weights", str(weights), "--min-confidence=0", "--save", "labelme,csv,coco,splash,masks,crops"]
    assert detect.main([*arguments, "--output", str(output), str(folder / "red.png")]) == 0
    found = json.loads((output / "detections.json").read_text())["annotations"]
    assert found and all("segmentation" not in annotation for annotation in found)
    shapes = json.loads(next(output.glob("labelme/**/*.json")).read_text())["shapes"]
    assert len(shapes) == len(found) and {shape["shape_type"] for shape in shapes} == {"rectangle"}

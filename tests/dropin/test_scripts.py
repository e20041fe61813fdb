"""Scripts modelled on the samples and tutorials of the original run unchanged."""

import re

import h5py
import numpy as np
import pytest
import skimage.io

from mrcnn import checkpoints
from mrcnn.model import load_image_gt

LOSSES = {f"{part}_loss" for part in ("rpn_class", "rpn_bbox", "mrcnn_class", "mrcnn_bbox", "mrcnn_mask")}


def test_train_shapes(run_script, project):
    left = run_script("train_shapes.py")
    assert set(left["history"]) >= {"loss", "val_loss", *LOSSES, *(f"val_{name}" for name in LOSSES)}
    assert len(left["history"]["loss"]) == 1  # history of the second call of train()
    [run] = (project / "logs").glob("shapes*")
    assert re.fullmatch(r"shapes\d{8}T\d{4}", run.name)
    assert left["last_path"] == str(run / "mask_rcnn_shapes_0002.h5")
    assert (run / "mask_rcnn_shapes_0001.h5").is_file() and list(run.glob("events.out.tfevents.*"))
    names = [f"{layer}/{layer}/kernel:0" for layer in ("toy1", "fpn_p2")]
    with h5py.File(run / "mask_rcnn_shapes_0001.h5") as heads, h5py.File(left["last_path"]) as everything:
        moved = [not np.array_equal(heads[name], everything[name]) for name in names]
        with h5py.File(project / "mask_rcnn_coco.h5") as start:
            assert np.array_equal(start[names[0]], heads[names[0]])  # layers="heads" does not train the backbone
    assert moved == [True, True]  # layers="all"
    assert 0 <= np.nanmean(left["APs"]) <= 1


def test_balloon(run_script, project, via_dataset):
    run_script("balloon.py", "train", f"--dataset={via_dataset}", "--weights=coco", cwd="samples/balloon")
    photo = via_dataset / "val" / "0.jpg"
    left = run_script("balloon.py", "splash", "--weights=last", f"--image={photo}", cwd="samples/balloon")
    assert left["model"].epoch == 1
    image, splash = skimage.io.imread(photo), skimage.io.imread(project / "samples" / "balloon" / "splash.png")
    inside = left["r"]["masks"].any(axis=-1)
    assert (splash[inside] == image[inside]).all() and (np.ptp(splash[~inside], axis=-1) == 0).all()


def test_nucleus(run_script, project, nucleus_dataset):
    run_script("nucleus.py", "train", f"--dataset={nucleus_dataset}", "--subset=train", "--weights=imagenet")
    run_script("nucleus.py", "detect", f"--dataset={nucleus_dataset}", "--subset=val", "--weights=last")
    results = project / "results" / "nucleus"
    assert sorted(path.name for path in results.iterdir()) == ["cell0.png", "cell1.png", "submit.csv"]
    assert (results / "submit.csv").read_text().count("\n") == 2


def test_coco(run_script, coco_dataset):
    left = run_script("coco.py", "train", f"--dataset={coco_dataset}", "--model=coco")
    dataset, config = left["dataset_train"], left["config"]
    assert sorted(load_image_gt(dataset, config, 1).class_ids) == [-2, 2, 2]  # crowds have negative class ids
    assert dataset.image_reference(1) == "coco photo 501" and dataset.get_source_class_id(80, "coco") == 80
    left = run_script("coco.py", "evaluate", f"--dataset={coco_dataset}", "--model=last", "--limit=2")
    assert left["stats"]["bbox"].shape == left["stats"]["segm"].shape == (12,)


def test_demo(run_script, project):
    (project / "images").mkdir()
    skimage.io.imsave(project / "images" / "a.jpg", np.full((50, 70, 3), 90, np.uint8), check_contrast=False)
    left = run_script("coco/demo.py", cwd="samples")
    assert left["r"]["masks"].shape[:2] == (50, 70)
    assert (project / "samples" / "demo.png").stat().st_size > 5000


@pytest.mark.filterwarnings("ignore:detect.. subtracts the mean")
def test_kangaroo(run_script, project, kangaroo_dataset):
    left = run_script("samples/coco/kangaroo.py", cwd=".")
    assert (len(left["train_set"].image_ids), len(left["test_set"].image_ids)) == (3, 2)
    assert 0 <= left["train_mAP"] <= 1 and 0 <= left["test_mAP"] <= 1
    assert list(project.glob("kangaroo_cfg*/mask_rcnn_kangaroo_cfg_0001.h5"))


def test_custom(run_script, project, via_dataset):
    left = run_script("samples/coco/custom.py", cwd=".")
    assert list(left["losses"].epochs) == [0] and {"loss", "val_loss", *LOSSES} <= set(left["losses"].epochs[0])
    assert left["lowest"] == left["losses"].epochs[0]["val_loss"]
    assert "val_loss" in (project / "training.csv").read_text().splitlines()[0]
    for name in ("final.h5", "best.weights.h5"):
        with checkpoints.read_checkpoint(project / name) as checkpoint:
            assert checkpoint.config["NAME"] == "damage" and "COLORS" not in checkpoint.config


def test_detector(run_script, project):
    left = run_script("samples/coco/detector.py", cwd=".")
    assert left["table"].shape == (len(left["history"]), 4) and np.isfinite(left["history"]["val_loss"]).all()
    assert left["model_path"].endswith(f"mask_rcnn_pneumonia_{left['best_epoch'] + 1:04}.h5")
    assert len(left["model"].anchors) == sum(3 * side**2 for side in (16, 8, 4, 2))
    assert len(left["submission"]) == 2


def test_inspect_data(run_script, project, via_dataset):
    left = run_script("inspect_data.py")
    assert left["normalized_images"].shape == (1, 64, 64, 3) and left["rois"].shape == (4, 16, 4)
    assert left["mrcnn_mask"].shape == (4, 16, 28, 28, 2) and left["mrcnn_bbox"].shape == (4, 16, 2, 4)
    assert left["anchors"].shape[0] == sum(left["anchors_per_level"])
    assert np.mean(left["mini"] == left["mask"]) > 0.9  # minimized, expanded, minimized again


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # caused by deltas of an untrained network
def test_inspect_model(run_script, project, via_dataset):
    left = run_script("inspect_model.py")
    rpn, activations = left["rpn"], left["activations"]
    kept = rpn["refined_anchors_clipped"][0, rpn["post_nms_anchor_ix"]]
    np.testing.assert_array_equal(rpn["proposals"][0, : len(kept)], kept)
    assert activations["input_image"].shape == (1, 64, 64, 3)
    assert activations["res2c_out"].shape == (1, 16, 16, 256) and activations["res4f_out"].shape == (1, 4, 4, 1024)
    assert left["model"].anchors.shape[0] == left["target_rpn_match"].shape[0] == rpn["rpn_class"].shape[1]


def test_inspect_weights(run_script, capsys):
    left = run_script("inspect_weights.py")
    table = capsys.readouterr().out
    assert "mrcnn_mask/kernel" in table and "(1, 1, 16, 81)" in table
    assert {layer.name for layer in left["layers"]} >= {"toy1", "rpn_conv_shared", "mrcnn_class_logits"}

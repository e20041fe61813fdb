"""nike convert: labelme to COCO and back by the command line."""

import base64

from nike.convert import main
from nike.datasets.labelme import read_folder
from nike.datasets.mask_to_polygons import iou


def test_there_and_back(folder, shape, tmp_path, capsys):
    folder.labelled("deep/a.jpg", [shape(), shape("ignore", [[50, 5], [60, 15]], "rectangle")])
    folder.labelled("b.jpg", [])
    before = read_folder(folder.root).photos
    assert main([str(folder.root), str(folder.root / "coco.json"), "--labels", "nike"]) == 0
    assert "2 photos, 2 instances written" in capsys.readouterr().out
    for photo in before:
        photo.annotation.unlink()
    assert main([str(folder.root / "coco.json"), str(folder.root)]) == 0
    assert "2 labelme files written" in capsys.readouterr().out
    after = read_folder(folder.root).photos
    assert [[i.label for i in photo.instances] for photo in after] == [[], ["nike", "ignore"]]
    old, new = before[1].draw(), after[1].draw()
    assert all(iou(old[:, :, i], new[:, :, i]) >= 0.99 for i in range(2))


def test_problems_are_listed(folder, shape, tmp_path, capsys):
    folder.labelled("a.jpg", [shape(), shape("adidas"), shape(points=[[1, 2]])])
    assert main([str(folder.root), str(tmp_path / "coco.json"), "--labels", "nike"]) == 1
    error = capsys.readouterr().err
    assert "a.json, shapes[2]: a polygon needs" in error and "'adidas' has no category" in error


def test_annotations_are_not_overwritten(folder, shape, capsys):
    drawn = folder.labelled("deep/a.jpg", [shape()])
    folder.labelled("b.jpg", [])
    before = drawn.read_bytes()
    assert main([str(folder.root), str(folder.root)]) == 2
    assert "b.json is there already (and 1 more)" in capsys.readouterr().err
    assert drawn.read_bytes() == before


def test_photos_that_cannot_have_a_labelme_file(folder, shape, tmp_path, capsys):
    """Two photos whose files would have the same name, and one that lies inside its annotation file."""
    images = [{"id": i, "file_name": folder.photo(name).name} for i, name in enumerate(("a.jpg", "a.png"))]
    coco = folder.json("coco.json", {"images": images, "annotations": [], "categories": []})
    assert main([str(coco), str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("1 labelme file written") and "a.png: has the same name as 'a.jpg'" in output.err
    assert (tmp_path / "out" / "a.json").is_file()

    inside = base64.b64encode(folder.photo("c.png").read_bytes()).decode()
    folder.json("only/c.json", {"shapes": [shape()], "imagePath": "gone.png", "imageData": inside})
    folder.labelled("only/d.jpg", [shape()])
    assert main([str(folder.root / "only"), str(tmp_path / "more")]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("1 labelme file written") and "c.json: the photo lies inside the file" in output.err


def test_mistakes_are_explained(folder, tmp_path, capsys):
    for source, message in ((folder.root, "no photo to convert"), (tmp_path / "nowhere", "no such file or folder")):
        assert main([str(source), str(tmp_path / "coco.json")]) == 2
        assert message in capsys.readouterr().err

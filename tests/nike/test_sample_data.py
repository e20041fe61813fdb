"""The sample data is complete, valid, small and free to distribute."""

import hashlib
from pathlib import Path

import nike
from nike.datasets.labelme import read_folder

FOLDER = Path(nike.__file__).parent / "sample_data"


def test_it_is_complete_and_valid():
    for part, photos, negatives in (("train", 18, 3), ("val", 6, 1)):
        collection = read_folder(FOLDER / part)
        assert len(collection.photos) == photos
        assert not collection.unlabelled and not list(collection.all_problems())
        assert sum(not photo.instances for photo in collection.photos) == negatives
        for photo in collection.photos:
            assert (photo.height, photo.width) == (512, 512)
            assert {instance.label for instance in photo.instances} <= {"nike", "ignore"}
            assert (photo.draw().sum(axis=(0, 1)) > 0).all()


def test_number_and_sizes_of_logos():
    for part, least in (("train", 12), ("val", 3)):
        large = 0
        for photo in read_folder(FOLDER / part).photos:
            fair = [i.extent for i in photo.instances if i.label == "nike"]
            large += any(max(y2 - y1, x2 - x1) > 64 for y1, x1, y2, x2 in fair)
        assert large >= least


def test_no_image_occurs_twice():
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.rglob("*.jpg")]
    assert len(hashes) == len(set(hashes)) == 24


def test_it_is_small_and_documents_its_origin():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3_000_000
    assert {path.suffix for path in files} == {".jpg", ".json", ".md"}
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "trademark of Nike" in text and "CC0" in text and "nike synthesize --output sample_data/train" in text

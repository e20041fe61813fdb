import numpy as np
import pytest

from mrcnn.data.dataset import Dataset
from nike.augmentation.copy_paste import DONOR_SIDE, Donor, Donors, cut_out, decoy, paste


def mark(height=40, width=80):
    mask = np.zeros((200, 300), bool)
    mask[50 : 50 + height, 60 : 60 + width] = True
    image = np.full((200, 300, 3), 10, np.uint8)
    image[mask] = 200, 40, 90
    return image, mask


def test_a_cut_out_holds_the_mark_and_its_edge():
    donor = cut_out(*mark(), class_id=3)
    assert donor.image.shape == (44, 84, 3) and donor.mask.shape == (44, 84) and donor.class_id == 3
    assert (donor.mask > 0).sum() == 40 * 80 and donor.image[donor.mask == 255].tolist()[0] == [200, 40, 90]


def test_large_marks_are_made_smaller_and_tiny_ones_are_left_out():
    image, mask = np.zeros((900, 700, 3), np.uint8), np.ones((900, 700), bool)
    assert cut_out(image, mask, 1).mask.shape == (DONOR_SIDE, round(700 * DONOR_SIDE / 900))
    assert cut_out(*mark(10, 20), class_id=1) is None
    assert cut_out(image, np.zeros_like(mask), 1) is None


class Photos(Dataset):
    def __init__(self, class_ids, broken=False):
        super().__init__()
        self.ids, self.reads, self.broken = np.array(class_ids, np.int32), 0, broken
        self.add_class("s", 1, "mark")
        for i in range(4):
            self.add_image("s", i, None)
        self.prepare()

    def load_image(self, image_id):
        self.reads += 1
        if self.broken:
            raise ValueError("damaged")
        return mark()[0]

    def load_mask(self, image_id):
        return np.repeat(mark()[1][:, :, None], len(self.ids), axis=2), self.ids


def test_donors_are_drawn_by_the_generator_and_read_once():
    photos = Photos([1, -1])
    donors = Donors(photos)
    for seed in range(20):
        assert donors.draw(np.random.default_rng(seed)).class_id == 1
    assert photos.reads <= 4


@pytest.mark.parametrize("photos", [Photos([]), Photos([-1]), Photos([1], broken=True)])
def test_photos_without_a_usable_mark_give_none(photos):
    assert Donors(photos).draw(np.random.default_rng(0)) is None


def test_a_pasted_mark_changes_the_photo_where_its_mask_says():
    donor = Donor(np.full((40, 80, 3), 230, np.uint8), np.full((40, 80), 255, np.uint8), 1)
    for seed in range(30):
        image = np.full((128, 128, 3), 60, np.uint8)
        mask = paste(image, np.zeros((128, 128), bool), donor, np.random.default_rng(seed), (20, 60))
        if mask is None:
            continue
        rows, columns = np.nonzero(mask)
        assert 8 <= max(np.ptp(rows), np.ptp(columns)) <= 90
        difference = abs(image.astype(int) - 60).max(axis=2)
        assert difference[mask].mean() > 8
        far = np.ones((128, 128), bool)
        far[max(rows.min() - 6, 0) : rows.max() + 7, max(columns.min() - 6, 0) : columns.max() + 7] = False
        assert difference[far].max(initial=0) == 0


def test_no_free_place_no_paste():
    donor, image = decoy(np.random.default_rng(0)), np.zeros((64, 64, 3), np.uint8)
    assert paste(image, np.ones((64, 64), bool), donor, np.random.default_rng(0), (20, 30)) is None
    assert paste(image, np.zeros((64, 64), bool), donor, np.random.default_rng(0), (300, 400)) is None
    assert not image.any()


def test_a_mark_too_thin_to_be_seen_is_not_pasted():
    image, mask = np.zeros((64, 64, 3), np.uint8), np.zeros((100, 100), np.uint8)
    mask[50] = 255
    donor = Donor(np.full((100, 100, 3), 255, np.uint8), mask, 1)
    assert paste(image, np.zeros((64, 64), bool), donor, np.random.default_rng(0), (9, 10)) is None
    assert not image.any()


def test_marks_prefer_structure_to_empty_ground():
    donor = Donor(np.full((40, 40, 3), 230, np.uint8), np.full((40, 40), 255, np.uint8), 1)
    on_the_product = 0
    for seed in range(40):
        image = np.full((256, 256, 3), 200, np.uint8)
        image[:, :100] = np.random.default_rng(0).integers(0, 255, (256, 100, 3))
        mask = paste(image, np.zeros((256, 256), bool), donor, np.random.default_rng(seed), (20, 30))
        on_the_product += np.nonzero(mask)[1].mean() < 110
    assert on_the_product > 30  # by chance it would be 15


def test_decoys_are_of_several_kinds_and_have_no_class():
    decoys = [decoy(np.random.default_rng(seed)) for seed in range(40)]
    assert all(d.class_id == 0 and d.mask.any() and not d.mask.all() for d in decoys)
    assert len({d.mask.tobytes() for d in decoys}) > 20

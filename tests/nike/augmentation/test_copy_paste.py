import numpy as np
import pytest

from mrcnn.data.dataset import Dataset
from nike.augmentation.copy_paste import MAX_SIDE, Cutout, CutoutSampler, cut_out, draw_distractor, paste


def logo_image(height=40, width=80):
    mask = np.zeros((200, 300), bool)
    mask[50 : 50 + height, 60 : 60 + width] = True
    image = np.full((200, 300, 3), 10, np.uint8)
    image[mask] = 200, 40, 90
    return image, mask


def test_cutout_contains_the_object_and_a_margin():
    cutout = cut_out(*logo_image(), class_id=3)
    assert cutout.image.shape == (44, 84, 3) and cutout.mask.shape == (44, 84) and cutout.class_id == 3
    assert (cutout.mask > 0).sum() == 40 * 80 and cutout.image[cutout.mask == 255].tolist()[0] == [200, 40, 90]


def test_large_cutouts_are_downsampled_and_tiny_objects_are_skipped():
    image, mask = np.zeros((900, 700, 3), np.uint8), np.ones((900, 700), bool)
    assert cut_out(image, mask, 1).mask.shape == (MAX_SIDE, round(700 * MAX_SIDE / 900))
    assert cut_out(*logo_image(10, 20), class_id=1) is None
    assert cut_out(image, np.zeros_like(mask), 1) is None


class Images(Dataset):
    def __init__(self, class_ids, broken=False):
        super().__init__()
        self.ids, self.reads, self.broken = np.array(class_ids, np.int32), 0, broken
        self.add_class("s", 1, "logo")
        for i in range(4):
            self.add_image("s", i, None)
        self.prepare()

    def load_image(self, image_id):
        self.reads += 1
        if self.broken:
            raise ValueError("damaged")
        return logo_image()[0]

    def load_mask(self, image_id):
        return np.repeat(logo_image()[1][:, :, None], len(self.ids), axis=2), self.ids


def test_cutouts_are_sampled_with_the_generator_and_cached():
    dataset = Images([1, -1])
    cutouts = CutoutSampler(dataset)
    for seed in range(20):
        assert cutouts.sample(np.random.default_rng(seed)).class_id == 1
    assert dataset.reads <= 4


@pytest.mark.parametrize("dataset", [Images([]), Images([-1]), Images([1], broken=True)])
def test_images_without_a_usable_object_give_none(dataset):
    assert CutoutSampler(dataset).sample(np.random.default_rng(0)) is None


def test_paste_changes_the_image_inside_its_mask():
    cutout = Cutout(np.full((40, 80, 3), 230, np.uint8), np.full((40, 80), 255, np.uint8), 1)
    for seed in range(30):
        image = np.full((128, 128, 3), 60, np.uint8)
        mask = paste(image, np.zeros((128, 128), bool), cutout, np.random.default_rng(seed), (20, 60))
        if mask is None:
            continue
        mask = mask >= 128
        rows, columns = np.nonzero(mask)
        assert 8 <= max(np.ptp(rows), np.ptp(columns)) <= 90
        difference = abs(image.astype(int) - 60).max(axis=2)
        assert difference[mask].mean() > 8
        far = np.ones((128, 128), bool)
        far[max(rows.min() - 6, 0) : rows.max() + 7, max(columns.min() - 6, 0) : columns.max() + 7] = False
        assert difference[far].max(initial=0) == 0


def test_paste_without_free_position_returns_none():
    cutout, image = draw_distractor(np.random.default_rng(0)), np.zeros((64, 64, 3), np.uint8)
    assert paste(image, np.ones((64, 64), bool), cutout, np.random.default_rng(0), (20, 30)) is None
    assert paste(image, np.zeros((64, 64), bool), cutout, np.random.default_rng(0), (300, 400)) is None
    assert not image.any()


def test_objects_too_thin_after_scaling_are_not_pasted():
    image, mask = np.zeros((64, 64, 3), np.uint8), np.zeros((100, 100), np.uint8)
    mask[50] = 255
    cutout = Cutout(np.full((100, 100, 3), 255, np.uint8), mask, 1)
    assert paste(image, np.zeros((64, 64), bool), cutout, np.random.default_rng(0), (9, 10)) is None
    assert not image.any()


def test_paste_prefers_textured_positions():
    cutout = Cutout(np.full((40, 40, 3), 230, np.uint8), np.full((40, 40), 255, np.uint8), 1)
    textured = 0
    for seed in range(40):
        image = np.full((256, 256, 3), 200, np.uint8)
        image[:, :100] = np.random.default_rng(0).integers(0, 255, (256, 100, 3))
        mask = paste(image, np.zeros((256, 256), bool), cutout, np.random.default_rng(seed), (20, 30))
        textured += np.nonzero(mask >= 128)[1].mean() < 110
    assert textured > 30  # uniform positions would give about 15


def test_distractors_vary_and_have_class_zero():
    distractors = [draw_distractor(np.random.default_rng(seed)) for seed in range(40)]
    assert all(d.class_id == 0 and d.mask.any() and not d.mask.all() for d in distractors)
    assert len({d.mask.tobytes() for d in distractors}) > 20

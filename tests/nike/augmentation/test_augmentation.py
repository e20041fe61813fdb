import numpy as np
import pytest

from mrcnn.data.dataset import Dataset
from nike.augmentation import MIN_LENGTH, STRENGTHS, LogoAugmentation, Strength, _homography

SIDE = 128
IDENTITY = Strength(0, 0, (1, 1), 0, 0, 0, 0, 0, 0, 0, 0, 0)


def logo_image(height=150, width=200, seed=0):
    """Returns a grey image with a red disc, its mask and class id 1."""
    rows, columns = np.mgrid[:height, :width]
    mask = (rows - 60) ** 2 + (columns - 120) ** 2 < 30**2
    image = np.random.default_rng(seed).integers(90, 110, (height, width, 3), dtype=np.uint8)
    image[mask] = 255, 0, 0
    return image, mask[:, :, None], np.array([1], np.int32)


class Images(Dataset):
    def __init__(self, samples):
        super().__init__()
        self.samples = samples
        self.add_class("s", 1, "disc")
        for i in range(len(samples)):
            self.add_image("s", i, None)
        self.prepare()

    def load_image(self, image_id):
        return self.samples[image_id][0]

    def load_mask(self, image_id):
        return self.samples[image_id][1:]


def augment(strength, seed, sample=None, cutout_dataset=None):
    augmentation = LogoAugmentation(SIDE, cutout_dataset, strength)
    image, coverage, class_ids = augmentation.augment_photo(*(sample or logo_image()), np.random.default_rng(seed))
    assert coverage.dtype == np.uint8
    return image, coverage >= 128, class_ids


def is_red(image):
    return (image[:, :, 0] > 170) & (image[:, :, 1] < 60) & (image[:, :, 2] < 60)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_augmentation_shapes_dtypes_and_determinism(strength):
    dataset = Images([logo_image(seed=i) for i in range(3)])
    sample = logo_image()
    before = [array.copy() for array in sample]
    for seed in range(30):
        image, masks, class_ids = augment(strength, seed, sample, dataset)
        assert image.shape == (SIDE, SIDE, 3) and image.dtype == np.uint8
        assert masks.shape == (SIDE, SIDE, len(class_ids))
        assert class_ids.dtype == np.int32 and set(class_ids.tolist()) <= {1, -1}
        again = augment(strength, seed, sample, dataset)
        assert all((one == two).all() for one, two in zip((image, masks, class_ids), again, strict=True))
    assert all((one == two).all() for one, two in zip(sample, before, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_masks_are_warped_with_the_image(seed):
    strength = Strength(0, 0.5, (0.7, 1.5), 30, 0.3, 0.2, 0, 0, 0, 0, 0, 0)
    image, masks, _ = augment(strength, seed)
    shown, mask = is_red(image), masks[:, :, 0]
    if mask.sum() > 60:
        assert (shown & mask).sum() / (shown | mask).sum() > 0.9


def test_plain_images_match_detection_preprocessing():
    mirrored = set()
    for seed in range(12):
        image, masks, class_ids = augment(Strength(1, 1, (0.2, 3), 90, 1, 1, 1, 1, 1, 1, 1, 1), seed)
        # 150x200 is resized to 96x128 and centred in black padding.
        assert image[:16].max() == 0 and image[112:].max() == 0 and image[16:112].min(axis=2).mean() > 60
        shift = np.nonzero(masks[:, :, 0])[1].mean()
        mirrored.add(round(shift))
        assert class_ids.tolist() == [1]
    assert len(mirrored) == 2 and sum(mirrored) == pytest.approx(SIDE, abs=2)


def test_plain_object_position_matches_detection():
    plain = Strength(1, 0, (1, 1), 0, 0, 0, 0, 0, 0, 0, 0, 0)
    centres = [np.argwhere(augment(plain, seed)[1][:, :, 0]).mean(axis=0) for seed in range(8)]
    # Pixel (60, 120) is scaled by 0.64 and moved down by the 16 rows of padding. Half of the images are mirrored.
    x = 120.5 * 0.64 - 0.5
    for centre in centres:
        assert centre[0] == pytest.approx(60.5 * 0.64 + 16 - 0.5, abs=0.1)
        assert min(abs(centre[1] - x), abs(SIDE - 1 - centre[1] - x)) < 0.1


def test_identity_augmentation_scales_the_mask_area():
    _, masks, _ = augment(IDENTITY, 0)
    assert masks.sum() == pytest.approx(np.pi * 30**2 * 0.64**2, rel=0.03)


def test_masks_are_the_covered_fraction_of_each_pixel():
    image, mask, class_ids = logo_image()
    mask[:] = False
    mask[40:80, 50:120, 0] = True
    augmentation = LogoAugmentation(SIDE, None, IDENTITY)
    matrix = np.diag([0.64, 0.64, 1.0])
    _, masks, _ = augmentation._apply_homography(image, mask, class_ids, matrix, True, np.random.default_rng(0))
    # Pixel 76 is sampled at 76.5 / 0.64 = 119.53, which is 0.03 pixels beyond the centre of the last inner pixel.
    assert masks[40, 75:78, 0].tolist() == [255, pytest.approx(255 * (1 - 0.03), abs=2), 0]
    assert abs(masks.sum() / 255 - 40 * 70 * 0.64**2) < 20


def test_barely_visible_object_is_ignored():
    image, mask, class_ids = logo_image()
    mask[:] = False
    mask[60:150, 190:, 0] = True  # a quarter of it remains visible
    augmentation = LogoAugmentation(SIDE, None, IDENTITY)
    matrix = np.diag([1.0, 1.0, 1.0])
    matrix[0, 2] = -64.5  # columns 64.5 to 192.5 are visible
    _, masks, ids = augmentation._apply_homography(image, mask, class_ids, matrix, True, np.random.default_rng(0))
    assert 0 < (masks >= 128).sum() < 0.3 * mask.sum() and ids.tolist() == [-1]
    matrix[0, 2] = -70
    _, _, ids = augmentation._apply_homography(image, mask, class_ids, matrix, True, np.random.default_rng(0))
    assert ids.tolist() == [1]
    assert class_ids.tolist() == [1]


def test_tiny_object_is_ignored():
    for scale, expected in (((0.95 * MIN_LENGTH - 1) / 60, -1), ((MIN_LENGTH + 2) / 60, 1)):
        augmentation = LogoAugmentation(SIDE, None, IDENTITY)
        matrix = np.diag([scale, scale, 1])
        _, _, ids = augmentation._apply_homography(*logo_image(), matrix, True, np.random.default_rng(0))
        assert ids.tolist() == [expected]


def test_zoom_enlarges_the_object():
    strength = Strength(0, 1, (1, 1), 0, 0, 0, 0, 0, 0, 0, 0, 0)
    areas = [augment(strength, seed)[1].sum() for seed in range(20)]
    assert min(areas) > 0.9 * np.pi * 30**2 * 0.64**2
    assert max(areas) > 2 * min(areas)


def test_zoom_is_limited_by_max_length():
    image, masks = np.zeros((400, 400, 3), np.uint8), np.zeros((400, 400, 1), bool)
    masks[180:200, 100:250] = True
    strength = Strength(0, 1, (1, 1), 0, 0, 0, 0, 0, 0, 0, 0, 0)
    lengths = [
        np.count_nonzero(augment(strength, seed, (image, masks, np.array([1], np.int32)))[1].any(axis=(0, 2)))
        for seed in range(60)
    ]
    assert 0.85 * SIDE < max(lengths) <= 0.96 * SIDE


def test_zoom_shows_one_whole_object():
    image, masks = np.zeros((400, 400, 3), np.uint8), np.zeros((400, 400, 3), bool)
    for i, (y, x) in enumerate([(20, 30), (350, 340)]):
        masks[y : y + 30, x : x + 20, i] = True  # the third mask is empty
    sample = image, masks, np.array([1, 1, 1], np.int32)
    whole = set()
    for seed in range(20):
        _, new_masks, class_ids = augment(Strength(0, 1, (2, 2), 0, 0, 0, 0, 0, 0, 0, 0, 0), seed, sample)
        scale = np.sqrt(new_masks.sum(axis=(0, 1)).max() / 600)
        assert scale > 0.6
        sides = zip(*(np.count_nonzero(new_masks.any(axis=axis), axis=0) for axis in (0, 1)), strict=True)
        complete = [abs(w - 20 * scale) < 2 and abs(h - 30 * scale) < 2 for w, h in sides]
        assert any(complete)
        whole |= set(np.flatnonzero(complete).tolist())
    assert whole == {0, 1}


def test_pasted_logos_are_labelled_and_distractors_are_not():
    dataset = Images([logo_image()])
    empty = np.full((150, 200, 3), 100, np.uint8), np.zeros((150, 200, 0), bool), np.zeros(0, np.int32)
    pasting, distractors = (Strength(0, 0, (1, 1), 0, 0, 0, 0, 0, 0, 0, *which) for which in ((1, 0), (0, 1)))
    labelled = changed = 0
    for seed in range(40):
        image, masks, class_ids = augment(pasting, seed, empty, dataset)
        labelled += len(class_ids)
        for i in range(len(class_ids)):  # the logo differs from the background
            assert masks[:, :, i].any() and abs(image[masks[:, :, i]].astype(int) - 100).max(axis=1).mean() > 5
        image, masks, class_ids = augment(distractors, seed, empty, dataset)
        assert len(class_ids) == 0 and masks.shape[2] == 0
        changed += abs(image[20:100].astype(int) - 100).max() > 8
    assert 20 < labelled < 80 and changed > 30


def test_occupied_pixels_are_not_covered():
    augmentation = LogoAugmentation(SIDE, Images([logo_image()]), Strength(0, 0, (1, 1), 0, 0, 0, 0, 0, 0, 0, 1, 0))
    occupied = np.zeros((SIDE, SIDE), bool)
    occupied[:, :60] = True
    pasted = 0
    for seed in range(30):
        image, masks, ids = (
            np.zeros((SIDE, SIDE, 3), np.uint8),
            occupied[:, :, None] * np.uint8(255),
            np.array([1], np.int32),
        )
        image, masks, ids = augmentation._paste(image, masks, ids, occupied.copy(), np.random.default_rng(seed))
        assert (masks >= 128).sum(axis=2).max() == 1 and masks.shape[2] == len(ids)
        assert not image[:, :60].any()
        pasted += len(ids) - 1
    assert pasted > 20


def test_fading_changes_the_image_but_not_the_masks():
    plain, faded = (augment(Strength(0, 0, (1, 1), 0, 0, 0, fade, 0, 0, 0, 0, 0), 1, logo_image()) for fade in (0, 1))
    mask = plain[1][:, :, 0]
    assert abs(plain[0][mask].mean(axis=0) - 100).max() > 80  # red on grey
    assert 10 < abs(faded[0][mask].mean(axis=0) - 100).max() < 70
    for before, after in zip(plain[1:], faded[1:], strict=True):
        np.testing.assert_array_equal(before, after)
    image, masks, class_ids = logo_image()
    ignored = augment(Strength(0, 0, (1, 1), 0, 0, 0, 1, 0, 0, 0, 0, 0), 1, (image, masks, -class_ids))
    assert abs(ignored[0][mask].mean(axis=0) - 100).max() > 80


def test_erased_rectangles_are_removed_from_the_masks():
    hidden = 0
    for seed in range(80):
        image, masks, class_ids = augment(Strength(0, 0, (1, 1), 0, 0, 0, 0, 0, 0, 1, 0, 0), seed)
        shown, mask = is_red(image), masks[:, :, 0]
        hidden += mask.sum() < 1000
        assert (mask & ~shown).sum() < 0.1 * mask.sum()
        assert (mask.sum() < 0.55 * 1158) <= (class_ids[0] == -1)
    assert hidden > 3


def test_homography_moves_the_centre_to_its_target():
    matrix = _homography((10, 20), 2 * np.eye(2), (50, 60), tilt=(0.001, -0.002))
    x, y, w = matrix @ [10, 20, 1]
    assert (x / w, y / w) == pytest.approx((50, 60))
    x, y, w = _homography((10, 20), 2 * np.eye(2), (50, 60)) @ [11, 20, 1]
    assert (x / w, y / w) == pytest.approx((52, 60))


def test_images_one_pixel_high_and_fully_covered_images():
    thin = np.zeros((1, 300, 3), np.uint8), np.ones((1, 300, 1), bool), np.array([1], np.int32)
    full = np.zeros((300, 300, 3), np.uint8), np.ones((300, 300, 1), bool), np.array([1], np.int32)
    for sample in (thin, full):
        for seed in range(10):
            assert augment("strong", seed, sample, Images([full]))[0].shape == (SIDE, SIDE, 3)


def test_unknown_strength_raises():
    with pytest.raises(ValueError, match="light, medium, strong.*'huge'"):
        LogoAugmentation(SIDE, strength="huge")


@pytest.mark.parametrize("seed", range(8))
def test_boxes_move_with_the_image(seed):
    """The moved box of an object encloses the moved object."""
    sample = logo_image()
    rows, columns = (np.flatnonzero(sample[1][:, :, 0].any(axis=axis)) for axis in (1, 0))
    box = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    augmentation = LogoAugmentation(SIDE, None, "strong" if seed else Strength(1, *[0] * 11))
    rng = np.random.default_rng(seed)
    _, coverage, _, boxes = augmentation.augment_photo(*sample, rng, boxes=np.float32([box, [0, 0, 150, 200]]))
    assert boxes.shape == (2, 4) and (boxes >= 0).all() and (boxes <= SIDE).all()
    rows, columns = (np.flatnonzero((coverage[:, :, 0] >= 128).any(axis=axis)) for axis in (1, 0))
    y1, x1, y2, x2 = boxes[0]
    if not len(rows):
        return
    assert y1 <= rows[0] + 1 and x1 <= columns[0] + 1 and y2 >= rows[-1] and x2 >= columns[-1]
    if not seed:  # without geometric changes, the box equals that of the object
        np.testing.assert_allclose([y1, x1, y2, x2], [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], atol=1)
        assert boxes[1].tolist() == [16, 0, 112, 128]


def test_boxes_follow_keypoints():
    points = np.zeros((1, 2, 3), np.float32)
    augmentation = LogoAugmentation(SIDE, None, "strong")
    *_, keypoints, boxes = augmentation.augment_photo(*logo_image(), np.random.default_rng(0), points, np.zeros((0, 4)))
    assert keypoints.shape[1:] == (2, 3) and boxes.shape == (0, 4)

import numpy as np
import pytest

from nike.synthesis import compose, distractors, scenes
from nike.synthesis.canvas import Canvas
from nike.synthesis.compose import Assets, render_image
from nike.synthesis.geometry import pose
from nike.synthesis.pen import Pen

ASSETS = Assets()


def render(seed, height=96, width=128, assets=ASSETS, **options):
    return render_image(np.random.default_rng(seed), height, width, assets, **options)


def test_rendering_is_deterministic():
    first, labels = render(5)
    again, again_labels = render(5)
    other, _ = render(6)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for a, b in zip(labels, again_labels, strict=True):
        assert a.label == b.label
        np.testing.assert_array_equal(a.polygons[0], b.polygons[0])


def test_images_and_instances_are_valid():
    labelled = 0
    for seed in range(20):
        image, instances = render(seed)
        assert image.shape == (96, 128, 3) and image.dtype == np.uint8
        labelled += bool(instances)
        for instance in instances:
            assert instance.label in ("nike", "ignore")
            for polygon in instance.polygons:
                assert len(polygon) >= 3 and np.isfinite(polygon).all()
                assert polygon.min() >= 0 and (polygon.max(axis=0) <= (128, 96)).all()
    assert labelled == 20


def test_negatives_have_no_instances():
    assert not any(render(seed, negative=True)[1] for seed in range(20))


def test_backgrounds_are_used_and_not_modified():
    background = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    before, loads = background.copy(), []
    assets = Assets(ASSETS.logo, backgrounds=(lambda: loads.append(1) or background,))
    for seed in range(12):
        image, _ = render(seed, assets=assets)
        assert image.shape == (96, 128, 3)
    assert 3 <= len(loads) <= 11  # the other images use synthetic scenes
    np.testing.assert_array_equal(background, before)


@pytest.mark.parametrize("name", compose.PRODUCTS)
@pytest.mark.parametrize("size", [6, 60, 300])
def test_products_draw_at_any_size_and_propose_logos(name, size):
    proposals = []
    for seed in range(2):
        canvas = Canvas(np.ones((100, 140, 3), np.float32), np.random.default_rng(seed))
        product = compose.PRODUCTS[name]
        frame = pose((70, 50), size, 0.2, seed % 2 == 0, tilt=(0.2, 0.1)) @ pose(-np.array(product.centre), 1.0)
        product.draw(Pen(canvas, frame, lambda *proposal: proposals.append(proposal)))
        assert np.isfinite(canvas.colour).all() and np.isfinite(canvas.height).all()
        assert np.abs(canvas.colour - 1).max() > 0.02
    assert proposals
    assert all(matrix.shape == (3, 3) and 0 < probability <= 1 for matrix, _, _, probability in proposals)


@pytest.mark.parametrize("mirrored", [False, True])
def test_only_sided_logos_are_mirrored_with_the_product(mirrored):
    def mirrored_fraction(sided):
        proposals = []
        for seed in range(100):
            canvas = Canvas(np.ones((8, 8, 3), np.float32), np.random.default_rng(seed))
            pen = Pen(canvas, pose((4, 4), 8, mirror=mirrored), lambda *proposal: proposals.append(proposal))
            pen.logo(0, 0, 1, sided=sided)
        return np.mean([np.linalg.det(matrix[:2, :2]) < 0 for matrix, *_ in proposals])

    assert 0 < mirrored_fraction(sided=False) < 0.2
    assert abs(mirrored_fraction(sided=True) - mirrored) < 0.2


@pytest.mark.parametrize("kind", list(scenes.SCENES))
@pytest.mark.parametrize("shape", [(64, 64), (40, 170), (170, 40)])
def test_scenes_of_any_shape(kind, shape, monkeypatch):
    monkeypatch.setattr(scenes, "SCENES", {kind: scenes.SCENES[kind]})
    for seed in range(3):
        canvas = scenes.draw_scene(np.random.default_rng(seed), *shape)
        assert canvas.colour.shape == (*shape, 3) and canvas.height.shape == shape
        assert np.isfinite(canvas.colour).all() and not canvas.placed


@pytest.mark.parametrize("text", ["NIKE", "\U0001f600", " ", "x" * 500])
def test_word_renders_any_text(text):
    assert distractors.word(np.random.default_rng(0), text).outlines


def test_distractors_vary_and_differ_from_the_logo():
    """The mask IoU of each distractor with the logo is below 0.8, also when mirrored."""
    from nike.synthesis import geometry

    def rasterize(shape):
        return geometry.rasterize([geometry.transform(pose((32, 32), 60), o) for o in shape.outlines], (64, 64)) > 0

    logo = rasterize(ASSETS.logo)
    shapes = [rasterize(distractors.distractor(np.random.default_rng(seed))) for seed in range(200)]
    assert len({shape.tobytes() for shape in shapes}) > 150
    for shape in shapes:
        for view in (shape, shape[:, ::-1], shape[::-1], shape[::-1, ::-1]):
            assert (view & logo).sum() / (view | logo).sum() < 0.8

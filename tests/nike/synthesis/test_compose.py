import numpy as np
import pytest
from skimage.draw import polygon2mask

from nike.synthesis import compose, paint
from nike.synthesis.compose import Assets, Scene, add_logo, render_image, similarity
from nike.synthesis.logo import load_logo, make_logo

SQUARE = np.array([(0, 0), (1, 0), (1, 1), (0, 1.0)]) - 0.5
ASSETS = Assets()


def render(seed, height=96, width=128, assets=ASSETS, **options):
    return render_image(np.random.default_rng(seed), height, width, assets, **options)


def test_rendering_is_deterministic():
    first, labels = render(5)
    again, again_labels = render(5)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, render(6)[0])
    for a, b in zip(labels, again_labels, strict=True):
        assert a.label == b.label
        np.testing.assert_array_equal(a.polygons[0], b.polygons[0])


def test_images_and_instances_are_valid():
    for seed in range(20):
        image, instances = render(seed)
        assert image.shape == (96, 128, 3) and image.dtype == np.uint8 and instances
        for instance in instances:
            assert instance.label in ("nike", "ignore")
            for polygon in instance.polygons:
                assert len(polygon) >= 3 and np.isfinite(polygon).all()
                assert polygon.min() >= 0 and (polygon.max(axis=0) <= (128, 96)).all()


def test_positive_images_show_a_clear_logo():
    """Logos that are tiny, hidden or mostly outside the image are not sufficient."""
    assets = Assets(background=lambda rng, h, w: np.full((h, w, 3), 128, np.uint8))
    for seed in range(40):
        assert any(instance.label == "nike" for instance in render(seed, 160, 160, assets)[1])


def test_negatives_have_no_instances_but_distractors(monkeypatch):
    monkeypatch.setattr(compose, "apply_camera_effects", lambda rng, image: image)
    assets = Assets(background=lambda rng, h, w: np.full((h, w, 3), 128, np.uint8))
    for seed in range(20):
        image, instances = render(seed, assets=assets, negative=True)
        assert not instances and np.ptp(image) > 0.01


@pytest.mark.parametrize("seed", range(8))
def test_polygons_are_the_changed_pixels(seed, monkeypatch):
    """On a plain background, flat ink changes only the pixels inside the polygon."""
    monkeypatch.setattr(paint, "STYLES", {"print": paint.Style(1)})
    monkeypatch.setattr(compose, "SIZES", (0.4, 0.5))
    bolt = make_logo([np.array([(13, 1), (4, 14), (10, 14), (8, 23), (19, 9), (12, 9)], float)])
    scene = Scene(np.full((400, 400, 3), 0.5, np.float32), (0.0, -1.0))
    add_logo(np.random.default_rng(seed), scene, bolt, scene.logos)
    (polygon,) = scene.logos[0].polygons((400, 400))
    changed = np.abs(scene.image - 0.5).mean(axis=2)
    changed = changed > changed.max() / 2  # more than half of the pixel is covered
    inside = polygon2mask(changed.shape, polygon[:, ::-1] - 0.5)
    assert (changed & inside).sum() / (changed | inside).sum() > 0.98


def test_corners_are_mapped_to_corners_of_the_polygon(monkeypatch):
    """Landmarks are mapped by the placement that draws the logo."""
    placements = []
    monkeypatch.setattr(compose, "SIZES", (0.2, 0.3))
    sample = compose.sample_placement
    monkeypatch.setattr(compose, "sample_placement", lambda *args: placements.append(sample(*args)) or placements[-1])
    scene = Scene(np.full((400, 400, 3), 0.5, np.float32), (0.0, -1.0))
    add_logo(np.random.default_rng(3), scene, make_logo([SQUARE]), scene.logos)
    corners = placements[-1].to_image(SQUARE)
    (polygon,) = scene.logos[0].polygons((400, 400))
    distances = np.linalg.norm(corners[:, None] - polygon[None], axis=2).min(axis=1)
    assert distances.max() < 1


def test_windows_of_logos_do_not_overlap():
    scene, rng = Scene(np.full((300, 300, 3), 0.5, np.float32), (0.0, -1.0)), np.random.default_rng(0)
    for _ in range(20):
        add_logo(rng, scene, ASSETS.logo, scene.logos)
    assert len(scene.logos) > 2
    assert not any(a.overlaps(b) for i, a in enumerate(scene.logos) for b in scene.logos[:i])


def test_distractors_do_not_resemble_the_logo():
    star = make_logo([np.array([(0, 0), (4, 0), (4, 2), (0, 2.0)])])
    assert similarity(star, star) == pytest.approx(1)
    assert similarity(make_logo([SQUARE]), star) == pytest.approx(0.5, abs=0.03)  # half of a square
    swoosh = load_logo()
    mirrored = make_logo([outline * (-1, 1) for outline in swoosh.outlines])
    assert similarity(mirrored, swoosh) > 0.95
    for seed in range(60):
        assert similarity(ASSETS.sample_distractor(np.random.default_rng(seed)), swoosh) <= compose.MAX_SIMILARITY


def test_cutouts_are_drawn_in_their_colors(monkeypatch):
    monkeypatch.setattr(compose, "apply_camera_effects", lambda rng, image: image)
    texture = np.full((50, 50, 3), (0, 255, 0), np.uint8)
    cutout = make_logo([(SQUARE + 0.5) * 50], texture)
    assets = Assets(cutouts=(cutout,), background=lambda rng, h, w: np.full((h, w, 3), (255, 0, 255), np.uint8))
    green = [np.any(render(seed, assets=assets)[0] @ (-1, 1, -1) > 0.5) for seed in range(30)]
    assert 5 <= sum(green) <= 25


def edge_position(profile):
    """Returns the position at which a step in a profile reaches half of its height, with sub-pixel precision."""
    half = (profile[:10].mean() + profile[-10:].mean()) / 2
    i = np.flatnonzero((profile[:-1] < half) & (profile[1:] >= half))[0]
    return i + 0.5 + (half - profile[i]) / (profile[i + 1] - profile[i])


def test_camera_effects_keep_the_geometry():
    """Polygons are extracted before camera effects are applied, so these effects must not shift the image."""
    step = np.full((80, 80, 3), 0.3, np.float32)
    step[:, 40:] = 0.7
    shifts = []
    for seed in range(40):
        image = compose.apply_camera_effects(np.random.default_rng(seed), step).astype(float).mean(axis=2)
        shifts.append(edge_position(np.median(image, axis=0)) - 40)
    assert abs(np.mean(shifts)) < 0.05 and np.abs(shifts).max() < 0.3

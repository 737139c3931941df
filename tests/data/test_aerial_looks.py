"""What makes aerial scenes look real: any heading, things hidden by others, shadows, light, blur and noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from explorer.data.aerial import camera, render_scene, scene
from explorer.data.aerial.camera import expose, sunlight
from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.pen import Light, Pen, Sprite, box

GREY = (128, 128, 128)


def canvas_of(light: Light, level: int = 128) -> Canvas:
    """An evenly grey ground of 100 × 160 pixels at 10 pixels per metre, not turned."""
    canvas = Canvas(np.random.default_rng(0), (100, 160), 10.0, 0.0, light)
    canvas.image[:] = level
    return canvas


def block(light: Light, height_m: float = 2.0, colour: tuple[int, int, int] = GREY) -> Sprite:
    """A block of 4 × 2 metres."""
    pen = Pen(4.0, 2.0, 10.0, light)
    pen.body(box(-2, 2, -1, 1), colour)
    return pen.sprite(height_m)


def sharpness(image: np.ndarray) -> float:
    return float(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F).var())


def test_a_darker_band_lies_beside_an_object_away_from_the_sun() -> None:
    light = Light(shadow=(0.0, 1.0), tilt=(0.0, 0.0), strength=0.5)
    canvas = canvas_of(light)
    canvas.put(block(light), (0.0, 0.0), category="car")
    canvas.flush()
    below, above = canvas.image[68:76, 70:90].mean(), canvas.image[24:32, 70:90].mean()
    assert above == pytest.approx(128, abs=1)
    assert below < 0.6 * above
    longer = canvas_of(light)
    longer.put(block(light, height_m=3.5), (0.0, 0.0), category="car")
    longer.flush()
    assert (longer.image.min(axis=2) < 100).sum() > (canvas.image.min(axis=2) < 100).sum()


def test_shadows_lie_as_the_sun_says_and_change_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [np.hypot(*sunlight(np.random.default_rng(seed)).shadow) for seed in range(50)]
    assert 1 / np.tan(np.radians(65)) <= min(lengths) < max(lengths) <= 1 / np.tan(np.radians(32))
    with_shadows = render_scene(4, layout="crossing", size=(120, 160)).image
    monkeypatch.setattr(Canvas, "_cast", lambda self, shadow, item: None)
    without = render_scene(4, layout="crossing", size=(120, 160)).image
    darker = without.mean(axis=2) - with_shadows.mean(axis=2) > 20
    assert 0.002 < darker.mean() < 0.5


def test_what_lies_below_keeps_the_area_that_is_seen() -> None:
    light = Light((0.0, 0.0), (0.0, 0.0))
    canvas = canvas_of(light)
    canvas.put(block(light), (0.0, 0.0), category="car")
    canvas.put(block(light), (2.0, 0.0), category="truck")
    canvas.flush()
    seen = [int((canvas.owner == number).sum()) for number in (1, 2)]
    full = [placed.area_px for placed in canvas.placed]
    assert seen[0] == pytest.approx(full[0] / 2, rel=0.05)
    assert seen[1] == full[1]


@pytest.fixture(scope="module")
def canvases() -> list[Canvas]:
    """What 24 scenes were labelled from."""
    kept: list[Canvas] = []
    with pytest.MonkeyPatch.context() as patch:
        label = scene.label
        patch.setattr(scene, "label", lambda canvas: (kept.append(canvas), label(canvas))[1])
        for index in range(24):
            render_scene(6, index=index, size=(240, 320))
    return kept


def test_some_things_are_partly_hidden(canvases: list[Canvas]) -> None:
    shares = [
        (canvas.owner == number).sum() / placed.area_px
        for canvas in canvases
        for number, placed in enumerate(canvas.placed, 1)
        if placed.area_px
    ]
    assert max(shares) <= 1
    assert 0.02 < np.mean([0.1 < share < 0.9 for share in shares]) < 0.6


def test_vehicles_lie_in_every_direction(canvases: list[Canvas]) -> None:
    degrees = []
    for placed in (placed for canvas in canvases for placed in canvas.placed if placed.category in ("car", "ship")):
        spread = np.cov(np.concatenate(placed.polygons).T)
        long = np.linalg.eigh(spread)[1][:, 1]
        degrees.append(np.degrees(np.arctan2(long[1], long[0])) % 180)
    counts, _ = np.histogram(degrees, bins=6, range=(0, 180))
    assert counts.min() > 0.03 * counts.sum()


def test_exposure_changes_brightness_colour_and_sharpness() -> None:
    stripes = np.full((96, 96, 3), 90, np.uint8)
    stripes[:, ::8] = 160
    taken = [expose(np.random.default_rng(seed), stripes) for seed in range(40)]
    gains = [picture.mean() / stripes.mean() for picture in taken]
    assert min(gains) < 0.92
    assert max(gains) > 1.08
    casts = [picture[..., 2].mean() - picture[..., 0].mean() for picture in taken]
    assert min(casts) < -2
    assert max(casts) > 2
    smooth = [cv2.GaussianBlur(picture, (0, 0), 1.5) for picture in (stripes, *taken)]  # without the noise
    assert min(map(sharpness, smooth[1:])) < 0.9 * sharpness(smooth[0])


def test_the_lens_blurs_and_the_sensor_is_noisy() -> None:
    edge = np.full((64, 64, 3), 60, np.uint8)
    edge[:, 32:] = 180
    flat = np.full((64, 64, 3), 120, np.uint8)
    rises, noises = [], []
    for seed in range(40):
        profile = expose(np.random.default_rng(seed), edge).astype(float).mean(axis=(0, 2))
        rises.append((profile[32] - profile[31]) / (profile[40] - profile[23]))
        noises.append(expose(np.random.default_rng(seed), flat)[24:40, 24:40].astype(float).std(axis=(0, 1)).mean())
    assert 0.5 < np.mean(np.array(rises) < 0.9) < 0.9  # seven pictures in ten are blurred
    assert min(noises) > 0.3
    assert max(noises) > 3


def test_the_camera_takes_the_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene.expose is camera.expose
    taken = render_scene(4, layout="crossing", size=(120, 160)).image
    monkeypatch.setattr(scene, "expose", lambda rng, image: image)
    assert np.abs(render_scene(4, layout="crossing", size=(120, 160)).image.astype(int) - taken).mean() > 2

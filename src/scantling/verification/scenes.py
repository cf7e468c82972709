"""What a file and a model are both shown: drawn scenes with the statistics of photographs, noise.

No photograph ships with the package. The scenes have what tells a wrong file from a right one: more
detail the larger it is (as 1/f, like photographs), colours and shapes that differ from left to
right, from above to below and from red to blue, and sides of different lengths.
"""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from ..structures import FloatArray, Image

# (height, width): wide, high, nearly square, and such that letterbox and stretch differ
SIZES = ((480, 640), (640, 426), (360, 640), (500, 375), (612, 612), (375, 500))
SEED = 20111
NOISES = ("uniform", "normal", "dim")
ON_SCENES = "drawn scenes"  # what reports call them
SKY, GROUND = (96.0, 150.0, 214.0), (150.0, 118.0, 74.0)  # red, green, blue


def draw_scenes(count: int) -> list[Image]:
    """`count` pictures, always the same: (H, W, 3) uint8 RGB, of several sizes."""
    return [_scene(index).copy() for index in range(count)]


def draw_noise(image_size: tuple[int, int]) -> dict[str, Image]:
    """Inputs without structure, of the kinds that people calibrate with by mistake.

    Args:
        image_size: (height, width).

    Returns:
        (H, W, 3) uint8 by name: those of `NOISES`.
    """
    rng = np.random.default_rng(SEED)
    shape = (*image_size, 3)
    normal = np.clip(rng.normal(127.5, 64, shape), 0, 255)
    kinds = (
        rng.integers(0, 256, shape, dtype=np.uint8),
        normal.astype(np.uint8),
        rng.integers(0, 64, shape, dtype=np.uint8),
    )
    return dict(zip(NOISES, kinds, strict=True))


@cache
def _scene(index: int) -> Image:
    return _draw(np.random.default_rng((SEED, index)), SIZES[index % len(SIZES)])


def _draw(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    height, width = size
    canvas = _ground(rng, size)
    for _ in range(int(rng.integers(7, 12))):
        kind = DRAWN[int(rng.integers(len(DRAWN)))]
        place = rng.uniform((0.05 * width, 0.2 * height), (0.95 * width, 0.95 * height))
        centre = place.astype(np.float32)
        # nearer things are lower and larger
        side = (0.06 + 0.34 * centre[1] / height) * min(size) * rng.uniform(0.5, 1.3)
        cover = np.zeros(size, np.uint8)
        kind(cover, centre, side, rng)
        _paint(canvas, cover, rng)
    canvas += rng.normal(0, 2.5, (*size, 1)).astype(np.float32)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
    """Sky above ground, lighter to one side, with clouds and texture: (H, W, 3)."""
    height, width = size
    horizon = rng.uniform(0.3, 0.55)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    below = 1 / (1 + np.exp((horizon - rows) * 60))
    colour = np.array(SKY, np.float32) * (1 - below) + np.array(GROUND, np.float32) * below
    light = 0.7 + 0.5 * columns
    detail = _texture(rng, size)[:, :, None] * (18 + 30 * below)
    tint = np.stack([_texture(rng, size, octaves=3) for _ in range(3)], axis=-1) * 9
    return np.asarray(colour * light + detail + tint, np.float32)


def _texture(rng: np.random.Generator, size: tuple[int, int], *, octaves: int = 7) -> FloatArray:
    """(H, W) values around 0 whose amplitude falls as their frequency rises, as in photographs."""
    height, width = size
    total = np.zeros(size, np.float32)
    for octave in range(1, octaves + 1):
        cells = rng.normal(size=(2**octave, 2**octave)).astype(np.float32)
        total += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC) / octave
    return total


def _paint(canvas: FloatArray, cover: Image, rng: np.random.Generator) -> None:
    """One object: its own colour, shaded from the lit side, with a texture."""
    rows, columns = np.nonzero(cover)
    if not len(rows):
        return
    part = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    share = cv2.GaussianBlur(cover[part].astype(np.float32) / 255, (0, 0), 0.8)[:, :, None]
    height, width = share.shape[:2]
    shade = np.linspace(0.55, 1.15, width, dtype=np.float32)[None, :, None]
    colour = rng.uniform(15, 240, 3).astype(np.float32) * shade
    colour = colour + _texture(rng, (height, width))[:, :, None] * rng.uniform(4, 22)
    canvas[part] += share * (colour - canvas[part])


Outline = Callable[[Image, FloatArray, float, np.random.Generator], None]


def _blob(cover: Image, centre: FloatArray, side: float, rng: np.random.Generator) -> None:
    axes = (max(2, int(side / 2)), max(2, int(side / 2 * rng.uniform(0.4, 1))))
    place = (int(centre[0]), int(centre[1]))
    cv2.ellipse(cover, place, axes, rng.uniform(-25, 25), 0, 360, 255, -1)


def _upright(cover: Image, centre: FloatArray, side: float, _: np.random.Generator) -> None:
    """A head on a body on two legs."""
    x, y = centre
    cv2.circle(cover, (int(x), int(y - 0.42 * side)), max(2, int(side * 0.11)), 255, -1)
    _polygon(cover, centre, side, ((-0.16, -0.3), (0.16, -0.3), (0.11, 0.1), (-0.11, 0.1)))
    for lean in (-0.08, 0.09):
        foot = (int(x + lean * 1.6 * side), int(y + 0.5 * side))
        hip = (int(x + lean * side), int(y + 0.05 * side))
        cv2.line(cover, hip, foot, 255, max(2, int(side * 0.09)))


def _vehicle(cover: Image, centre: FloatArray, side: float, _: np.random.Generator) -> None:
    """A cabin on a body on two wheels."""
    x, y = centre
    body = ((-0.8, -0.05), (-0.5, -0.1), (-0.3, -0.35), (0.3, -0.35), (0.5, -0.05), (0.8, 0.2))
    _polygon(cover, centre, side, (*body, (-0.8, 0.2)))
    for wheel in (-0.48, 0.5):
        place = (int(x + wheel * side), int(y + 0.22 * side))
        cv2.circle(cover, place, max(2, int(side * 0.15)), 255, -1)


def _jagged(cover: Image, centre: FloatArray, side: float, rng: np.random.Generator) -> None:
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radii = rng.uniform(0.25, 0.55, 9)
    _polygon(cover, centre, side, np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None])


def _polygon(cover: Image, centre: FloatArray, side: float, corners: object) -> None:
    points = np.asarray(corners, np.float32) * side + centre
    cv2.fillPoly(cover, [np.rint(points).astype(np.int32)], 255)


DRAWN: tuple[Outline, ...] = (_blob, _upright, _vehicle, _jagged)

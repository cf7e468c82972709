"""The shapes and textures of the demo."""

from collections.abc import Callable

import cv2
import numpy as np

from ..structures import FloatArray

# Contours of (P, 2) corners within the unit circle; of two, the second is a hole.
Outline = tuple[FloatArray, ...]
SUBPIXEL = 4  # bits behind the point of what OpenCV fills


def _around(corners: int, *radii: float) -> FloatArray:
    """Corners (corners, 2) evenly around the origin, the first on top, radii in turn."""
    angles = 2 * np.pi * np.arange(corners) / corners - np.pi / 2
    lengths = np.resize(np.array(radii), corners)
    table = np.stack([np.cos(angles) * lengths, np.sin(angles) * lengths], axis=1)
    return np.asarray(table, np.float32)


def _cross(thickness: float) -> FloatArray:
    long, short = 1.0, thickness
    quarter = np.array([(-short, -long), (short, -long), (short, -short)], np.float32)
    turn = np.array([(0, 1), (-1, 0)], np.float32)
    turned = [quarter @ np.linalg.matrix_power(turn, count) for count in range(4)]
    return np.asarray(np.concatenate(turned) / np.hypot(long, short), np.float32)


def _moon() -> FloatArray:
    outer = np.linspace(0.25 * np.pi, 1.75 * np.pi, 28)
    start, reach = np.cos(outer[0]), np.sin(outer[0])
    inner = np.linspace(1.5 * np.pi, 0.5 * np.pi, 20)[1:-1]
    far = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    near = np.stack([start + 0.75 * np.cos(inner), reach * np.sin(inner)], axis=1)
    return np.asarray(np.concatenate([far, near]), np.float32)


# Every class of the demonstration; colour and texture say nothing about it.
OUTLINES: dict[str, Outline] = {
    "disc": (_around(48, 1.0),),
    "ring": (_around(48, 1.0), _around(48, 0.55)),
    "square": (_around(4, 1.0),),
    "triangle": (_around(3, 1.0),),
    "star": (_around(10, 1.0, 0.42),),
    "cross": (_cross(0.32),),
    "moon": (_moon(),),
}


def rasterise(
    outline: Outline,
    image_size: tuple[int, int],
    *,
    centre: tuple[float, float],
    radius: float,
    angle: float,
    squeeze: float,
) -> FloatArray:
    """Rasterise an outline with anti-aliasing: coverage of each pixel.

    Args:
        outline: a value of `OUTLINES`.
        image_size: (height, width) of the result.
        centre: (x, y) in pixels.
        radius: of the circle around it, in pixels.
        angle: by which it is turned, in radians.
        squeeze: how much shorter it becomes in one direction, 0 to 1.

    Returns:
        (H, W), from 0 to 1.
    """
    sine, cosine = np.sin(angle), np.cos(angle)
    move = np.array([(cosine, sine), (-sine, cosine)]) * np.array([[1.0], [squeeze]]) * radius
    one = 1 << SUBPIXEL
    contours = [np.rint((part @ move + centre) * one).astype(np.int32) for part in outline]
    cover = np.zeros(image_size, np.uint8)
    cv2.fillPoly(cover, contours, (255,), lineType=cv2.LINE_AA, shift=SUBPIXEL)
    return np.asarray(cover / np.float32(255), np.float32)


def area_of(outline: Outline) -> float:
    """Area of an outline of `OUTLINES`, in units where its circumscribed circle has area π."""
    whole, *holes = (float(cv2.contourArea(part)) for part in outline)
    return whole - sum(holes)


Texture = Callable[[FloatArray, FloatArray, np.random.Generator], FloatArray]


def _plain(along: FloatArray, across: FloatArray, rng: np.random.Generator) -> FloatArray:  # noqa: ARG001 - what every texture is given
    return np.zeros_like(along)


def _gradient(along: FloatArray, across: FloatArray, rng: np.random.Generator) -> FloatArray:  # noqa: ARG001
    return np.clip(0.5 + along / 60, 0, 1)


def _stripes(along: FloatArray, across: FloatArray, rng: np.random.Generator) -> FloatArray:  # noqa: ARG001
    wave = np.sin(along * 2 * np.pi / rng.uniform(5, 14))
    return np.asarray(wave > rng.uniform(-0.4, 0.4), np.float32)


def _checks(along: FloatArray, across: FloatArray, rng: np.random.Generator) -> FloatArray:
    period = 2 * np.pi / rng.uniform(8, 18)
    return np.asarray(np.sin(along * period) * np.sin(across * period) > 0, np.float32)


def _speckles(along: FloatArray, across: FloatArray, rng: np.random.Generator) -> FloatArray:  # noqa: ARG001
    return rng.random(along.shape, np.float32)


# What fills an object: from coordinates in pixels, turned at random, to a mixture of two colours.
TEXTURES: dict[str, Texture] = {
    "plain": _plain,
    "gradient": _gradient,
    "stripes": _stripes,
    "checks": _checks,
    "speckles": _speckles,
}


def fill(
    name: str, colours: FloatArray, image_size: tuple[int, int], rng: np.random.Generator
) -> FloatArray:
    """Fill an image with a texture.

    Args:
        name: in `TEXTURES`.
        colours: (2, 3) between which it lies, 0 to 255.
        image_size: (height, width) of the result.
        rng: of its direction, place and fineness.

    Returns:
        (H, W, 3).
    """
    height, width = image_size
    angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(0, 20)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - width / 2 + shift, y - height / 2
    along = np.asarray(np.cos(angle) * x + np.sin(angle) * y, np.float32)
    across = np.asarray(np.cos(angle) * y - np.sin(angle) * x, np.float32)
    share = TEXTURES[name](along, across, rng)[:, :, None]
    return np.asarray(colours[0] * (1 - share) + colours[1] * share, np.float32)

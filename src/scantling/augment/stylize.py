"""Style transfer of colour and texture statistics, without a network.

A stylised copy of a data set makes a detector learn shape rather than texture: the idea of
https://arxiv.org/abs/1811.12231, with statistics in place of a style network.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..structures import FloatArray, Image

_PASSES = 4  # colours that no screen can show are cut off, which moves the statistics again
_LARGEST_GAIN = 4.0  # of a band, so that noise of a flat image does not become its texture


def stylize(image: Image, style: Image, *, strength: float = 1.0, bands: int = 4) -> Image:
    """Match the colour and texture statistics of an image to those of another.

    In CIE L*a*b*, first the spread of each band of detail of the lightness, then the mean and the
    covariance of the three channels, by the linear map that moves colours least.

    Args:
        image: (H, W, 3) uint8 RGB.
        style: (H', W', 3) uint8 RGB, of any size.
        strength: 0 is the image itself, 1 has the statistics of the style.
        bands: of detail that are matched, the finest first, each half as fine as the one before;
            0 changes colours only.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        InvalidValue: an image of another shape or type, or a number out of range.

    Source: F. Pitié and A. Kokaram, The linear Monge-Kantorovitch linear colour mapping for
    example-based colour transfer, 2007.
    """
    for name, given in (("image", image), ("style", style)):
        if given.ndim != 3 or given.shape[2] != 3 or given.dtype != np.uint8 or given.size == 0:
            raise InvalidValue(name, f"{given.dtype} {given.shape}", "uint8 (H, W, 3) with pixels")
    if not 0 <= strength <= 1:
        raise InvalidValue("strength", strength, "a number from 0 to 1")
    if not 0 <= bands <= 12:
        raise InvalidValue("bands", bands, "a whole number from 0 to 12")
    original, wanted = _to_lab(image), _to_lab(style)
    result = original.copy()
    result[:, :, 0] = _match_bands(original[:, :, 0], wanted[:, :, 0], bands)
    for _ in range(_PASSES):
        result = _to_lab(_to_rgb(_match_colours(result, wanted)))
    return _to_rgb(original + np.float32(strength) * (result - original))


def _match_colours(lab: FloatArray, wanted: FloatArray) -> FloatArray:
    """Match mean and covariance of the pixels of (H, W, 3) to those of another."""
    pixels, goal = lab.reshape(-1, 3), wanted.reshape(-1, 3)
    ours, theirs = _covariance(pixels), _covariance(goal)
    root = _root(ours)
    inverse = np.linalg.inv(root)
    move = inverse @ _root(root @ theirs @ root) @ inverse
    moved = (pixels - pixels.mean(axis=0)) @ move.T + goal.mean(axis=0)
    return np.asarray(moved.reshape(lab.shape), np.float32)


def _covariance(pixels: FloatArray) -> NDArray[np.float64]:
    """(3, 3) over (P, 3), with so little added that even one colour can be divided by."""
    centred = pixels.astype(np.float64) - pixels.mean(axis=0)
    return np.asarray(centred.T @ centred / len(pixels) + 1e-2 * np.eye(3))


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)


def _match_bands(lightness: FloatArray, wanted: FloatArray, count: int) -> FloatArray:
    """Match the standard deviation of each frequency band of (H, W) to that of another."""
    details, rest = _split(lightness, count)
    goals, _ = _split(wanted, count)
    for detail, goal in zip(details, goals, strict=False):  # a small style has fewer
        gain = float(goal.std()) / max(float(detail.std()), 1e-6)
        rest = rest + detail * np.float32(min(gain, _LARGEST_GAIN))
    for detail in details[len(goals) :]:
        rest = rest + detail
    return rest


def _split(plane: FloatArray, count: int) -> tuple[list[FloatArray], FloatArray]:
    """Laplacian bands, finest first, and the rest; they add up to the plane."""
    details = []
    rest = plane
    for level in range(count):
        sigma = float(2**level)
        if sigma * 4 > min(plane.shape):
            break
        blurred = np.empty_like(rest)
        cv2.GaussianBlur(rest, (0, 0), sigma, blurred)
        details.append(rest - blurred)
        rest = blurred
    return details, rest


def _to_lab(image: Image) -> FloatArray:
    lab = np.empty(image.shape, np.float32)
    cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB, lab)
    return lab


def _to_rgb(lab: FloatArray) -> Image:
    rgb = np.empty(lab.shape, np.float32)
    cv2.cvtColor(lab, cv2.COLOR_LAB2RGB, rgb)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)

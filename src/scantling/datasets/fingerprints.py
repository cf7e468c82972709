"""Perceptual hashes of images, and the pairs of hashes within a Hamming distance."""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images.read import orient
from ..structures import Image

Hashes = NDArray[np.uint64]
Pairs = NDArray[np.int64]

HASH_BITS = 64
SIDE = 32  # the image is made this small: what is finer than a 32nd of it does not count
KEPT = 8  # of the frequencies along each axis, the slowest
# Grey levels of standard deviation. Below, what would be hashed is noise of the encoder, and all
# foggy, dark or empty images would be alike.
LEAST_CONTRAST = 3.0
_BLOCK = 1 << 20  # pairs looked at in one step: 8 MiB each of the arrays that come of them


def perceptual_hash(image: Image, *, orientation: int = 1) -> int | None:
    """64 bits that stay nearly the same when an image is scaled, recompressed or brightened.

    The image is made grey and 32 × 32; of its cosine transform the 8 × 8 slowest frequencies are
    kept without the mean; a bit says whether one exceeds their median. The hash of a mirrored or
    turned image is another, so it is turned upright first.

    Args:
        image: (H, W, 3) RGB, or (H, W) grey.
        orientation: 1 to 8, as EXIF counts: how the image is to be turned.

    Returns:
        None where the image has too little contrast to say what it looks like.

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), 3.2.
    """
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    if grey.std() < LEAST_CONTRAST:
        return None
    upright = orient(np.asarray(grey, np.uint8), orientation).astype(np.float32)
    slow = cv2.dct(upright)[:KEPT, :KEPT].ravel()
    bits = slow > np.median(slow[1:])
    bits[0] = False  # the mean: brightness is not what it looks like
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(hashes: Hashes, *, distance: int, limit: int = 10_000_000) -> Pairs:
    """All pairs of hashes that differ in no more than `distance` bits.

    The bits are cut into `distance` + 1 bands: two hashes that near agree in at least one whole
    band, so only those that do are compared.

    Args:
        hashes: (N,).
        distance: 0 to 31.
        limit: of the number of pairs; those beyond are left out.

    Returns:
        (M, 2) places in `hashes`, the lesser first, each pair once, in order.
    """
    found = [np.zeros((0, 2), np.int64)]
    count = 0
    bands = _bands(distance + 1)
    for number, mask in enumerate(bands):
        for members in _buckets(hashes & mask):
            for first, second in _blocks(members):
                differ = hashes[first] ^ hashes[second]
                near = (_count_bits(differ) <= distance) & (first < second)
                for earlier in bands[:number]:  # there the pair came up already
                    near[near] = (differ[near] & earlier) != 0
                found.append(np.stack([first[near], second[near]], axis=1))
                count += len(found[-1])
                if count >= limit:
                    return _in_order(found)[:limit]
    return _in_order(found)


def _count_bits(values: Hashes) -> NDArray[np.int64]:
    words = np.ascontiguousarray(values)[..., None].view(np.uint16)
    counts: NDArray[np.int64] = _BIT_COUNTS[words].sum(axis=-1, dtype=np.int64)
    return counts


# Bits set in every 16-bit word: NumPy counts bits itself only from version 2 on.
_BIT_COUNTS = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), 1)
_BIT_COUNTS = _BIT_COUNTS.sum(axis=1, dtype=np.uint8)


def _in_order(found: list[Pairs]) -> Pairs:
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _bands(count: int) -> list[np.uint64]:
    """Masks that cut the bits of a hash into so many parts of nearly the same size."""
    edges = np.linspace(0, HASH_BITS, count + 1).astype(int).tolist()
    return [np.uint64(((1 << (high - low)) - 1) << low) for low, high in pairwise(edges)]


def _buckets(values: Hashes) -> Iterator[NDArray[np.int64]]:
    """(B, S) places of equal values, row by row: B buckets of S in each step.

    Buckets of one size come together: a loop over sizes is short, one over buckets is not.
    """
    order = np.argsort(values, kind="stable")  # stable: places ascend within a bucket
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) != 0, True])
    sizes = np.diff(starts)
    for size in np.unique(sizes[sizes > 1]).tolist():
        yield order[starts[:-1][sizes == size][:, None] + np.arange(size)]


def _blocks(members: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs within each row of `members`, in steps of bounded memory."""
    count, size = members.shape
    if size * size <= _BLOCK:
        left, right = np.triu_indices(size, 1)
        step = max(1, _BLOCK // len(left))
        for start in range(0, count, step):
            rows = members[start : start + step]
            yield rows[:, left], rows[:, right]
        return
    step = max(1, _BLOCK // size)
    for row in members:
        for start in range(0, size, step):
            first, second = np.broadcast_arrays(row[start : start + step, None], row)
            yield first, second

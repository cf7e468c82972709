"""Resolution scaling: cost grows with the square, parameters and receptive field stay."""

from ...errors import InvalidSpec
from ...specs import ModelSpec
from ...structures import as_size
from .checks import check_factor

LONGEST_SIDE = 16384


def resize(spec: ModelSpec, size: int | tuple[int, int]) -> ModelSpec:
    """Change the input image size; anchors stay, in pixels.

    Args:
        size: (height, width), or the side of a square.

    Raises:
        InvalidSpec: a side does not fit the strides, or is out of all proportion.

    Source: Scaled-YOLOv4, section 3.1.
    """
    height, width = as_size(size)
    if not (0 < height <= LONGEST_SIDE and 0 < width <= LONGEST_SIDE):
        raise InvalidSpec(
            spec.name,
            f"an image size of {height}×{width}",
            f"Use sides from {spec.size_step} to {LONGEST_SIDE}",
        )
    suffix = f"{height}" if height == width else f"{height}x{width}"
    return spec.replace(name=f"{spec.name}-{suffix}", image_size=(height, width))


def scale_size(spec: ModelSpec, factor: float) -> ModelSpec:
    """Multiply the image size, to the nearest multiple of the coarsest stride.

    Args:
        factor: α, above 0. Multiply-accumulates grow with α², but for the rounding.

    Raises:
        InvalidValue, InvalidSpec: the factor, or the size that comes out, is none.

    Source: Scaled-YOLOv4, section 3.1.

    >>> from ...specs import find_spec
    >>> scale_size(find_spec("yolov4-csp"), 1.3).image_size
    (832, 832)
    """
    check_factor("factor", factor)
    stride = spec.size_step
    height, width = (max(1, int(side * factor / stride + 0.5)) * stride for side in spec.image_size)
    return resize(spec, (height, width))


def fit_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Round (height, width) up to multiples of a stride."""
    height, width = size
    return -(-height // stride) * stride, -(-width // stride) * stride

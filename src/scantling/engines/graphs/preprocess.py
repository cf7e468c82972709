"""Resizing and padding inside a graph: an image of any size → the input, boxes → the image."""

import torch
from torch import Tensor, nn

from ...specs.schema import InputSpec


class ResizeAndPad(nn.Module):
    """What `scantling.images.letterbox.resize_and_pad` does, in operations on whole arrays.

    Every size that depends on the image is a number in a tensor, so that shapes stay fixed: two
    rows and two columns of the image are read for each of the canvas, and blended. OpenCV rounds
    the weights, so pixels may differ by one grey level.

    Args:
        spec: the resize mode and the padding value.
        image_size: (height, width) of the canvas.
    """

    pad_value: Tensor

    def __init__(self, spec: InputSpec, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.resize_mode = spec.resize_mode
        self.image_size = image_size
        colour = (spec.pad_value,) * 3 if isinstance(spec.pad_value, int) else spec.pad_value
        self.register_buffer(
            "pad_value", torch.tensor(colour, dtype=torch.float32), persistent=False
        )

    def forward(self, image: Tensor) -> Tensor:
        """(1, H, W, 3) uint8 → (1, height, width, 3) float32, 0 to 255, in whole numbers."""
        (height, new_height, top), (width, new_width, left) = self._placement(image)
        pixels = image[0]
        inside = []
        for axis, (side, old, new, start) in enumerate(
            (
                (self.image_size[0], height, new_height, top),
                (self.image_size[1], width, new_width, left),
            )
        ):
            place = torch.arange(side) - start
            inside.append((place >= 0) & (place < new))
            pixels = _blend(pixels, axis, place, old, new)
        within = (inside[0][:, None] & inside[1][None])[..., None]
        return torch.where(within, pixels.round(), self.pad_value)[None]

    def restore(self, boxes: Tensor, image: Tensor) -> Tensor:
        """(1, P, 4) boxes on the canvas → in pixels of the image."""
        (height, new_height, top), (width, new_width, left) = self._placement(image)
        start = torch.stack([left, top, left, top]).float()
        old = torch.stack([width, height, width, height]).float()
        new = torch.stack([new_width, new_height, new_width, new_height]).float()
        return (boxes - start) * (old / new)

    def edges(self, image: Tensor) -> Tensor:
        """(1, 4) width, height, width and height of the image, where boxes are cut off."""
        (height, _, _), (width, _, _) = self._placement(image)
        return torch.stack([width, height, width, height]).float()[None]

    def _placement(self, image: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Old length, new length and first place on the canvas: of the rows, of the columns."""
        height, width = self.image_size
        old_height = torch.scalar_tensor(image.shape[1], dtype=torch.int64)
        old_width = torch.scalar_tensor(image.shape[2], dtype=torch.int64)
        whole_height = torch.full_like(old_height, height)
        whole_width = torch.full_like(old_width, width)
        if self.resize_mode == "stretch":
            zero = torch.zeros_like(old_height)
            return (old_height, whole_height, zero), (old_width, whole_width, zero)
        wide = width * old_height < height * old_width
        fitted_height = (old_height * width // old_width).clamp(min=1)
        fitted_width = (old_width * height // old_height).clamp(min=1)
        new_height = torch.where(wide, fitted_height, whole_height)
        new_width = torch.where(wide, whole_width, fitted_width)
        centred = 1 if self.resize_mode == "letterbox" else 0
        top, left = (height - new_height) // 2 * centred, (width - new_width) // 2 * centred
        return (old_height, new_height, top), (old_width, new_width, left)


def _blend(pixels: Tensor, axis: int, place: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Resample one axis: at each place between the two nearest of the old, half-pixel centres."""
    # in whole numbers: an engine that computes in bf16 would look at other pixels
    ahead = ((2 * place + 1) * old - new).clamp(min=0)
    first = ahead // (2 * new)
    weight = (ahead - first * 2 * new).float() / (2 * new).float()
    first = torch.minimum(first, old - 1)
    second = torch.minimum(first + 1, old - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    weight = weight.view(shape)
    low = pixels.index_select(axis, first).float()
    high = pixels.index_select(axis, second).float()
    return low + (high - low) * weight

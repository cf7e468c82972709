"""One contract, several runtimes: what turns a batch of images into candidates."""

from typing import Protocol

from ..structures import Candidates, Image


class Engine(Protocol):
    """A model made ready to predict.

    Attributes:
        image_size: (height, width) of its usual input.
        size_divisor: it takes images of any size whose sides are multiples of this; None where it
            takes `image_size` only.
        in_background: it works best in a thread of its own, apart from the caller's.
    """

    image_size: tuple[int, int]
    size_divisor: int | None
    in_background: bool

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> Image:
        """An (images, H, W, 3) array to be filled and handed to the engine, in its best memory.

        Args:
            images: how many.
            image_size: (height, width); the usual one if None.

        Raises:
            ScantlingError: the engine takes no images of this size.
        """
        ...

    def __call__(self, images: Image) -> Candidates:
        """(N, H, W, 3) RGB images → their candidates, in pixels of images of that size.

        Raises:
            ScantlingError: the engine takes no images of this size.
        """
        ...

"""One contract, several runtimes: what turns a batch of images into candidates."""

from typing import Protocol

from ..structures import Candidates, Image


class Engine(Protocol):
    """A model made ready to predict.

    Attributes:
        image_size: (height, width) of the images that it takes.
        in_background: it works best in a thread of its own, apart from the caller's.
    """

    image_size: tuple[int, int]
    in_background: bool

    def new_batch(self, images: int) -> Image:
        """An (images, H, W, 3) array to be filled and handed to the engine, in its best memory."""
        ...

    def __call__(self, images: Image) -> Candidates:
        """(N, H, W, 3) RGB images → their candidates."""
        ...

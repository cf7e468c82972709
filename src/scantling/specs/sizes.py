"""Which image sizes a network takes: one rule for prediction, training, export and advice."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidSpec
from .frozen import MAX_SIDE


@dataclass(frozen=True, eq=False)
class SizeRule:
    """Which sides, in pixels, the images of a network may have.

    Feature maps that are joined again (concatenated, added) have to be of one size, though one of
    them was halved more often and brought back by upsampling. They are where the side is a multiple
    of the least common multiple of their strides.

    Args:
        divisor: every multiple of it fits, of all numbers the smallest; None where there is none:
            the network joins maps that are of one size for few image sizes alone.
        step: the multiples of it are the sizes that are chosen where the user names none: all maps
            have whole cells there, on the way to every level too; None as for `divisor`.
        fitting: by side, from 0, whether it fits, of those up to a greatest; None: what `divisor`
            says.
    """

    divisor: int | None
    step: int | None
    fitting: NDArray[np.bool_] | None = None

    def fits(self, side: int) -> bool:
        """Whether the height or width of an image may be that many pixels."""
        if self.fitting is not None:
            return 0 <= side < len(self.fitting) and bool(self.fitting[side])
        in_range = 0 < side <= MAX_SIDE
        return in_range and self.divisor is not None and side % self.divisor == 0

    def check(self, model: str, image_size: tuple[int, int]) -> None:
        """Refuse an image size that the network cannot take.

        Args:
            model: its name, for the message.
            image_size: (height, width).

        Raises:
            InvalidSpec: names the side and the nearest that fit, the smaller and the larger.
        """
        problem = self.find_problem(image_size)
        if problem is not None:
            raise InvalidSpec(model, *problem)

    def find_problem(self, image_size: tuple[int, int]) -> tuple[str, str] | None:
        """What is wrong with a (height, width), and what to write instead; None if it fits."""
        sides = dict(zip(("height", "width"), image_size, strict=True))
        wrong = {what: side for what, side in sides.items() if not self.fits(side)}
        if not wrong:
            return None
        given = "image " + " and ".join(f"{what} {side}" for what, side in wrong.items())
        if self.divisor is None:
            problem = f"{given}: feature maps that the network joins would differ in size"
        elif max(wrong.values()) > MAX_SIDE:
            return f"{given}: too large", f"{MAX_SIDE} pixels are the most"
        elif not any(side % self.divisor for side in wrong.values()):
            problem = f"{given}: too small or too large"
        else:
            multiple = "is not a multiple" if len(wrong) == 1 else "are not multiples"
            strides = "which the strides of its feature maps ask for"
            problem = f"{given} {multiple} of {self.divisor}, {strides}"
        if len(set(wrong.values())) == 1:
            return problem, f"Use {self._near(next(iter(wrong.values())))}"
        advice = ", ".join(f"{self._near(side)} for the {what}" for what, side in wrong.items())
        return problem, f"Use {advice}"

    def _near(self, side: int) -> str:
        """The nearest sides that fit, the smaller first."""
        return " or ".join(map(str, sorted(self._neighbours(side)))) or "the size of its own"

    def _neighbours(self, side: int) -> Iterator[int]:
        if self.divisor is not None and self.divisor > 1:
            below = side // self.divisor * self.divisor
            yield from (near for near in (below, below + self.divisor) if self.fits(near))
        elif self.fitting is not None:
            sides = self.fitting.nonzero()[0]
            yield from map(int, sides[sides < side][-1:])
            yield from map(int, sides[sides > side][:1])
        else:
            yield 1

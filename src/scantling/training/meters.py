"""The loss terms of an epoch, added up without waiting for the device."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from accelerate import Accelerator

from ..structures import LossTerms


class Sums:
    """Means of the loss terms over the images of an epoch, kept on their device till asked for.

    Args:
        sums: of an epoch that was under way, to be gone on with.
        images: that it has seen.
    """

    def __init__(self, sums: Mapping[str, float] | None = None, images: int = 0) -> None:
        self._sums: dict[str, Any] = dict(sums or {})
        self.images = images

    def add(self, terms: LossTerms, images: int) -> None:
        """Count an update of so many images."""
        self.images += images
        for part in fields(terms):
            value = getattr(terms, part.name).double() * images
            self._sums[part.name] = value + self._sums.get(part.name, 0)

    def values(self) -> dict[str, float]:
        """The sums as plain numbers, exactly."""
        return {name: float(value) for name, value in self._sums.items()}

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """The mean of each term over the images, and over what all processes found."""
        values = self.values()
        own = torch.tensor(list(values.values()), dtype=torch.float64) / self.images
        joint = accelerator.reduce(own.to(accelerator.device), reduction="mean").tolist()
        return {name: round(value, 6) for name, value in zip(values, joint, strict=True)}

"""How a node of a feature pyramid fuses what comes in: with learned weights, or without.

Papers: EfficientDet, https://arxiv.org/abs/1911.09070, section 3.3; global attention: NAS-FPN,
https://arxiv.org/abs/1904.07392, section 3.1; maxout, https://arxiv.org/abs/1302.4389. Terms are
added one by one: stacking them first would move every feature map once more.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

# Every normalisation of weights: (inputs, …) weights as learned → weights as used.
NORMALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "fast": lambda weights: weights.relu() / (weights.relu().sum(dim=0) + 1e-4),
    "softmax": lambda weights: weights.softmax(dim=0),
    "unbounded": lambda weights: weights,
}


class WeightedSum(nn.Module):
    """Add feature maps of one shape, each multiplied by a learned weight.

    Shape: inputs × (N, C, H, W) → (N, C, H, W).

    Args:
        inputs: how many maps.
        normalisation: a name in `NORMALISATIONS`.
        channels: a weight of its own for each of so many channels; None for one weight a map.
    """

    def __init__(self, inputs: int, *, normalisation: str, channels: int | None = None) -> None:
        super().__init__()
        self.normalise = NORMALISATIONS[normalisation]
        shape = (inputs,) if channels is None else (inputs, channels, 1, 1)
        self.weights = nn.Parameter(torch.ones(shape))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        weights = self.normalise(self.weights).to(maps[0].dtype).unbind()
        return reduce(torch.add, (w * x for w, x in zip(weights, maps, strict=True)))


class PlainSum(nn.Module):
    """Add feature maps of one shape.

    Shape: inputs × (N, C, H, W) → (N, C, H, W).
    """

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        if len(maps) == 1:
            return maps[0].clone()  # a new map, as any sum is: what follows may work in place
        return reduce(torch.add, maps)


class GlobalAttention(nn.Module):
    """Add maps, the second one gated, channel by channel, by the greatest value of the first.

    Shape: inputs × (N, C, H, W) → (N, C, H, W). NAS-FPN gives the coarser map first.
    """

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        first, *others = maps
        if not others:
            return first.clone()
        gate = first.amax(dim=(2, 3), keepdim=True).sigmoid()
        return reduce(torch.add, (first + gate * others[0], *others[1:]))


class Maxout(nn.Module):
    """Of each channel, the greatest of several maps: what darknet calls `maxpool_depth`.

    Shape: inputs × (N, C, H, W) → (N, C, H, W).
    """

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        if len(maps) == 1:
            return maps[0].clone()
        return reduce(torch.maximum, maps)


# Every fusion: Fusion(inputs, channels) → module from a list of maps to one.
FUSIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "channel-fast": lambda inputs, channels: WeightedSum(
        inputs, normalisation="fast", channels=channels
    ),
    "channel-softmax": lambda inputs, channels: WeightedSum(
        inputs, normalisation="softmax", channels=channels
    ),
    "fast": lambda inputs, _: WeightedSum(inputs, normalisation="fast"),
    "global-attention": lambda *_: GlobalAttention(),
    "maxout": lambda *_: Maxout(),
    "softmax": lambda inputs, _: WeightedSum(inputs, normalisation="softmax"),
    "sum": lambda *_: PlainSum(),
    "unbounded": lambda inputs, _: WeightedSum(inputs, normalisation="unbounded"),
}

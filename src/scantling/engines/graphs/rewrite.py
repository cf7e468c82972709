"""A network as engines like it: norms folded, weights of fusions and paddings known beforehand."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ...blocks import ConvNormAct, Resample, SamePad, WeightedSum, fuse_norms
from ...darknet import DarknetNetwork
from ...darknet.layers import WeightedShortcut
from ...detector import Detector

MishForm = Literal["op", "sigmoid"]
Network = Detector | DarknetNetwork
WINDOW = 3  # side of the max-pools of a pyramid


class SigmoidMish(nn.Module):
    """Mish by one logistic function: with q = σ(−x) it is x · (1 − q²) / (1 + q²).

    ONNX Runtime has no fast Mish, nor a fast softplus; this is the same function.
    """

    def forward(self, x: Tensor) -> Tensor:
        q = (-x).sigmoid()
        square = q * q
        return x * ((1 - square) / (1 + square))


class FixedSum(nn.Module):
    """Add feature maps of one shape, each multiplied by a weight that is known.

    Args:
        weights: (inputs, …), normalised.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.names = tuple(f"weight{place}" for place in range(len(weights)))
        for name, weight in zip(self.names, weights, strict=True):
            self.register_buffer(name, weight.clone())

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        weights = [self.get_buffer(name) for name in self.names]
        total = maps[0] * weights[0]
        for weight, x in zip(weights[1:], maps[1:], strict=True):
            total = total + x * weight
        return total


class FixedPad(nn.Module):
    """The padding that `same` finds for the first map it sees, for all that follow.

    Attributes:
        edges: new pixels left, right, above and below; None before the first map.
        side: the shorter of that map.
    """

    def __init__(self, same: SamePad) -> None:
        super().__init__()
        self.same = (same,)
        self.value = same.value
        self.edges: tuple[int, int, int, int] | None = None
        self.side = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.edges is None:
            self.edges = self.same[0].edges(x.shape[-2], x.shape[-1])
            self.side = min(x.shape[-2:])
        return F.pad(x, self.edges, value=self.value)


@torch.no_grad()
def rewrite(
    network: Network, image_size: tuple[int, int], *, mish: MishForm = "op"
) -> tuple[Network, list[torch.Size]]:
    """A copy of a network that computes the same in fewer steps, for inference at one size.

    Normalisations are folded into convolutions, the weights of fusions normalised once, and what
    "SAME" padding adds at this size, and at its multiples if the coarsest stride divides it, is
    settled.

    Args:
        network: stays as it is.
        image_size: (height, width) of the input.
        mish: `op`: as one operation, which OpenVINO and INT8 want; `sigmoid`: see `SigmoidMish`.

    Returns:
        The copy, in evaluation mode, and the shapes of its raw outputs for one image.
    """
    made = deepcopy(network).eval().requires_grad_(False)
    fuse_norms(made)
    for module in list(made.modules()):
        if hasattr(module, "inplace"):  # tracing one with open sizes takes ten times as long
            module.inplace = False  # type: ignore[assignment]
        if isinstance(module, WeightedShortcut):
            module.weight.copy_(module._normalised())
            module.normalization = "none"
        for name, child in module.named_children():
            if isinstance(child, WeightedSum):
                setattr(module, name, FixedSum(child.normalise(child.weights)))
            elif isinstance(child, SamePad):
                setattr(module, name, FixedPad(child))
            elif isinstance(child, nn.Mish) and mish == "sigmoid":
                setattr(module, name, SigmoidMish())
    shapes = _measure(made, image_size)
    for module in made.modules():
        if isinstance(module, ConvNormAct):
            _pad_inside(module)
        elif isinstance(module, Resample):
            module.pool = _pool_padded(module.pool)
    return made, shapes


def _measure(network: nn.Module, image_size: tuple[int, int]) -> list[torch.Size]:
    """Shapes of the raw outputs; on the way each `FixedPad` sees a map. Nothing is computed."""
    state = {name: tensor.to("meta") for name, tensor in network.state_dict().items()}
    images = torch.empty(1, 3, *image_size, device="meta")
    raw: list[Tensor] = functional_call(network, state, (images,))
    return [level.shape for level in raw]


def _pad_inside(module: ConvNormAct) -> None:
    """Leave an even padding to the convolution itself."""
    pad = module.pad
    if isinstance(pad, FixedPad) and pad.edges is not None:
        left, right, above, below = pad.edges
        if left == right and above == below:
            module.conv.padding = (above, left)
            module.pad = nn.Identity()


def _pool_padded(pools: nn.Sequential) -> nn.Sequential:
    """Leave the padding to max-pools of 3×3 and stride 2: the odd pixel is what ceil mode adds.

    Not where a map is smaller than a window, which OpenVINO refuses.
    """
    made: list[nn.Module] = []
    for pool in pools:
        before = made[-1] if made else None
        if isinstance(before, FixedPad) and before.edges is not None and before.side >= WINDOW:
            left, _, above, _ = before.edges
            made[-1] = nn.MaxPool2d(WINDOW, 2, padding=(above, left), ceil_mode=True)
        else:
            made.append(pool)
    return nn.Sequential(*made)

"""Cost of a layer, a part and a network, as frozen values."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

Shape = tuple[int, ...]


class _Moved:
    """What layers and sums of them move, in bytes."""

    macs: int
    weight_bytes: int
    activation_bytes: int

    @property
    def moved_bytes(self) -> int:
        """Bytes of weights and feature maps read and written, each once."""
        return self.weight_bytes + self.activation_bytes

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: multiply-accumulates for each byte moved."""
        return self.macs / self.moved_bytes if self.moved_bytes else 0.0


@dataclass(frozen=True)
class LayerCost(_Moved):
    """Cost of one call of one operation; views are free and are not counted as layers.

    Everything is of the whole batch.

    Args:
        name: of the module that computes it; several operations of a module share it.
        kind: `convolution`, `depthwise`, `grouped`, `product` (of matrices), `norm`, `activation`,
            `pool`, `add`, `multiply`, `concat`, `resize`, `pad`, `copy` or `other`.
        operation: what torch calls it.
        inputs: shapes of the maps that it reads.
        shape: of what it makes.
        kernel, kernel_stride: of a convolution or pool, (vertical, horizontal).
        groups: of a convolution.
        parameters: that no layer before it read.
        macs: multiply-accumulates; of convolutions and matrix products alone.
        access: memory access cost in values, hw(C_in + C_out) + K · C_in · C_out / groups of a
            convolution: maps read and written, and weights without bias.
            Source: ShuffleNet V2, https://arxiv.org/abs/1807.11164, section 2, G1.
        cio: convolution input and output in values, C_in · hw + C_out · hw; 0 for other layers.
            Source: HarDNet, https://arxiv.org/abs/1909.00948.
        channel_product: C_in · C_out / groups of a convolution, which the Scaled-YOLOv4 paper calls
            CIO in its table 5; 0 for other layers.
        weight_bytes, activation_bytes: read and written, in the precision of the run.
        live_bytes: of activations that exist at once while it runs.
        receptive_field: (height, width) in pixels; None where the output has no places.
        stride: (vertical, horizontal) pixels from cell to cell.
        sees_all: it also depends on the whole image, through a mean over it or attention.
        reads_image: it reads the image itself.
    """

    name: str
    kind: str
    operation: str
    inputs: tuple[Shape, ...]
    shape: Shape
    kernel: tuple[int, int] | None
    kernel_stride: tuple[int, int] | None
    groups: int
    parameters: int
    macs: int
    access: int
    cio: int
    channel_product: int
    weight_bytes: int
    activation_bytes: int
    live_bytes: int
    receptive_field: tuple[int, int] | None
    stride: tuple[float, float] | None
    sees_all: bool
    reads_image: bool

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution of any kind."""
        return self.kind in ("convolution", "depthwise", "grouped")


@dataclass(frozen=True)
class Totals(_Moved):
    """Sums over layers, of the fields of `LayerCost`."""

    layers: int
    parameters: int
    macs: int
    access: int
    cio: int
    channel_product: int
    weight_bytes: int
    activation_bytes: int
    live_bytes: int


@dataclass(frozen=True)
class PartCost:
    """Cost of one part of a network.

    Args:
        name: path of its module, `backbone.stages.2`; of a cfg `layers.12`.
        about: what it is, `csp × 8`; of a cfg the kind of section.
        group: `backbone`, `neck` or `head`; of a cfg the stride of its output.
        layers: its layers, in order.
    """

    name: str
    about: str
    group: str
    layers: tuple[LayerCost, ...]

    @property
    def totals(self) -> Totals:
        """Sums over its layers; `live_bytes` is the maximum."""
        return add_up(self.layers)

    @property
    def shape(self) -> Shape:
        """Output shape of its last layer."""
        return self.layers[-1].shape

    @property
    def receptive_field(self) -> tuple[int, int] | None:
        """Largest receptive field of its layers."""
        fields = [layer.receptive_field for layer in self.layers if layer.receptive_field]
        return max(fields, key=prod) if fields else None


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network for one image size, batch and precision.

    Args:
        name: of the model.
        image_size: (height, width).
        batch: images at once.
        precision: `fp32`, `fp16`, `bf16`, or `int8`, where every value is taken for one byte.
        fused: the norms were folded into the convolutions.
        parts: in the order in which they first run.
        layers: every layer, in the order of execution.
        parameters: of the whole network, those that nothing reads included.
        weight_bytes: of its parameters and statistics.
        peak_bytes: the most activations that exist at once in eager torch, the image included.
    """

    name: str
    image_size: tuple[int, int]
    batch: int
    precision: str
    fused: bool
    parts: tuple[PartCost, ...]
    layers: tuple[LayerCost, ...]
    parameters: int
    weight_bytes: int
    peak_bytes: int

    @property
    def totals(self) -> Totals:
        """Sums over all layers."""
        return add_up(self.layers)


def add_up(layers: Iterable[LayerCost]) -> Totals:
    """Sum the costs of layers; `live_bytes` is the maximum."""
    layers = tuple(layers)
    return Totals(
        layers=len(layers),
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
        access=sum(layer.access for layer in layers),
        cio=sum(layer.cio for layer in layers),
        channel_product=sum(layer.channel_product for layer in layers),
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        live_bytes=max((layer.live_bytes for layer in layers), default=0),
    )

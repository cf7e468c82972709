"""The path from pixels to what the metadata promises, as one module; and its traced program."""

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from ...checkpoints import Model
from ...specs.metadata import Metadata
from .nms import Suppress
from .preprocess import ResizeAndPad
from .rewrite import MishForm, rewrite

INPUT = "images"  # name of the one input
LARGEST = 1 << 15  # side of an image, in pixels
# What the exporter remembers of the Python code that a graph was made from.
_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")


class ExportGraph(nn.Module):
    """A model's network, rewritten for inference, with all that is in front of it and behind it.

    The model itself stays as it is. Pre-processing and decoding are computed in float32, whatever
    the network is computed in.

    Args:
        model: what to run.
        metadata: says what goes in and what comes out, see `GraphForm`; of this model.
        mish: `op` or `sigmoid`, see `rewrite`.
        dtype: of the network's weights and features.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: Model,
        metadata: Metadata,
        *,
        mish: MishForm = "op",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        form = metadata.form
        self.takes = form.takes
        self.dtype = dtype
        # a graph of open size pads as for the least of them
        least = (metadata.size_divisor,) * 2 if form.any_size else metadata.image_size
        network, shapes = rewrite(model.network, least, mish=mish)
        self.decoder: nn.Module | None = None
        if form.gives != "raw":
            fixed = None if form.any_size else metadata.image_size
            cells = [(shape[2], shape[3]) for shape in shapes[: len(metadata.levels)]]
            self.decoder = network.export_decoder(fixed, cells)
        self.network = network.to(dtype=dtype)
        unit = 1 if form.takes == "float" else 255
        for name in ("mean", "std"):
            values = unit * torch.tensor(getattr(metadata.input_spec, name)).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.shifts = bool(self.mean.any())
        self.scales = bool((self.std != 1).any())
        self.resize = None
        if form.takes == "image":
            self.resize = ResizeAndPad(metadata.input_spec, metadata.image_size)
        self.suppress = Suppress(metadata) if form.gives == "detections" else None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The metadata's input → its outputs: boxes and scores, raw predictions, or detections."""
        pixels = images
        if self.resize is not None:
            pixels = self.resize(images)
        if self.takes != "float":
            pixels = pixels.permute(0, 3, 1, 2).float()
        if self.shifts:
            pixels = pixels - self.mean
        if self.scales:
            pixels = pixels / self.std
        raw: Sequence[Tensor] = self.network(pixels.to(self.dtype))
        if self.decoder is None:
            return tuple(level.float() for level in raw)
        boxes, scores = self.decoder(raw)
        edges = None
        if self.resize is not None:
            boxes, edges = self.resize.restore(boxes, images), self.resize.edges(images)
        if self.suppress is not None:
            return (self.suppress(boxes, scores, edges),)
        return boxes, scores


def trace(graph: ExportGraph, metadata: Metadata) -> torch.export.ExportedProgram:
    """Record what a graph does, for all the shapes that its metadata allows.

    Args:
        graph: of this metadata.
        metadata: its form says which sides are open.
    """
    example, shapes = _example(metadata)
    with torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes={INPUT: shapes})
    program._example_inputs = None  # they would be written into the file
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            _forget_origins(module)
    return program


def _example(metadata: Metadata) -> tuple[torch.Tensor, dict[int, object]]:
    """An input of the metadata's form, and its open sides by axis."""
    form, open_ = metadata.form, dict[int, object]()
    images = 2 if form.batch is None else form.batch
    height, width = metadata.image_size
    first = 2 if form.takes == "float" else 1
    if form.batch is None:
        open_[0] = torch.export.Dim("batch", min=1, max=1024)
    if form.any_size:
        # sides apart from one another and from a single cell, which would be taken for the rule
        stride = metadata.size_divisor
        height, width = 2 * stride, 3 * stride
        open_[first] = stride * torch.export.Dim("rows", min=1, max=LARGEST // stride)
        open_[first + 1] = stride * torch.export.Dim("columns", min=1, max=LARGEST // stride)
    if form.takes == "image":
        height, width = 480, 640
        open_[1] = torch.export.Dim("height", min=1, max=LARGEST)
        open_[2] = torch.export.Dim("width", min=1, max=LARGEST)
    if form.takes == "float":
        return torch.zeros(images, 3, height, width), open_
    return torch.zeros(images, height, width, 3, dtype=torch.uint8), open_


def _forget_origins(module: fx.GraphModule) -> None:
    """Leave no trace of this machine's files in what was recorded."""
    for node in module.graph.nodes:
        for key in _ORIGINS:
            node.meta.pop(key, None)

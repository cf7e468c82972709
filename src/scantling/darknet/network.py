"""A network from any detection `.cfg` of darknet: runnable, trainable, in the cfg's own order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from os import PathLike

from torch import Tensor, nn

from ..blocks import ConvNormAct
from ..errors import InvalidSpec
from ..heads import ClassRows
from ..heads.yolo_decoding import BOX_VALUES, decode_yolo
from ..heads.yolo_export import YoloDecoder
from ..specs import CfgSpec
from ..specs.level import Level
from ..specs.sizes import SizeRule
from ..structures import Candidates
from .build import LAYERS
from .cfg import Section
from .convolution import build_convolution, conv_tensors, share_weights
from .describe import count_classes, num_classes_of, read_cfg, read_level, read_sections
from .graph import (
    IMAGE,
    MAX_WEIGHTS,
    Shape,
    Step,
    check_shape,
    find_logit_layers,
    find_predictor,
    find_sources,
    plan,
)
from .layers import WeightedShortcut
from .options import DETECTION
from .sizes import find_sizes
from .weights import WeightsHeader, read_weights


@dataclass(frozen=True)
class LayerStorage:
    """What of a layer stands in a `.weights` file, and what of that is read.

    Attributes:
        stored: it has weights of its own (no `share_index`).
        loaded: they are read (no `dontload`).
        norm_loaded: scale, mean and variance too (no `dontloadscales`).
    """

    stored: bool
    loaded: bool
    norm_loaded: bool


class DarknetNetwork(nn.Module):
    """The network that a cfg describes. Training and evaluation return the same type.

    Only what the detection layers need is computed, and each output is let go as soon as nobody
    reads it any more. Where `new_coords=1` follows a convolution with logistic activation, the
    activation is left to `decode`, so that raw predictions are logits in every network. Where
    `new_coords=1` follows anything else, darknet applies no logistic function, and neither does
    `decode`: the values are taken as they are.

    Attributes:
        layers: one module per section of the cfg, `[net]` excepted; `layers[i]` is layer i.
        steps: the order of execution.
        detection_layers: their indices in the cfg, finest level first.
        levels: how their raw predictions are read.
        strides: input pixels per cell of each raw output, finest first.
        storage: per layer, what a `.weights` file holds of it.
        predictors: for each detection layer, the layer whose output it reads.
        sizes: which image sizes it takes.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        steps: tuple[Step, ...],
        levels: Mapping[int, Level],
        storage: tuple[LayerStorage, ...],
        predictors: Mapping[int, int],
        sizes: SizeRule,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.steps = steps
        self.detection_layers = tuple(sorted(levels, key=lambda layer: levels[layer].stride))
        self.levels = tuple(levels[layer] for layer in self.detection_layers)
        self.strides = tuple(level.stride for level in self.levels)
        self.storage = storage
        self.predictors = predictors
        self.sizes = sizes

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) images scaled to 0–1 → raw predictions per level, finest first.

        Each is (N, A · (5 + K), H / stride, W / stride), before any activation.
        """
        outputs = {IMAGE: images}
        for step in self.steps:
            read = [outputs[source] for source in step.sources]
            outputs[step.layer] = self.layers[step.layer](*read)
            for source in step.finished:
                del outputs[source]
            del read
        return [outputs[layer] for layer in self.detection_layers]

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores.

        Args:
            raw: what `forward` returned.
            image_size: (height, width) of the images that it saw.
        """
        return decode_yolo(raw, self.levels, image_size)

    def class_rows(self) -> tuple[ClassRows, ...]:
        """The convolutions that predict classes.

        Raises:
            InvalidSpec: a detection layer reads something else.
        """
        found = []
        for detection, level in zip(self.detection_layers, self.levels, strict=True):
            layer = self.layers[self.predictors[detection]]
            convolution = next((m for m in layer.modules() if isinstance(m, nn.Conv2d)), None)
            if convolution is None:
                raise InvalidSpec(
                    "cfg",
                    f"detection layer {detection} does not read a convolution",
                    "Use a cfg whose detection layers do",
                )
            found.append(ClassRows(convolution, len(level.anchors), BOX_VALUES))
        return tuple(found)

    def export_decoder(
        self, image_size: tuple[int, int] | None, cells: Sequence[tuple[int, int]]
    ) -> nn.Module:
        """A module that decodes inside an exported graph; see `heads.Head`."""
        return YoloDecoder(self.levels, image_size, cells)


def build_cfg_network(spec: CfgSpec) -> DarknetNetwork:
    """Build a freshly initialised network from its cfg, for `spec.image_size`.

    Raises:
        InvalidCfg: something in the cfg is not supported; names line, section and option.
        InvalidSpec: the spec says another number of classes than its cfg.
    """
    net, sections = read_sections(spec.cfg, f"{spec.name}.cfg")
    classes = num_classes_of(net, sections)
    if classes != spec.num_classes:
        raise InvalidSpec(
            spec.name,
            f"num_classes is {spec.num_classes}, but its cfg says {classes}",
            "Change classes and filters in the cfg",
        )
    sources = find_sources(sections)
    logits = find_logit_layers(sections, sources)
    sizes = find_sizes(sections, sources)
    _check_size(spec, net, sizes)
    image = check_shape(net, Shape(3, *spec.image_size, (Fraction(1), Fraction(1))))

    modules, shapes = _build_layers(sections, sources, image, frozenset(logits.values()))
    levels = {
        index: _level(section, shapes[index], logits=index in logits)
        for index, section in enumerate(sections)
        if section.kind in DETECTION
    }
    storage = tuple(
        LayerStorage(
            stored="share_index" not in section.options,
            loaded=not section.flag("dontload"),
            norm_loaded=not section.flag("dontloadscales"),
        )
        for section in sections
    )
    predictors = {layer: find_predictor(sections, sources, layer) for layer in levels}
    steps = plan(sections, sources)
    return DarknetNetwork(modules, steps, levels, storage, predictors, sizes)


def load_cfg_network(
    cfg_path: str | PathLike[str], weights_path: str | PathLike[str] | None = None
) -> tuple[CfgSpec, DarknetNetwork, WeightsHeader | None]:
    """The network of a `.cfg`, with the weights of a `.weights` file where one is given.

    Returns:
        its description; the network, in evaluation mode; the header of the weights.

    Raises:
        InvalidCfg: something in the cfg is not supported.
        InvalidWeights: the weights do not fit the network.
    """
    spec = read_cfg(cfg_path)
    network = build_cfg_network(spec).eval()
    header = None
    if weights_path is not None:
        tensors = loaded_tensors(network)
        header = read_weights(weights_path, tensors, num_classes=spec.num_classes)
    return spec, network, header


def stored_tensors(network: DarknetNetwork) -> list[Tensor]:
    """Every tensor that a `.weights` file of this network holds, in the file's order.

    Raises:
        InvalidValue: the norms were folded into the convolutions.
    """
    layers = zip(network.layers, network.storage, strict=True)
    return list(chain.from_iterable(_tensors(layer) for layer, kept in layers if kept.stored))


def loaded_tensors(network: DarknetNetwork) -> list[Tensor]:
    """As `stored_tensors`, without what the cfg says not to load (`dontload`, `dontloadscales`).

    A file for such a cfg lacks these tensors: they take no bytes.
    """
    wanted: list[Tensor] = []
    for layer, kept in zip(network.layers, network.storage, strict=True):
        if kept.stored and kept.loaded:
            tensors = _tensors(layer)
            norm = isinstance(layer, ConvNormAct) and not kept.norm_loaded
            wanted += [tensors[0], tensors[-1]] if norm else tensors
    return wanted


def _tensors(layer: nn.Module) -> list[Tensor]:
    if isinstance(layer, WeightedShortcut):
        return [layer.weight]
    return list(chain.from_iterable(conv_tensors(module) for module in layer.modules()))


def _check_size(spec: CfgSpec, net: Section, sizes: SizeRule) -> None:
    """Refuse an image size that the network cannot take, with the line that says it.

    Where that is for another reason than its strides, the layer that cannot be built says why.
    """
    divisor = sizes.divisor or 1
    if not any(side % divisor for side in spec.image_size):
        return
    problem = sizes.find_problem(spec.image_size)
    if problem is None:
        return
    own = tuple(net.integer(key, 0) for key in ("height", "width"))
    if own != spec.image_size:
        raise InvalidSpec(spec.name, *problem)
    raise net.error(*problem, option="height" if "height" in problem[0] else "width")


def _build_layers(
    sections: Sequence[Section],
    sources: Sequence[tuple[int, ...]],
    image: Shape,
    logits: frozenset[int],
) -> tuple[list[nn.Module], list[Shape]]:
    """One module per section, and the map that each makes."""
    modules: list[nn.Module] = []
    shapes: list[Shape] = []
    convolutions: dict[int, nn.Module] = {}
    left = MAX_WEIGHTS
    for index, section in enumerate(sections):
        read = tuple(image if source == IMAGE else shapes[source] for source in sources[index])
        if section.kind == "convolutional":
            module, shape = build_convolution(section, read[0], logits=index in logits, left=left)
            if "share_index" in section.options:
                share_weights(section, index, module, convolutions)
            convolutions[index] = module
        else:
            module, shape = LAYERS[section.kind](section, read, left)
        left -= sum(parameter.numel() for parameter in module.parameters())
        modules.append(module)
        shapes.append(shape)
    return modules, shapes


def _level(section: Section, shape: Shape, *, logits: bool) -> Level:
    """A detection layer, once what it reads is known to fit."""
    vertical, horizontal = shape.stride
    if vertical != horizontal or vertical.denominator != 1:
        raise section.error(
            f"a cell is {vertical}×{horizontal} pixels", "Only square, whole cells are supported"
        )
    level = read_level(section, int(vertical), logits=logits)
    classes = count_classes(section)
    expected = len(level.anchors) * (BOX_VALUES + classes)
    if shape.channels != expected:
        raise section.error(
            f"it reads {shape.channels} channels, but {len(level.anchors)} anchors and "
            f"{classes} classes need {expected}",
            f"Write filters={expected} in the [convolutional] in front of it",
        )
    return level

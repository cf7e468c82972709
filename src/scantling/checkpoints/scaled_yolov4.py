"""Read Scaled-YOLOv4's `.pt` checkpoints of the large models, without running their pickle.

Their networks normalise the CSP blocks of the neck jointly; the graphs are those of the specs named
`-pt` and of `yolov4-p7`. Paper: Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
"""

from collections.abc import Mapping
from math import isfinite

import torch
from torch import Tensor

from ..errors import InvalidCheckpoint
from ..specs import CATALOG, ModelSpec
from ..specs.classes import default_class_names
from ..specs.level import Anchor
from .model import Model, build_empty, build_from_state
from .pickle_rules import StoredTensor
from .pickles import PickledModel
from .scaled_yolov4_layout import TensorSource, detect_layer, scaled_yolov4_layout
from .torch_files import read_tensors

_COUNTER = "num_batches_tracked"


def is_scaled_yolov4(pickled: PickledModel) -> bool:
    """Whether a `.pt` file has the layers of Scaled-YOLOv4's large models."""
    return "model.0.conv.weight" in pickled.tensors and any(
        name.endswith(".cv2.weight") for name in pickled.tensors
    )


def load_scaled_yolov4(pickled: PickledModel) -> Model:
    """Load a Scaled-YOLOv4 `.pt` file as a native model in float32, with its anchors and names.

    Raises:
        InvalidCheckpoint: its tensors are not those of yolov4-csp, -p5, -p6 or -p7.
    """
    published = _find_variant(pickled)
    layout = scaled_yolov4_layout(published)
    spec = _own_spec(pickled, published)
    _check_shapes(pickled, layout, build_empty(spec).state_dict())
    network = build_from_state(spec, _tensors(pickled, layout))
    return Model(spec, network, _names(pickled, spec))


def _source(pickled: PickledModel) -> str:
    return str(pickled.file.path)


def _find_variant(pickled: PickledModel) -> ModelSpec:
    """Find the variant whose tensors have these names."""
    given = {name for name in pickled.tensors if not name.endswith(_COUNTER)}
    candidates = [spec for spec in CATALOG.values() if spec.neck.joint_norm]
    difference = {}
    for spec in candidates:
        detect = f"model.{detect_layer(spec)}"
        expected = {place.source for place in scaled_yolov4_layout(spec)}
        expected = {name for name in expected if not name.endswith(_COUNTER)}
        difference[spec.name] = given ^ expected
        if given - {f"{detect}.anchors", f"{detect}.anchor_grid"} == expected:
            return spec
    nearest = min(difference, key=lambda name: len(difference[name]))
    examples = ", ".join(sorted(difference[nearest])[:3])
    raise InvalidCheckpoint(
        _source(pickled),
        f"its tensors have the names of no Scaled-YOLOv4 model; nearest is {nearest}, with "
        f"{len(difference[nearest])} names that only one of the two has ({examples}, …)",
        f"Give a checkpoint of one of {', '.join(spec.name for spec in candidates)}",
    )


def _own_spec(pickled: PickledModel, published: ModelSpec) -> ModelSpec:
    """The variant's spec with the file's anchors and number of classes."""
    anchors = _anchors(pickled, published)
    spec = published.replace(head=published.head.replace(anchors=anchors))
    outputs = pickled.tensors[f"model.{detect_layer(spec)}.m.0.bias"].shape
    if len(outputs) != 1 or outputs[0] % len(anchors[0]) or outputs[0] // len(anchors[0]) < 6:
        raise InvalidCheckpoint(
            _source(pickled),
            f"its first detection layer has {outputs} outputs for {len(anchors[0])} anchors",
            "Expected anchors × (5 + classes)",
        )
    return spec.replace(num_classes=outputs[0] // len(anchors[0]) - 5)


def _anchors(pickled: PickledModel, published: ModelSpec) -> tuple[tuple[Anchor, ...], ...]:
    """Anchors in pixels, from the file if it has them, else the published ones."""
    detect = f"model.{detect_layer(published)}"
    in_pixels, in_cells = f"{detect}.anchor_grid", f"{detect}.anchors"
    name = in_pixels if in_pixels in pickled.tensors else in_cells
    if name not in pickled.tensors:
        return published.head.anchors
    stored = pickled.tensors[name]
    shape = tuple(size for size in stored.shape if size != 1)
    levels = len(published.strides)
    if len(shape) != 3 or shape[0] != levels or shape[2] != 2 or shape[1] > 100:
        raise InvalidCheckpoint(
            _source(pickled),
            f"{name} has the shape {stored.shape}",
            f"Expected {levels} levels of some anchors, each a width and a height",
        )
    ((_, tensor),) = read_tensors(pickled.file, {name: stored})
    values = tensor.double().reshape(shape)
    if name == in_cells:
        values = values * torch.tensor(published.strides).reshape(-1, 1, 1)
    groups = tuple(tuple((width, height) for width, height in level) for level in values.tolist())
    if not all(isfinite(side) and side > 0 for group in groups for box in group for side in box):
        raise InvalidCheckpoint(_source(pickled), f"{name} holds no sizes", "Expected pixels")
    return groups


def _check_shapes(
    pickled: PickledModel, layout: list[TensorSource], state: Mapping[str, Tensor]
) -> None:
    """Check all shapes, before any tensor is read."""
    for place in layout:
        stored = pickled.tensors.get(place.source)
        if stored is None:  # only the counters may be missing
            continue
        expected = tuple(state[place.target].shape)
        if place.parts > 1:
            expected = (expected[0] * place.parts, *expected[1:])
        if stored.shape != expected or not _fits(stored, state[place.target]):
            raise InvalidCheckpoint(
                _source(pickled),
                f"{place.source} is {stored.storage.dtype} of shape {stored.shape}",
                f"Expected numbers of shape {expected}",
            )


def _fits(stored: StoredTensor, target: Tensor) -> bool:
    floats = {"bfloat16", "float16", "float32", "float64"}
    return stored.storage.dtype in (floats if target.is_floating_point() else {"int64"})


def _tensors(pickled: PickledModel, layout: list[TensorSource]) -> dict[str, Tensor]:
    """Read our tensors in float32, each into its own memory."""
    wanted = {
        place.source: pickled.tensors[place.source]
        for place in layout
        if place.source in pickled.tensors
    }
    by_source: dict[str, list[TensorSource]] = {name: [] for name in wanted}
    tensors: dict[str, Tensor] = {}
    for place in layout:
        if place.source in wanted:
            by_source[place.source].append(place)
        else:
            tensors[place.target] = torch.zeros((), dtype=torch.int64)
    for name, tensor in read_tensors(pickled.file, wanted):
        dtype = torch.float32 if tensor.is_floating_point() else torch.int64
        for place in by_source[name]:
            tensors[place.target] = torch.empty(place.take(tensor).shape, dtype=dtype).copy_(
                place.take(tensor)
            )
    return tensors


def _names(pickled: PickledModel, spec: ModelSpec) -> tuple[str, ...]:
    """Class names of the pickled object, if it has one for every class; else defaults."""
    names = pickled.attributes.get("names")
    if isinstance(names, dict):
        names = list(names.values())
    if not isinstance(names, (list, tuple)) or len(names) != spec.num_classes:
        return default_class_names(spec)
    return tuple(names) if all(isinstance(one, str) for one in names) else default_class_names(spec)

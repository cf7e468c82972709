"""Read and write checkpoints of the `effdet` package, without running their pickle.

Source: https://github.com/rwightman/efficientdet-pytorch (Apache-2.0).
"""

import io
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..detector import Detector
from ..errors import InvalidCheckpoint, InvalidSpec
from ..io import write_file
from ..specs import CATALOG, ModelSpec
from ..specs.classes import default_class_names
from .effdet_layout import effdet_layout
from .hub import OFFICIAL
from .model import Model, build_empty, build_from_state
from .pickle_rules import StoredTensor
from .pickles import PickledModel
from .torch_files import read_tensors

logger = logging.getLogger(__name__)

_PREDICTS = "class_net.predict.conv_pw.weight"
_BIAS = "class_net.conv_rep.0.conv_pw.bias"
_STEM = "backbone.conv_stem.weight"
_COUNTER = "num_batches_tracked"
_BY_LEVEL = re.compile(r"class_net\.bn_rep\.\d+\.\d+\.weight")  # not ….bn.weight
_WRAPPED = re.compile(rf"((?:model\.|module\.)*){re.escape(_PREDICTS)}")
_FLOATS = {"bfloat16", "float16", "float32", "float64"}


def is_effdet(pickled: PickledModel) -> bool:
    """Whether a `.pth` file has effdet's tensor names, with or without its bench wrapper."""
    return _prefix(pickled) is not None


def load_effdet(pickled: PickledModel, spec: ModelSpec | None) -> Model:
    """Load one of effdet's `.pth` files as a native model in float32.

    Args:
        pickled: what was read from the file.
        spec: which model it is, for any number of classes; None to find out from the tensors.

    Raises:
        InvalidCheckpoint: its tensors are not those of that model or, without `spec`, of any one
            EfficientDet of the catalogue.
    """
    source = str(pickled.file.path)
    tensors = _own_tensors(pickled)
    if pickled.entry:
        logger.info(f"{source}: the network under {pickled.entry!r} was taken")
    if spec is None:
        spec = _choose(tensors, pickled.file.path)
    else:
        spec = _with_classes(spec, tensors, source)
        if _differences(spec, tensors):
            spec = _other_layout(spec, tensors, source)
    logger.info(f"{source} is {spec.name} with {spec.num_classes} classes")
    layout, state = _expected(spec, tensors)
    network = build_from_state(spec, _read(pickled, tensors, layout, state))
    return Model(spec, network, default_class_names(spec))


def effdet_state_dict(model: Model) -> dict[str, Tensor]:
    """State dict of a model under effdet's names and in its order, without copies.

    Raises:
        InvalidSpec: effdet has no such network, or its norms were folded.
    """
    spec, network = model.spec, model.network
    if not isinstance(spec, ModelSpec) or not isinstance(network, Detector):
        raise InvalidSpec(spec.name, "effdet has no networks of a cfg", "Write .safetensors")
    state = network.state_dict()
    return {theirs: state[ours] for theirs, ours in effdet_layout(network, spec).items()}


def save_effdet(model: Model, path: str | Path) -> None:
    """Write a state dict that effdet loads; it holds no class names and no image size.

    The file appears whole or not at all.

    Raises:
        InvalidSpec: effdet has no such network, or its norms were folded.
        CannotWrite: nothing can be written there.
    """
    path = Path(path)
    state = OrderedDict(
        (name, tensor.detach().cpu().clone(memory_format=torch.contiguous_format))
        for name, tensor in effdet_state_dict(model).items()
    )
    stream = io.BytesIO()  # into a path it writes the path's name; on a full disk it fails oddly
    torch.save(state, stream)
    write_file(path, stream.getvalue())


def _prefix(pickled: PickledModel) -> str | None:
    """Prefix of effdet's names; None where there are no such names."""
    found = (_WRAPPED.fullmatch(name) for name in pickled.tensors)
    return next((match[1] for match in found if match), None)


def _own_tensors(pickled: PickledModel) -> dict[str, StoredTensor]:
    """Tensors of the network under effdet's names, without a bench's anchors."""
    prefix = _prefix(pickled) or ""
    return {
        name.removeprefix(prefix): stored
        for name, stored in pickled.tensors.items()
        if not name.endswith("anchors.boxes")
    }


def _choose(tensors: Mapping[str, StoredTensor], path: Path) -> ModelSpec:
    """Find the variant that has these tensors."""
    same = _variants(tensors, str(path))
    names = ", ".join(spec.name for spec in same)
    if not same:
        raise InvalidCheckpoint(
            str(path),
            f"its {len(tensors)} tensors are effdet's, but of no EfficientDet in the catalogue",
            "Give a checkpoint of d0 to d7x or lite0 to lite4; "
            "for a network of your own, name it as well",
        )
    for spec in same:
        if spec.name in OFFICIAL and OFFICIAL[spec.name].file_name == path.name:
            return spec
    first, *others = same
    if any(spec.replace(name=first.name, input=first.input) != first for spec in others):
        raise InvalidCheckpoint(
            str(path),
            f"it is one of {names}, whose tensors have the same shapes",
            "Say which: --model NAME --weights FILE.pth",
        )
    if others:
        logger.info(
            f"{path} may be any of {names}; taken as {first.name}. They see images with other "
            f"mean and std: if it is not {first.name}, name the model as well"
        )
    return first


def _variants(tensors: Mapping[str, StoredTensor], source: str) -> list[ModelSpec]:
    """Variants of the catalogue whose tensors have these shapes, for the file's classes."""
    near = [  # what costs nothing to compare, as a network does
        _with_classes(spec, tensors, source)
        for spec in CATALOG.values()
        if spec.head.kind == "efficientdet"
        and spec.head.redundant_bias == (_BIAS in tensors)
        and spec.neck.channels[:1] == tensors[_PREDICTS].shape[1:2]
        and _STEM in tensors
        and (spec.backbone.stem_channels,) == tensors[_STEM].shape[:1]
    ]
    return [spec for spec in near if not _differences(spec, tensors)]


def _with_classes(spec: ModelSpec, tensors: Mapping[str, StoredTensor], source: str) -> ModelSpec:
    """The spec for as many classes as the file predicts."""
    rows, anchors = tensors[_PREDICTS].shape[:1], len(spec.head.anchors[0])
    if not rows or rows[0] < anchors or rows[0] % anchors:
        raise InvalidCheckpoint(
            source,
            f"{_PREDICTS} has the shape {tensors[_PREDICTS].shape}",
            f"Expected {anchors} rows, one an anchor, for each class",
        )
    return spec.replace(num_classes=rows[0] // anchors)


def _other_layout(spec: ModelSpec, tensors: Mapping[str, StoredTensor], source: str) -> ModelSpec:
    """The model's variant with PyTorch padding, if the file holds it; else raise."""
    same = _variants(tensors, source)
    for other in same:
        if other.name == f"{spec.name}-pt":
            logger.info(
                f"{source}: {other.name} was meant, the same network with PyTorch's padding"
            )
            return other
    different = _differences(spec, tensors)
    examples = ", ".join(f"{name[:80]} ({what})" for name, what in list(different.items())[:3])
    held = f"it holds {' or '.join(other.name for other in same)}: " if same else ""
    raise InvalidCheckpoint(
        source,
        f"{held}{len(different)} of its tensors are not those of {spec.name}: {examples}",
        f"Give a checkpoint of {spec.name}" + (", or name the other model" if same else ""),
    )


def _expected(
    spec: ModelSpec, tensors: Mapping[str, StoredTensor]
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """effdet's names → ours, in the file's nesting; and our tensors on `meta`."""
    network = build_empty(spec)
    by_level = any(_BY_LEVEL.fullmatch(name) for name in tensors)
    return effdet_layout(network, spec, norms_by_level=by_level), network.state_dict()


def _differences(spec: ModelSpec, tensors: Mapping[str, StoredTensor]) -> dict[str, str]:
    """Problem of each tensor that does not fit; norm counters may be missing."""
    layout, state = _expected(spec, tensors)
    wrong = {name: "unknown" for name in tensors if name not in layout}
    for theirs, ours in layout.items():
        stored, target = tensors.get(theirs), state[ours]
        shape = tuple(target.shape)
        if stored is None:
            if not theirs.endswith(_COUNTER):
                wrong[theirs] = "missing"
        elif stored.shape != shape:
            wrong[theirs] = f"{stored.shape}, not {shape}"
        elif stored.storage.dtype not in (_FLOATS if target.is_floating_point() else {"int64"}):
            wrong[theirs] = f"of {stored.storage.dtype}"
    return wrong


def _read(
    pickled: PickledModel,
    tensors: Mapping[str, StoredTensor],
    layout: Mapping[str, str],
    state: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Read our tensors, each into its own memory."""
    wanted = {name: tensors[name] for name in layout if name in tensors}
    read = {
        ours: torch.zeros((), dtype=torch.int64)
        for theirs, ours in layout.items()
        if theirs not in wanted
    }
    for name, tensor in read_tensors(pickled.file, wanted):
        target = state[layout[name]]
        read[layout[name]] = torch.empty(target.shape, dtype=target.dtype).copy_(tensor)
    return read

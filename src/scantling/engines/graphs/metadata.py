"""What an exported file says of the model in it, and the fingerprint that tells models apart."""

import hashlib
from importlib.metadata import version

import torch

from ...checkpoints import Model
from ...errors import InvalidExport
from ...specs.metadata import Calibration, GraphForm, Metadata, Precision
from ...structures import as_size


def fingerprint(model: Model) -> str:
    """A number that no other description or weights have: sha256, in hexadecimal.

    It covers the spec as JSON, without its NMS, which is no part of the network; and name, type,
    shape and bytes of every tensor.
    """
    # by the names of version 0.1, so that its files are still known to be of the same model
    found = hashlib.sha256(model.spec.model_dump_json(by_alias=True, exclude={"nms"}).encode())
    for name, tensor in model.network.state_dict().items():
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        bare = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        found.update(memoryview(bare.numpy()))
    return found.hexdigest()


def make_metadata(
    model: Model,
    *,
    form: GraphForm | None = None,
    precision: Precision = "fp32",
    image_size: int | tuple[int, int] | None = None,
    source: str = "",
    min_score: float = 0.25,
    iou_threshold: float = 0.45,
    max_detections: int = 300,
    calibration: Calibration | None = None,
) -> Metadata:
    """Everything that the user of an exported file of this model will need to know.

    Args:
        model: what is exported.
        form: what the graph takes and gives; None for `GraphForm()`.
        precision: what the graph is meant to be computed in.
        image_size: (height, width) of the input, or the side of a square; None for the model's own.
        source: the file or name that the model is from; empty for the name of its spec.
        min_score, iou_threshold, max_detections: of a graph that gives detections, those inside it;
            else the ones that its user usually wants.
        calibration: of a graph of which images decided something.

    Raises:
        InvalidSpec: the network takes no images of that size.
        InvalidExport: the graph is to take any size, but its own is not one of those.
    """
    form = form or GraphForm()
    spec = model.spec
    return Metadata(
        kind=spec.file_kind,
        spec=spec,
        names=model.names,
        form=form,
        image_size=_choose_size(model, image_size, any_size=form.any_size),
        size_divisor=model.network.sizes.step or max(model.network.strides),
        precision=precision,
        levels=model.network.levels,
        min_score=min_score,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
        source=source or spec.name,
        fingerprint=fingerprint(model),
        calibration=calibration,
        producer=f"scantling {version('scantling')}, torch {version('torch')}",
    )


def _choose_size(
    model: Model, image_size: int | tuple[int, int] | None, *, any_size: bool
) -> tuple[int, int]:
    """(height, width) of the graph's usual input, once it is known to fit."""
    spec, sizes = model.spec, model.network.sizes
    size = spec.image_size if image_size is None else image_size
    size = as_size(size)
    if min(size) < 1:
        problem = f"an input of {size[0]}×{size[1]} pixels"
        raise InvalidExport(spec.name, problem, "Give sides of one pixel or more")
    sizes.check(spec.name, size)
    step = sizes.step
    if any_size and step is None:
        problem = "its feature maps are of sizes that fit for few image sizes alone"
        raise InvalidExport(spec.name, problem, "Export a graph for one size")
    if any_size and step is not None and any(side % step for side in size):
        nearest = tuple(max(1, round(side / step)) * step for side in size)
        raise InvalidExport(
            spec.name,
            f"a graph for any size takes multiples of {step}, but its own is {size[0]}×{size[1]}",
            f"Use the image size {nearest[0]}×{nearest[1]}, or a graph for one size",
        )
    return size

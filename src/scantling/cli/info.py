"""scantling info MODEL — what a model is made of."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import printable
from .options import RUNNABLE_HELP, JsonOption, WeightsOption
from .output import WORKED

if TYPE_CHECKING:
    from torch import nn

    from ..checkpoints import Model
    from ..specs import NmsSpec
    from ..specs.metadata import Metadata


@dataclass(frozen=True)
class InfoOptions:
    """The options of `scantling info`."""

    model: Annotated[str, typer.Argument(metavar="MODEL", help=RUNNABLE_HELP)]
    weights: WeightsOption = None
    json: JsonOption = False


def info(options: InfoOptions) -> int:
    """Show what a model is made of: its input, its classes, its parts and their parameters."""
    from ..engines import is_exported

    if is_exported(options.model):
        return show_exported(options)
    facts = describe_model(open_model(options))
    if options.json:
        typer.echo(json.dumps(facts))
        return WORKED
    for name, value in facts.items():
        if name not in ("spec", "parts") and value != []:
            typer.echo(f"{name:<12} {format_value(value)}")
    typer.echo("parameters of each part")
    for part, count in facts["parts"].items():
        typer.echo(f"  {part:<10} {count:>12,}")
    return WORKED


def show_exported(options: InfoOptions) -> int:
    """Show what an exported file says of itself; this loads no torch."""
    from ..engines import read_metadata

    facts = describe_metadata(read_metadata(options.model))
    if options.json:
        typer.echo(json.dumps(facts))
        return WORKED
    for name, value in facts.items():
        if name != "spec" and value not in (None, []):
            typer.echo(f"{name:<14} {format_value(value)}")
    return WORKED


def describe_metadata(metadata: "Metadata") -> dict[str, Any]:
    """What an exported file is, as plain values for JSON."""
    facts = metadata.model_dump(mode="json")
    form = facts.pop("form")
    return {
        "name": metadata.spec.name,
        "takes": form["takes"],
        "gives": form["gives"],
        "batch": "any" if form["batch"] is None else form["batch"],
        "image_size": list(metadata.image_size),
        "any_size": form["any_size"],
        "resize_mode": metadata.input_spec.resize_mode,
        "strides": [level.stride for level in metadata.levels],
        "num_classes": metadata.spec.num_classes,
        "names": list(metadata.names),
        "precision": metadata.precision,
        "calibration": None if metadata.calibration is None else metadata.calibration.data,
        "thresholds": [
            f"score {metadata.min_score:g}",
            f"IoU {metadata.iou_threshold:g}",
            f"at most {metadata.max_detections}",
            *describe_classes(metadata),
        ],
        "nms": "greedy" if form["gives"] == "detections" else describe_nms(metadata.spec.nms),
        "source": metadata.source,
        "fingerprint": metadata.fingerprint,
        "producer": metadata.producer,
        "spec": facts["spec"],
    }


def describe_classes(metadata: "Metadata") -> list[str]:
    """The classes that an exported file keeps, and thresholds of their own, where it has such."""
    names = metadata.names
    kept = ", ".join(names[label] for label in metadata.classes or ())
    own = [f"{names[label]} {score:g}" for label, score in metadata.class_scores.items()]
    return [*([f"only {kept}"] if kept else []), *own]


def open_model(options: InfoOptions) -> "Model":
    """The model; of a name or a .cfg alone the shape, without weights and without memory."""
    import torch

    from ..checkpoints import Model, load_model
    from ..checkpoints.model import check_network
    from ..darknet import build_cfg_network, read_cfg
    from ..detector import build_detector
    from ..specs import CATALOG, find_spec, is_spec_file

    if options.weights is None:
        with torch.device("meta"):
            if options.model in CATALOG or is_spec_file(options.model):
                named = find_spec(options.model)
                if is_spec_file(options.model):
                    check_network(named, options.model)
                return Model(named, build_detector(named), ())
            if options.model.lower().endswith(".cfg"):
                spec = read_cfg(options.model)
                return Model(spec, build_cfg_network(spec), ())
    return load_model(options.model, weights=options.weights)


def describe_model(model: "Model") -> dict[str, Any]:
    """What a model is, as plain values for JSON. Parameters exclude the running statistics."""
    spec = model.spec
    parts = {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in find_parts(model).items()
    }
    return {
        "name": spec.name,
        "image_size": list(spec.image_size),
        "resize_mode": spec.input.resize_mode,
        "nms": describe_nms(spec.nms),
        "strides": list(model.network.strides),
        "num_classes": spec.num_classes,
        "names": list(model.names),
        "parameters": sum(parts.values()),
        "parts": parts,
        "spec": spec.model_dump(mode="json"),
    }


def describe_nms(nms: "NmsSpec") -> str:
    """The kind of NMS that a model is run with where its user asks for none."""
    return f"diou, beta {nms.beta:g}" if nms.kind == "diou" else nms.kind


def find_parts(model: "Model") -> dict[str, "nn.Module"]:
    """The parts of a network, by name. A head of two networks counts as two parts."""
    from ..heads import HEADS

    children = model.network.named_children()
    parts = {name: part for name, part in children if any(True for _ in part.parameters())}
    if "head" in parts and HEADS[model.spec.head_kind].layout.separate:
        names = {"classes": "class net", "boxes": "box net"}
        nets = parts.pop("head").named_children()
        parts |= {names.get(name, name): net for name, net in nets}
    return parts


def format_value(value: object) -> str:
    """A value of `describe_model` for people."""
    if isinstance(value, list):
        return printable(", ".join(map(str, value)))
    return f"{value:,}" if isinstance(value, int) else printable(str(value))

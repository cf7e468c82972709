"""The options of `scantling scale`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .command import Setting, option
from .options import (
    BUDGET,
    DATA_HELP,
    INPUT,
    MODEL_HELP,
    NAMES_HELP,
    RESULT,
    CacheFolder,
    CameraSizeSetting,
    DeviceProfileOption,
    JsonOption,
    LikeOption,
    NumClassesOption,
    OverwriteOption,
)


@dataclass(frozen=True)
class ScaleOptions:
    """The options of `scantling scale`."""

    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help=f"With --drop-level. {MODEL_HELP}", show_default=False
        ),
    ] = None
    latency: Annotated[
        str | None,
        option(
            BUDGET, "The most for an image, network alone; needs --device-profile.", metavar="12ms"
        ),
    ] = None
    memory: Annotated[
        str | None,
        option(
            BUDGET,
            "The most for weights and activations; with --device-profile as its engine keeps them.",
            metavar="200MB",
        ),
    ] = None
    params: Annotated[str | None, option(BUDGET, "The most parameters.", metavar="5M")] = None
    macs: Annotated[
        str | None, option(BUDGET, "The most multiply-accumulates for an image.", metavar="5G")
    ] = None
    min_object: Annotated[
        str | None,
        option(BUDGET, "The smallest object to be seen, in pixels of the camera.", metavar="20px"),
    ] = None
    device_profile: DeviceProfileOption = None
    data: Annotated[
        str | None,
        option(INPUT, f"Labelled images: give anchors, and advise on the size. {DATA_HELP}"),
    ] = None
    like: LikeOption = "both"
    num_classes: NumClassesOption = None
    drop_level: Annotated[
        int,
        option(
            RESULT,
            "Take the coarsest level off a trained model; once more for each further one. The"
            " others answer exactly as before, and nothing has to be trained.",
            "--drop-level",
            count=True,
            rare=True,
        ),
    ] = 0
    out: Annotated[
        Path | None,
        option(
            RESULT,
            "File to write: a .json, which every command takes as a model; with --drop-level a"
            " .safetensors.",
            metavar="FILE",
        ),
    ] = None
    overwrite: OverwriteOption = False
    json: JsonOption = False
    kind: Annotated[
        str | None,
        Setting(
            "Kinds of network: tiny, csp, plain, osa, large, mbconv, mbconv-lite; with commas."
        ),
    ] = None
    flops: Annotated[str | None, Setting("In place of --macs: two for each, such as 10G.")] = None
    camera_size: CameraSizeSetting = None
    split: Annotated[str | None, Setting("Split of the data; train by default.")] = None
    verify: Annotated[bool, Setting("Build the choice and measure it on this machine.")] = False
    figure: Annotated[Path | None, Setting("PNG of the Pareto front to write.")] = None
    weights: Annotated[
        Path | None, Setting("With --drop-level: weights of a .cfg, or in place of a name's own.")
    ] = None
    names: Annotated[Path | None, Setting(NAMES_HELP)] = None
    cache: CacheFolder = None

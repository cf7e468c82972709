"""scantling darknet detector … — what a command line of darknet is here. Nothing is run.

Their commands and options: `run_detector` in https://github.com/AlexeyAB/darknet, detector.c.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from ..errors import InvalidValue, lookup
from .output import WORKED, note

USAGE = "detector test|demo|train|map|valid|recall|calc_anchors DATA CFG WEIGHTS [FILE] [-options]"
EXECUTABLES = ("darknet", "./darknet", "darknet.exe", "./darknet.exe", "darknet_no_gpu.exe")

# Every option of darknet's `detector`: whether a value follows.
_names = str.split
FLAGS: dict[str, bool] = {
    **dict.fromkeys(
        _names(
            "-dont_show -benchmark -benchmark_layers -show -letter_box -map -show_imgs"
            " -dontdraw_bbox -ext_output -save_labels -clear -cuda_debug_sync -nogpu"
        ),
        False,
    ),
    **dict.fromkeys(
        _names(
            "-points -mjpeg_port -avgframes -json_port -http_post_host -time_limit_sec"
            " -out_filename -json_file_output -out -prefix -thresh -iou_thresh -hier -c -s"
            " -num_of_clusters -width -height -chart -mAP_epochs -gpus -i"
        ),
        True,
    ),
}

_WINDOW = "no window is opened here"
# What is no option here, but said.
TOLD = {
    "-avgframes": "frames are not averaged",
    "-benchmark": "`scantling benchmark MODEL` measures speed",
    "-benchmark_layers": "`scantling analyze MODEL` has a table of the layers",
    "-chart": "the curves are in report.html of the run's folder",
    "-clear": "a run begins at its first image in any case; `--resume FOLDER` goes on with one",
    "-dont_show": _WINDOW,
    "-ext_output": "`--json` prints the boxes",
    "-gpus": "on N of them: torchrun --nproc-per-node N -m scantling train …",
    "-i": "CUDA_VISIBLE_DEVICES=N before the command chooses the GPU",
    "-map": "the validation split is evaluated after each epoch in any case",
    "-out": "what is found is in the folder that the command prints",
    "-show_imgs": "`scantling data show DATA --augment darknet` draws the augmented images",
}


@dataclass(frozen=True)
class Counterpart:
    """What a command of darknet is here.

    Args:
        command: of ours, with {data}, {cfg}, {weights} and {source} filled in.
        options: of darknet → of ours, with {} for its value.
        saves: of darknet → a kind of output for `--save`.
        told: what else is to be said.
    """

    command: str
    options: dict[str, str]
    saves: dict[str, str]
    told: str = ""


_DEVICE = {"-i": "--device cuda:{}", "-nogpu": "--device cpu"}
_STRETCH = {"-letter_box": "--set resize_mode=letterbox"}
_PREDICT = {"-thresh": "--min-score {}", **_STRETCH, **_DEVICE}
_FOUND_IN = "results.json and the report are in the folder that the command prints"
COUNTERPARTS = {
    "test": Counterpart(
        "predict {source} --model {cfg} --weights {weights} --names {data}",
        _PREDICT,
        {"-save_labels": "images,txt", "-out": "images,jsonl"},
    ),
    "demo": Counterpart(
        "predict {source} --model {cfg} --weights {weights} --names {data}",
        _PREDICT,
        {"-out_filename": "video", "-prefix": "images", "-json_file_output": "jsonl"},
    ),
    "train": Counterpart(
        "train {cfg} --data {data} --weights {weights}",
        {"-mAP_epochs": "--set evaluate_every={}", "-nogpu": "--device cpu"},
        {},
        "the run is as long as max_batches says: max_batches × batch / images epochs; --epochs N"
        " for another length",
    ),
    "map": Counterpart(
        "evaluate {cfg} --data {data} --weights {weights} --protocol darknet",
        {"-points": "--set points={}", **_STRETCH, **_DEVICE},
        {},
    ),
    "valid": Counterpart(
        "evaluate {cfg} --data {data} --weights {weights}", {**_STRETCH, **_DEVICE}, {}, _FOUND_IN
    ),
    "recall": Counterpart(
        "evaluate {cfg} --data {data} --weights {weights}", {**_STRETCH, **_DEVICE}, {}, _FOUND_IN
    ),
    "calc_anchors": Counterpart(
        "data anchors {data} --set fitness=iou",
        {"-num_of_clusters": "--count {}", "-show": "--out anchors.png"},
        {},
    ),
}
NO_COUNTERPART = {"draw": "it optimises an image; there is nothing of the kind here"}


def darknet(context: typer.Context) -> None:
    """Say what a command line of darknet is here, such as `darknet detector test …`."""
    if not context.args or context.args[0] in ("--help", "--help-all"):
        typer.echo(f"Usage: scantling darknet {USAGE}\n\n{darknet.__doc__} Nothing is run.")
        return
    command, told = translate(context.args)
    for line in told:
        note(line)
    typer.echo(command)
    raise typer.Exit(WORKED)


def translate(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command of ours, and what is to be said of options that have no counterpart.

    Args:
        words: of darknet's command line, with or without the executable in front.

    Raises:
        InvalidValue: something is missing, or is no option of darknet.
        UnknownName: no such command of darknet's `detector`.
    """
    words = list(words[1:] if words[0] in EXECUTABLES else words)
    if words and words[0] == "detect":  # detect CFG WEIGHTS [FILE]
        words = ["detector", "test", "cfg/coco.data", *words[1:]]
    if not words or words[0] != "detector":
        raise InvalidValue("darknet", " ".join(words[:1]), USAGE)
    places, flags = split_flags(words[1:])
    name = places.pop(0) if places else ""
    if name in NO_COUNTERPART:
        raise InvalidValue("darknet detector", name, f"another command: {NO_COUNTERPART[name]}")
    ours = lookup(COUNTERPARTS, name, "command of darknet's detector")
    command = ours.command.format(**_fill(name, places, flags))
    if len(places) < 3:
        command = command.replace(" --weights ''", "")
    saves = dict.fromkeys(
        kind for flag in flags if flag in ours.saves for kind in ours.saves[flag].split(",")
    )
    added = [
        ours.options[flag].replace("{}", shlex.quote(value))
        for flag, value in flags.items()
        if flag in ours.options
    ]
    if saves:
        added.append(f"--save {','.join(saves)}")
    if name == "calc_anchors":
        added += _anchor_size(flags)
    told = [_tell(flag, value) for flag, value in flags.items() if _is_told(flag, name, ours)]
    return " ".join(["scantling", command, *added]), [*told, *([ours.told] if ours.told else [])]


def split_flags(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """What is no option, in order; and the options, each with its value, which may be empty.

    Raises:
        InvalidValue: no option of darknet, or without its value.
    """
    places: list[str] = []
    flags: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            places.append(word)
            continue
        lookup(FLAGS, word, "option of darknet's detector")
        value = next(rest, None) if FLAGS[word] else ""
        if value is None:
            raise InvalidValue(word, "", "its value behind it")
        flags[word] = value
    return places, flags


def _fill(name: str, places: Sequence[str], flags: dict[str, str]) -> dict[str, str]:
    """DATA, CFG, WEIGHTS and the source, as they stand in a command line."""
    given = dict(zip(("data", "cfg", "weights", "source"), places, strict=False))
    for needed in ("data",) if name == "calc_anchors" else ("data", "cfg"):
        if needed not in given:
            raise InvalidValue(f"darknet detector {name}", needed.upper(), USAGE)
    usual = flags.get("-c", "0") if name == "demo" else "-"  # a camera; paths on standard input
    filled = {"cfg": "", "weights": "", "source": usual, **given}
    return {place: shlex.quote(word) for place, word in filled.items()}


def _anchor_size(flags: dict[str, str]) -> list[str]:
    """Darknet's own default of 5 anchors, and the size of the input."""
    count = [] if "-num_of_clusters" in flags else ["--count 5"]
    height, width = (flags.get(side) for side in ("-height", "-width"))
    if height is None or width is None:
        raise InvalidValue("darknet detector calc_anchors", "", "-width W and -height H")
    return [*count, f"--image-size {shlex.quote(f'{height}x{width}')}"]


def _is_told(flag: str, name: str, ours: Counterpart) -> bool:
    used = {*ours.options, *ours.saves} - {"-out"}
    used |= {"test": {"-c"}, "demo": {"-c"}, "calc_anchors": {"-width", "-height"}}.get(name, set())
    return flag not in used


def _tell(flag: str, value: str) -> str:
    given = f"{flag} {value}".strip()
    return f"{given}: {TOLD[flag]}" if flag in TOLD else f"{given} has no counterpart"

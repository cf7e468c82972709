"""What to write in place of an option or command that does not exist: its new name, or the nearest.

Ours of before, and those of darknet and ultralytics, whose `key=value` words are taken up too.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import get_type_hints

import typer
from typer.models import ArgumentInfo

from .command import Setting, find_marks
from .darknet import FLAGS

# Spellings of before, and of those who come from darknet and ultralytics → what to write: the first
# that the command has; what begins with no dash fits every command.
RENAMED: dict[str, tuple[str, ...]] = {
    "--agnostic": ("--set class_aware=false",),
    "--agnostic-nms": ("--set class_aware=false",),
    "--augment": ("--tta", "--set tta=true"),
    "--batch": ("--batch-size", "--set batch_size"),
    "--batch-size": ("--set batch_size",),
    "--bandwidth": ("--set bandwidth", "--device-profile"),
    "--cache": ("SCANTLING_CACHE=FOLDER before the command",),
    "--classes": ("--num-classes", "--set num_classes"),
    "--conf": ("--min-score", "--set min_score"),
    "--csv": ("--out",),
    "--device": ("--device-profile",),
    "--epoch": ("--epochs",),
    "--figure": ("--out",),
    "--fit": ("--set resize_mode",),
    "--full-decode": ("nothing: all of an image is decoded unless --fast-decode is given",),
    "--half": ("--precision fp16",),
    "--img": ("--image-size",),
    "--image": ("--set camera_size",),
    "--images": ("--set calibration_images", "--count"),
    "--imgsz": ("--image-size",),
    "--iou": ("--iou-threshold", "--set iou_threshold"),
    "--iou-thresh": ("--iou-threshold", "--set iou_threshold"),
    "--map": ("--rename-classes",),
    "--max-det": ("--set max_detections",),
    "--name": ("--out",),
    "--letter-box": ("--set resize_mode=letterbox",),
    "--mode": ("the command without an option: predict, evaluate, train, export",),
    "--no-check": ("--set check=false",),
    "--no-clip": ("--set clip=false",),
    "--no-start": ("--set isolated=false",),
    "--no-whole": ("--set whole_image=false",),
    "--project": ("--out",),
    "--recipe": ("--set kind",),
    "--rect": ("--set rectangular=true",),
    "--rounds": ("--set trials",),
    "--save-conf": ("--save jsonl",),
    "--save-crop": ("--save crops",),
    "--save-detections": ("--out",),
    "--save-json": ("--save coco", "--out"),
    "--save-txt": ("--save txt",),
    "--single-label": ("--set multi_label=false",),
    "--slice": ("--tile", "--set tile"),
    "--source": ("the SOURCE without an option",),
    "--val-split": ("--validation-split",),
    "info --names": ("scantling convert MODEL NEW.safetensors --names FILE, which NEW then keeps",),
    "-dont_show": ("--save jsonl",),
    "-ext_output": ("--json",),
    "-iou_thresh": ("--iou-threshold", "--set iou_threshold"),
    "-letter_box": ("--set resize_mode=letterbox",),
    "-out": ("--out",),
    "-out_filename": ("--save video",),
    "-points": ("--set points",),
    "-save_labels": ("--save txt",),
    "-thresh": ("--min-score", "--set min_score"),
}
# The same of `train`, whose `--set` is for its recipe.
IN_THE_RECIPE = {
    "--close-mosaic": "close_mosaic",
    "--freeze": "freeze",
    "--lr0": "optimizer.learning_rate",
    "--momentum": "optimizer.momentum",
    "--optimizer": "optimizer.kind",
    "--seed": "seed",
    "--warmup-epochs": "schedule.warmup_epochs",
    "--weight-decay": "optimizer.weight_decay",
    "--workers": "loader.workers",
}
# Commands of darknet and ultralytics, and what is ours.
COMMANDS_ELSEWHERE = {
    "anchors": "scantling data anchors",
    "calc_anchors": "scantling data anchors",
    "checks": "scantling --version",
    "detect": "scantling predict, scantling train or scantling evaluate",
    "detector": "scantling darknet detector …, which says what ours is",
    "map": "scantling evaluate --protocol darknet",
    "recall": "scantling evaluate",
    "settings": "scantling COMMAND --help-all, which lists the settings of a command",
    "test": "scantling predict, or scantling evaluate for the AP",
    "track": "scantling predict: objects are not followed from frame to frame",
    "tune": "scantling train: there is no search for settings",
    "val": "scantling evaluate",
    "valid": "scantling evaluate",
    "validate": "scantling evaluate",
    "yolo": "scantling predict, scantling train, scantling evaluate or scantling export",
}


def advise_assignment(words: Sequence[str], options: Callable[..., object]) -> str | None:
    """What to write in place of ultralytics' `conf=0.5`; None if there is no such word.

    Args:
        words: behind the command.
        options: the dataclass of the command.
    """
    before = ""
    for word in words:
        found = re.fullmatch(r"([A-Za-z]\w*)=(.+)", word)
        behind_option = before.startswith("-") and "=" not in before
        before = word
        if found and not behind_option and not Path(word).exists():
            new = _assigned(found[1], found[2], options)
            if new is not None:
                return f"{word} is no argument. Write {new}."
    return None


def _assigned(name: str, value: str, options: Callable[..., object]) -> str | None:
    """What `name=value` is here, if it is anything."""
    spelt = f"--{name.replace('_', '-')}"
    settings, arguments = _settings(options), find_marks(options, ArgumentInfo)
    fields = inspect.signature(options).parameters
    known = {f"--{one.replace('_', '-')}" for one in fields.keys() - set(settings.values())}
    if name in arguments:
        return f"{value} alone"
    new = spelt if spelt in known else _renamed(spelt, "", dict.fromkeys(known, ""), options)
    if new is None or " " in new.removeprefix("--set ") or "=" in new:
        return new
    if new.startswith("--set "):
        return f"{new}={value}"
    if new == "--device" and value.isdigit():
        return f"--device cuda:{value}"
    return new if value.lower() == "true" else f"{new} {value}"


def advise(
    error: typer.TyperException, options: Callable[..., object] | None, words: Sequence[str]
) -> str | None:
    """What to write instead of an option or a command that does not exist; None if nothing is near.

    Args:
        error: what is wrong with the command line.
        options: the dataclass of the command, if it has one.
        words: the command line.
    """
    name, context = option_of(error, words), getattr(error, "ctx", None)
    near = getattr(error, "possibilities", None)
    if context is None or options is None or not name.startswith("-"):
        command = re.search(r"No such command '(.+?)'", error.message)
        if command and command[1] in COMMANDS_ELSEWHERE:
            return f"Write {COMMANDS_ELSEWHERE[command[1]]}."
        return f"Did you mean {near[0]!r}?" if near else None
    known = {one: one for parameter in context.command.params for one in parameter.opts}
    new = _renamed(name, context.info_name or "", known, options)
    if new is not None:
        return f"Write {new}{'=VALUE' if new.startswith('--set ') and '=' not in new else ''}."
    if name in FLAGS:
        return f"`scantling darknet detector …` says what darknet's {name} is here."
    settings = _settings(options)
    known |= {one: f"--set {setting}" for one, setting in settings.items()}
    nearest = get_close_matches(name, known, n=1)
    return f"Did you mean {known[nearest[0]]!r}?" if nearest else None


def option_of(error: typer.TyperException, words: Sequence[str]) -> str:
    """The option that an error is about. Of one with one dash the error knows the first letter."""
    name = getattr(error, "option_name", "")
    return next((word for word in words if len(name) == 2 and word.startswith(name)), name)


def _settings(options: Callable[..., object]) -> dict[str, str]:
    """The settings of a command, by how they would be spelt as options."""
    return {f"--{one.replace('_', '-')}": one for one in find_marks(options, Setting)}


def _renamed(
    name: str, command: str, known: Mapping[str, str], options: Callable[..., object]
) -> str | None:
    """What an option of another spelling is here: an option, `--set NAME`, or words; or None."""
    settings = _settings(options)
    if name in settings:
        return f"--set {settings[name]}"
    if name in IN_THE_RECIPE and "set" in get_type_hints(options):
        return f"--set {IN_THE_RECIPE[name]}"
    for new in (*RENAMED.get(f"{command} {name}", ()), *RENAMED.get(name, ())):
        word, _, setting = new.partition(" ")
        if word == "--set" and setting.partition("=")[0] in settings.values():
            return new
        if word != "--set" and (word in known or not word.startswith("-")):
            return new
    return None

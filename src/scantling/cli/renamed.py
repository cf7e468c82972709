"""What to write in place of an option that does not exist: its new name, or the nearest."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import get_type_hints

import typer

from .command import Setting, find_marks

# Spellings of before, and of those who come from darknet and ultralytics → what to write: the first
# that the command has; what begins with no dash fits every command.
RENAMED: dict[str, tuple[str, ...]] = {
    "--agnostic": ("--set class_aware=false",),
    "--agnostic-nms": ("--set class_aware=false",),
    "--augment": ("--tta", "--set tta=true"),
    "--batch": ("--batch-size",),
    "--bandwidth": ("--device-profile",),
    "--cache": ("SCANTLING_CACHE=FOLDER before the command",),
    "--classes": ("--num-classes",),
    "--conf": ("--min-score", "--set min_score"),
    "--csv": ("--out",),
    "--device": ("--device-profile",),
    "--epoch": ("--epochs",),
    "--figure": ("--out",),
    "--fit": ("--set resize_mode",),
    "--full-decode": ("nothing: all of an image is decoded unless --fast-decode is given",),
    "--half": ("--precision",),
    "--img": ("--image-size",),
    "--image": ("--set camera_size",),
    "--images": ("--set calibration_images", "--count"),
    "--imgsz": ("--image-size",),
    "--iou": ("--iou-threshold", "--set iou_threshold"),
    "--iou-thresh": ("--iou-threshold", "--set iou_threshold"),
    "--map": ("--rename-classes",),
    "--max-det": ("--set max_detections",),
    "--name": ("--out",),
    "--no-check": ("--set check=false",),
    "--no-clip": ("--set clip=false",),
    "--no-start": ("--set isolated=false",),
    "--no-whole": ("--set whole_image=false",),
    "--project": ("--out",),
    "--recipe": ("--set kind",),
    "--rect": ("--set rectangular=true",),
    "--rounds": ("--set trials",),
    "--save-detections": ("--out",),
    "--single-label": ("--set multi_label=false",),
    "--slice": ("--tile", "--set tile"),
    "--source": ("the SOURCE without an option",),
    "--val-split": ("--validation-split",),
    "info --names": ("scantling convert MODEL NEW.safetensors --names FILE, which NEW then keeps",),
    "-dont_show": ("--save jsonl",),
    "-iou_thresh": ("--iou-threshold", "--set iou_threshold"),
    "-out": ("--out",),
    "-thresh": ("--min-score", "--set min_score"),
}
# The same of `train`, whose `--set` is for its recipe.
IN_THE_RECIPE = {"--freeze": "freeze", "--seed": "seed", "--workers": "loader.workers"}


def advise(
    error: typer.TyperException, options: Callable[..., object] | None, words: Sequence[str]
) -> str | None:
    """What to write instead of an option or a command that does not exist; None if nothing is near.

    Args:
        error: what is wrong with the command line.
        options: the dataclass of the command, if it has one.
        words: the command line. What begins with one dash the error calls by one letter.
    """
    name, context = getattr(error, "option_name", ""), getattr(error, "ctx", None)
    if len(name) == 2:
        name = next((word for word in words if word.startswith(name)), name)
    near = getattr(error, "possibilities", None)
    if context is None or options is None or not name.startswith("-"):
        return f"Did you mean {near[0]!r}?" if near else None
    known = {one: one for parameter in context.command.params for one in parameter.opts}
    settings = {f"--{one.replace('_', '-')}": one for one in find_marks(options, Setting)}
    if name in settings:
        return f"Write --set {settings[name]}=VALUE."
    if name in IN_THE_RECIPE and "set" in get_type_hints(options):
        return f"Write --set {IN_THE_RECIPE[name]}=VALUE."
    for new in (*RENAMED.get(f"{context.info_name} {name}", ()), *RENAMED.get(name, ())):
        word, _, setting = new.partition(" ")
        key = setting.partition("=")[0]
        if word == "--set" and key in settings.values():
            return f"Write {new}." if "=" in new else f"Write {new}=VALUE."
        if word != "--set" and (word in known or not word.startswith("-")):
            return f"Write {new}."
    known |= {one: f"--set {setting}" for one, setting in settings.items()}
    nearest = get_close_matches(name, known, n=1)
    return f"Did you mean {known[nearest[0]]!r}?" if nearest else None

"""What a setting that does not exist may have meant: one elsewhere, of another kind, or like it."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from ..augment import AUGMENTATIONS
from ..losses.table import LOSSES

# What other programs call a setting → its place here.
ELSEWHERE = {
    "burn_in": "schedule.warmup_least",
    "lr": "optimizer.learning_rate",
    "lr0": "optimizer.learning_rate",
    "lrf": "schedule.final",
    "box": "loss.box_gain",
    "cls": "loss.class_gain",
    "fliplr": "augment.settings.flip_horizontal",
    "flipud": "augment.settings.flip_vertical",
    "imgsz": "image_size",
}
MOST = 5  # settings in a hint


def hint_for(name: str, known: list[str], chosen: Mapping[str, str]) -> str:
    """What to write instead: ` Did you mean 'augment.settings.mosaic'?`, or the names there are.

    Args:
        name: that was given, such as `mosaic`.
        known: the recipe's settings, as dotted names.
        chosen: the kind of `loss` and of `augment`, whose settings are searched, too.
    """
    known = list(dict.fromkeys([*known, *_settings_of(chosen)]))
    last = name.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    if not same and ELSEWHERE.get(last) in known:
        same = [ELSEWHERE[last]]
    other = "" if same else _of_another_kind(name, chosen)
    if not same:
        near = get_close_matches(name, known, n=1)
        ends = {one.rpartition(".")[2]: one for one in known}
        same = near or [ends[end] for end in get_close_matches(last, ends, n=1)]
    if not same:
        names = ", ".join(dict.fromkeys(one.partition(".")[0] for one in known))
        return (
            other or f" There are {names}, some with settings of their own, as optimizer.momentum."
        )
    shown = " or ".join(repr(one) for one in same[:MOST])
    return f"{other} Did you mean {shown}?"


def _settings_of(chosen: Mapping[str, str]) -> Iterator[str]:
    """Dotted names of the settings of the chosen kinds."""
    for group, fields_of, prefix in (
        ("loss", loss_fields, "loss"),
        ("augment", augment_fields, "augment.settings"),
    ):
        yield from (f"{prefix}.{field}" for field in fields_of(chosen.get(group, "")))


def _of_another_kind(name: str, chosen: Mapping[str, str]) -> str:
    """` With loss.kind=darknet there is one; …`, where a kind not chosen has such a setting."""
    last = name.rpartition(".")[2]
    for group, table, fields_of in (
        ("loss", LOSSES, loss_fields),
        ("augment", AUGMENTATIONS, augment_fields),
    ):
        if name.partition(".")[0] not in (group, last):
            continue
        kinds = [kind for kind in table if last in fields_of(kind)]
        if kinds and group in chosen:
            which = " or ".join(f"{group}.kind={kind}" for kind in kinds)
            return f" With {which} there is one; here {group}.kind is {chosen[group]}."
    return ""


def loss_fields(kind: str) -> list[str]:
    """The settings of a kind of loss."""
    made = LOSSES[kind].settings if kind in LOSSES else None
    return [name for name in getattr(made, "model_fields", {}) if name != "kind"]


def augment_fields(kind: str) -> list[str]:
    """The settings of a kind of augmentation, without those that a run sets itself."""
    made: Any = AUGMENTATIONS.get(kind)
    names = [field.name for field in fields(made)] if is_dataclass(made) else []
    return [name for name in names if name not in ("extra", "image_size")]

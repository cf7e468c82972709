"""Requests for family members: a name, a budget and a device each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...datasets.safe_text import read_yaml
from ...errors import InvalidValue, lookup
from ..search.budget import (
    USUAL_IMAGE,
    Budget,
    parse_bytes,
    parse_count,
    parse_pixels,
    parse_seconds,
)

KEYS = ("device", "latency", "memory", "params", "macs", "flops", "min-object")
MOST_MEMBERS = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_EXAMPLE = "NAME=device:box.json,latency:12ms,memory:200MB with any of " + ", ".join(KEYS)


@dataclass(frozen=True)
class MemberRequest:
    """Request for one member of a family.

    Args:
        name: of letters, digits, - and _; its file is called so.
        budget: of it.
        device: profile that its latency is for.
    """

    name: str
    budget: Budget
    device: Path | None = None


def parse_member(text: str, *, image: tuple[int, int] = USUAL_IMAGE) -> MemberRequest:
    """Parse `board=device:box.json,latency:12ms` into a request.

    Args:
        text: a name, and settings apart by commas.
        image: (height, width) of the camera's images.

    Raises:
        InvalidValue: it is written otherwise, or a value cannot be read.
        UnknownName: there is no such setting.
    """
    name, equals, rest = text.partition("=")
    pairs = [one.partition(":") for one in rest.split(",")] if equals else []
    if not pairs or not all(colon and value for _, colon, value in pairs):
        raise InvalidValue("--budget", text, _EXAMPLE)
    settings = {key.strip(): value.strip() for key, _, value in pairs}
    return make_member(name.strip(), settings, image=image)


def read_members(path: Path, *, image: tuple[int, int] = USUAL_IMAGE) -> tuple[MemberRequest, ...]:
    """Read requests from a YAML file: names, and below each its settings.

    Paths of profiles are relative to the file.

    Raises:
        InvalidData: it is no YAML.
        InvalidValue: it holds something else.
        UnknownName: there is no such setting.
    """
    content, _ = read_yaml(path)
    if not isinstance(content, dict) or not content or len(content) > MOST_MEMBERS:
        raise InvalidValue(str(path), "no members", f"names, up to {MOST_MEMBERS}, with settings")
    members = []
    for name, settings in content.items():
        if not isinstance(settings, dict) or not settings:
            raise InvalidValue(f"{path}: {name}", settings, f"settings: any of {', '.join(KEYS)}")
        texts = {key: str(value) for key, value in settings.items()}
        if "device" in texts:
            texts["device"] = str(path.parent / texts["device"])
        members.append(make_member(str(name), texts, image=image))
    return tuple(members)


def make_member(
    name: str, settings: Mapping[str, str], *, image: tuple[int, int] = USUAL_IMAGE
) -> MemberRequest:
    """Make a request from settings given as text.

    Raises:
        InvalidValue: the name or a value cannot be used, or nothing is limited.
        UnknownName: there is no such setting.
    """
    if not _NAME.fullmatch(name):
        raise InvalidValue("the name of a member", name, "up to 40 letters, digits, - and _")
    for key in settings:
        lookup(dict.fromkeys(KEYS, key), key, "setting of a budget")
    flops = parse_count(settings.get("flops"), option=f"{name}: flops")
    macs = parse_count(settings.get("macs"), option=f"{name}: macs")
    budget = Budget(
        latency=parse_seconds(settings.get("latency"), option=f"{name}: latency"),
        memory=parse_bytes(settings.get("memory"), option=f"{name}: memory"),
        parameters=parse_count(settings.get("params"), option=f"{name}: params"),
        macs=macs if flops is None else flops / 2,
        min_object=parse_pixels(settings.get("min-object"), option=f"{name}: min-object"),
        image=image,
    )
    if not budget.limits.keys() - {"object"}:
        raise InvalidValue(f"the budget of {name}", "empty", _EXAMPLE)
    device = settings.get("device")
    if budget.latency is not None and device is None:
        raise InvalidValue(f"{name}: latency", settings["latency"], "a device beside it")
    return MemberRequest(name, budget, None if device is None else Path(device))

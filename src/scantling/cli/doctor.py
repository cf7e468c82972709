"""scantling doctor — what of this machine works: what to paste into a report of a problem."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from ..errors import printable
from .options import CacheFolder, JsonOption
from .output import WORKED


@dataclass(frozen=True)
class DoctorOptions:
    """The options of `scantling doctor`."""

    json: JsonOption = False
    cache: CacheFolder = None


def doctor(options: DoctorOptions) -> int:
    """Examine this machine: versions, engines, devices, cores, speed, cache and memory.

    Its output is what a report of a problem needs; it works without torch.
    """
    from ..engines.doctor import examine

    found = examine(options.cache)
    if options.json:
        typer.echo(json.dumps(found))
        return WORKED
    for line in describe(found):
        typer.echo(printable(line))
    return WORKED


def describe(found: dict[str, Any]) -> Iterator[str]:
    """What was found, a line each.

    Args:
        found: as `engines.doctor.examine` returns it.
    """
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    yield f"packages   {packages}"
    yield f"python     {found['python']} ({found['executable']}), {found['system']}"
    whole, own = found["machine_cores"], found["cores"]
    limit = "" if own == whole else f" of {whole}, by affinity or a container's quota"
    yield f"processor  {found['processor']}, {own} cores{limit}"
    lowered = "".join(f"; {name}={value}" for name, value in found["variables"].items())
    yield f"           {' '.join(found['instructions'])}{lowered}"
    yield f"memory     {found['memory'] / 1e9:.1f} GB for this process"
    for name in found["gpu"]:
        yield f"gpu        {name}"
    for name, one in found["engines"].items():
        told = f"works on {', '.join(one['devices'])}" if one["works"] else one["why"]
        yield f"engine     {name}: {told}"
    for name, one in found["speed"].items():
        yield f"speed      {name}: {_speed(one)}"
    yield f"cache      {_cache(found['cache'])}"


def _speed(one: dict[str, Any]) -> str:
    if "problem" in one:
        return str(one["problem"])
    rates = [f"{rate:g} GMAC/s a core in {name}" for name, rate in one["gmacs_per_second"].items()]
    taken = f"--precision auto takes {one['auto']}"
    if "auto_training" in one:
        taken += f", training {one['auto_training']}"
    return f"{', '.join(rates)}; {taken}"


def _cache(one: dict[str, Any]) -> str:
    state = "" if one["writable"] else ", which cannot be written"
    free = "unknown" if one["free"] is None else f"{one['free'] / 1e9:,.1f} GB"
    return (
        f"{one['folder']}{state}: {one['bytes'] / 1e6:,.1f} MB of at most "
        f"{one['budget'] / 1e9:,.1f} GB, {free} free on its disk"
    )

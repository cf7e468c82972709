"""scantling cache — what is kept between runs, and removing it."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import lookup, printable
from ..io import default_cache
from ..io.folders import free_bytes
from .command import option
from .options import INPUT, CacheFolder, JsonOption
from .output import WORKED

if TYPE_CHECKING:
    from ..cache import CacheEntry

DAY = 86400


@dataclass(frozen=True)
class CacheOptions:
    """The options of `scantling cache`."""

    kinds: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND…]", help="Only these: {cache:KINDS}; all by default."),
    ] = None
    clear: Annotated[
        bool, option(INPUT, "Remove them; downloads only where they are named.", "--clear")
    ] = False
    json: JsonOption = False
    cache: CacheFolder = None


def cache(options: CacheOptions) -> int:
    """Show what is kept between runs, how large it is and since when unused; clear it."""
    from ..cache import DOWNLOADS, KINDS, list_entries, remove
    from ..checkpoints.hub import OFFICIAL

    folder = options.cache or default_cache()
    for kind in options.kinds or ():
        lookup(KINDS, kind, "kind of what is kept")
    wanted = options.kinds or list(KINDS)
    names = {one.file_name for one in OFFICIAL.values()}
    entries = [entry for entry in list_entries(folder, names) if entry.kind in wanted]
    freed = None
    if options.clear:
        going = [one for one in entries if options.kinds or one.kind != DOWNLOADS]
        freed = remove(going)
        entries = [entry for entry in list_entries(folder, names) if entry.kind in wanted]
    record = describe(folder, entries, wanted)
    if options.json:
        typer.echo(json.dumps(record | ({} if freed is None else {"removed": freed})))
        return WORKED
    if freed is not None:
        typer.echo(f"Removed {freed / 1e6:,.1f} MB.")
        if any(entry.kind == DOWNLOADS for entry in entries):
            typer.echo("Downloads stay; to remove them too: scantling cache downloads --clear")
    _print(record)
    return WORKED


def describe(
    folder: Path, entries: "Sequence[CacheEntry]", wanted: Sequence[str]
) -> dict[str, Any]:
    """What a cache folder holds, as plain values.

    Args:
        folder: of the cache.
        entries: in it.
        wanted: kinds that are told, with or without entries.
    """
    from ..cache import KINDS, find_budget

    now, kinds = time.time(), {}
    for kind in wanted:
        own = [entry for entry in entries if entry.kind == kind]
        kinds[kind] = {
            "what": KINDS[kind][0],
            "entries": len(own),
            "bytes": sum(entry.size for entry in own),
            "unused_days": round((now - own[0].used) / DAY, 2) if own else None,
        }
    return {
        "folder": str(folder),
        "budget": find_budget(folder),
        "free": free_bytes(folder),
        "bytes": sum(entry.size for entry in entries),
        "kinds": kinds,
    }


def _print(record: dict[str, Any]) -> None:
    typer.echo(f"{'kind':<10} {'entries':>7} {'MB':>10} {'unused for':>11}")
    for kind, own in record["kinds"].items():
        unused = "-" if own["unused_days"] is None else f"{own['unused_days']:.1f} days"
        typer.echo(
            f"{kind:<10} {own['entries']:>7} {own['bytes'] / 1e6:>10,.1f} {unused:>11}"
            f"  {own['what']}"
        )
    free = "" if record["free"] is None else f"; {record['free'] / 1e9:,.1f} GB free on its disk"
    typer.echo(
        f"{record['bytes'] / 1e6:,.1f} MB in {printable(record['folder'])}, of at most "
        f"{record['budget'] / 1e9:,.1f} GB beside downloads (SCANTLING_CACHE_BUDGET){free}"
    )

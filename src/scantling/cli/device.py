"""scantling device … — what a device does in which time: measured once, used offline."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import InvalidValue, printable
from .command import option, parse_image_size
from .options import (
    ENGINE_NAMES,
    MODEL,
    RESULT,
    SPEED,
    ImageSizeOption,
    JsonOption,
    OverwriteOption,
)
from .output import WORKED, note, phase_bar

if TYPE_CHECKING:
    from ..scaling.device_profile import DeviceProfile
    from ..scaling.latency import LatencyEstimate, MemoryEstimate

HELP = "Measure what a device does in which time, and predict models on it."


@dataclass(frozen=True)
class MeasureOptions:
    """The options of `scantling device measure`."""

    out: Annotated[
        Path,
        option(
            RESULT, "Device profile to write, a .json file.", metavar="FILE", show_default=False
        ),
    ]
    overwrite: OverwriteOption = False
    json: JsonOption = False
    minutes: Annotated[float, option(SPEED, "Time to spend.", min=0.0)] = 2.0
    engine: Annotated[
        str,
        option(
            SPEED,
            f"What runs the networks: {ENGINE_NAMES}, or auto for the fastest that is installed.",
            metavar="NAME",
        ),
    ] = "auto"
    device: Annotated[Literal["auto", "cpu", "cuda"], option(SPEED, "What it runs on.")] = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], option(SPEED, "Number format to compute in.")
    ] = "fp32"
    threads: Annotated[
        int | None, option(SPEED, "Processor threads; one a core by default.", min=1)
    ] = None


@dataclass(frozen=True)
class ShowOptions:
    """The options of `scantling device show`."""

    profile: Annotated[Path, typer.Argument(help="A file from `scantling device measure`.")]
    model: Annotated[
        str | None, option(MODEL, "Model to predict, as `scantling analyze` takes it.")
    ] = None
    image_size: ImageSizeOption = None
    json: JsonOption = False


def measure(options: MeasureOptions) -> int:
    """Time primitives of networks on an engine, for predictions that need no device."""
    from ..scaling.device_profile import describe_profile, write_profile
    from ..scaling.profiling import measure_device

    if options.out.suffix != ".json":
        raise InvalidValue("--out", str(options.out), "a .json file to write")
    if options.out.exists() and not options.overwrite:
        raise InvalidValue("--out", str(options.out), "a file that does not exist, or --overwrite")
    with phase_bar() as show_phase:
        profile = measure_device(
            engine=options.engine,
            device=options.device,
            precision=options.precision,
            threads=options.threads,
            minutes=options.minutes,
            progress=lambda share: show_phase("measuring", share),
        )
    write_profile(profile, options.out)
    if profile.doubt:
        note(f"WARNING: {profile.doubt}")
    if options.json:
        typer.echo(json.dumps({**describe_profile(profile), "out": str(options.out)}))
        return WORKED
    _print(profile)
    typer.echo(f"Saved {printable(str(options.out))}{', of little use' * bool(profile.doubt)}")
    return WORKED


def show(options: ShowOptions) -> int:
    """Say what a device profile holds, and what it predicts of a model."""
    from ..engines.hardware import find_processor
    from ..scaling.device_profile import (
        check_profile,
        describe_profile,
        engine_version,
        read_profile,
    )

    profile = read_profile(options.profile)
    warnings = check_profile(
        profile,
        engine_version=engine_version(profile.engine) or None,
        processor=find_processor().name,
    )
    for warning in warnings:
        note(warning)
    facts: dict[str, Any] = {**describe_profile(profile), "warnings": warnings}
    found = None
    if options.model is not None:
        found = _predict(options.model, profile, parse_image_size(options.image_size))
        facts["model"] = {"name": options.model, **_plain(*found)}
    if options.json:
        typer.echo(json.dumps(facts))
        return WORKED
    _print(profile)
    if found is not None:
        _print_prediction(options.model or "", *found)
    return WORKED


def _predict(
    model: str, profile: "DeviceProfile", image_size: tuple[int, int] | None
) -> tuple["LatencyEstimate", "MemoryEstimate"]:
    from ..scaling.analysis import open_spec
    from ..scaling.latency import predict_latency, predict_memory

    spec = open_spec(model)
    memory = predict_memory(
        spec, engine=profile.engine, precision=profile.precision, image_size=image_size
    )
    return predict_latency(spec, profile, image_size=image_size), memory


def _plain(latency: "LatencyEstimate", memory: "MemoryEstimate") -> dict[str, Any]:
    return {
        "seconds": latency.seconds,
        "seconds_low": latency.low,
        "seconds_high": latency.high,
        "memory": memory.peak,
        "memory_low": memory.low,
        "memory_high": memory.high,
    }


def _print(profile: "DeviceProfile") -> None:
    whole = profile.whole
    typer.echo(
        f"{printable(profile.processor)}: {profile.engine} {printable(profile.engine_version)}, "
        f"{profile.device}, {profile.precision}, {profile.threads} threads, {profile.created}"
    )
    typer.echo(
        f"  at most {profile.peak.macs_per_second / 1e9:.1f} GMAC/s and "
        f"{profile.peak.bytes_per_second / 1e9:.1f} GB/s"
    )
    typer.echo(
        f"  {len(profile.samples)} chains of primitives in {profile.minutes:.1f} minutes; unseen "
        f"ones are off by {whole.error:.1%} in the median"
    )


def _print_prediction(model: str, latency: "LatencyEstimate", memory: "MemoryEstimate") -> None:
    typer.echo(
        f"  {printable(model)}: {latency.seconds * 1e3:.1f} ms "
        f"({latency.low * 1e3:.1f} to {latency.high * 1e3:.1f}), memory "
        f"{memory.peak / 1e6:.0f} MB ({memory.low / 1e6:.0f} to {memory.high / 1e6:.0f})"
    )


# Every command of the group: its options, and a function from them to the exit code.
COMMANDS: dict[str, tuple[Callable[..., Any], Callable[[Any], int]]] = {
    "measure": (MeasureOptions, measure),
    "show": (ShowOptions, show),
}

"""Device profiles: JSON files of measured operation times, usable without the device at hand."""

import importlib.metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from ..datasets.safe_text import read_small
from ..engines.hardware import has_package
from ..errors import InvalidProfile
from ..io import write_file
from ..specs.frozen import Frozen

MAX_BYTES = 8 * 2**20
MOST_ERROR = 0.25  # in the median, from which on a profile is of little use
_MOST_SAMPLES = 4_000
_MOST_ROWS = 200  # operations of a chain
_MOST_FACTS = 64  # of a machine

Count = Annotated[int, Field(ge=0, le=2**31)]
Seconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e24, allow_inf_nan=False)]
Error = Annotated[float, Field(ge=-20, le=20, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=200)]
# The columns of `latency.operation_table.COLUMNS`.
OperationRow = Annotated[tuple[Count, ...], Field(min_length=13, max_length=13)]
KINDS = 33  # of operations, as many as `latency.operation_table.KINDS`; a row begins with one


class Peak(Frozen):
    """Peak compute and bandwidth of the device: what `analyze --device-profile` draws.

    Args:
        macs_per_second: of dense convolutions on this engine.
        bytes_per_second: read and written, in memory beyond every cache.
        precision: in which the first was measured.
    """

    macs_per_second: Rate
    bytes_per_second: Rate
    precision: Text


class ChainSample(Frozen):
    """Measured latency of one chain of primitive operations.

    Args:
        primitive: name of what it consists of.
        operations: a row for each kind of operation in it; see `latency.operation_table`.
        seconds: median of its turns.
        spread: half of the distance of their quartiles, relative to the median.
        unseen: logarithm of measured over predicted time, by a latency model fitted to others.
    """

    primitive: Text
    operations: Annotated[tuple[OperationRow, ...], Field(min_length=1, max_length=_MOST_ROWS)]
    seconds: Seconds
    spread: Share
    unseen: Error = 0.0


class Residuals(Frozen):
    """Cross-validation error of the latency model, on chains that it was not fitted to.

    Args:
        low, median, high: the 5th, 50th and 95th percentile of the logarithm of measured over
            predicted time.
        error: median of its absolute value, as a share.
    """

    low: Error
    median: Error
    high: Error
    error: Share


class DeviceProfile(Frozen):
    """Measurements of a device for one engine, number of threads and precision.

    Args:
        machine: what `engines.hardware.describe_machine` says of it.
        engine, engine_version: that ran the chains.
        device: `cpu` or `cuda`.
        precision: that it computed in.
        threads: of the processor.
        peak: see `Peak`.
        samples: what was timed.
        whole: of the latency model.
        created: the day, YYYY-MM-DD.
        minutes: that measuring took.
    """

    version: Literal[1] = 1
    kind: Literal["device profile"] = "device profile"
    machine: Annotated[dict[Text, JsonValue], Field(max_length=_MOST_FACTS)]
    engine: Literal["torch", "onnxruntime", "openvino", "tensorrt"]
    engine_version: Text
    device: Annotated[str, Field(max_length=20)]
    precision: Literal["fp32", "bf16", "fp16"]
    threads: Annotated[int, Field(ge=1, le=1024)]
    peak: Peak
    samples: Annotated[tuple[ChainSample, ...], Field(min_length=1, max_length=_MOST_SAMPLES)]
    whole: Residuals
    created: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    minutes: Annotated[float, Field(ge=0, le=1e5, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _check(self) -> "DeviceProfile":
        rows = [row for one in self.samples for row in one.operations]
        if any(min(row[2:]) < 1 or row[0] >= KINDS for row in rows):
            raise ValueError("an operation of an unknown kind, or on a map without values")
        return self

    @property
    def processor(self) -> str:
        """Model name of the processor."""
        return str(self.machine.get("processor", ""))[:200]

    @property
    def doubt(self) -> str:
        """Why its predictions are not to be relied on; empty where they are."""
        if self.whole.error <= MOST_ERROR:
            return ""
        return (
            f"the profile is off by {self.whole.error:.0%} in the median on chains of layers it"
            f" had not seen, where {MOST_ERROR:.0%} is the most: something else ran on the machine,"
            " or it was measured too briefly. Measure it again on an idle machine: scantling device"
            " measure --minutes 2"
        )


def read_profile(path: str | Path) -> DeviceProfile:
    """Read a device profile from an untrusted file; no code in it is run.

    Raises:
        InvalidData: the file cannot be read, or is too large.
        InvalidProfile: it is no profile.
    """
    path = Path(path)
    content = read_small(path, max_bytes=MAX_BYTES)
    try:
        return DeviceProfile.model_validate_json(content)
    except (ValidationError, RecursionError) as error:
        problem = "it is nested too deep"
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part)[:40] for part in first["loc"][:6])
            problem = f"{place or 'the whole'}: {first['msg'][:200]}"
        raise InvalidProfile(
            str(path), f"it is no device profile ({problem})", "Make one with `device measure`"
        ) from error


def write_profile(profile: DeviceProfile, path: Path) -> None:
    """Write a profile atomically.

    Raises:
        CannotWrite: nothing can be written there.
    """
    write_file(path, profile.model_dump_json() + "\n")


def check_profile(
    profile: DeviceProfile,
    *,
    engine: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    engine_version: str | None = None,
    processor: str | None = None,
    source: str = "profile",
) -> list[str]:
    """Check that a profile fits the intended use; returns warnings, none where it fits.

    What is None is not compared: a profile of another device is used for that device.

    Args:
        profile: to be used.
        engine, precision, threads: that the model is to run with; they must be the same.
        engine_version, processor: of the machine that it is to run on.
        source: what an error calls the profile.

    Raises:
        InvalidProfile: it is of another engine, precision or number of threads.
    """
    _refuse_others(profile, source, engine, precision, threads)
    warnings = [profile.doubt] if profile.doubt else []
    if engine_version is not None and engine_version != profile.engine_version:
        warnings.append(
            f"the profile was measured with {profile.engine} {profile.engine_version}, "
            f"not {engine_version}: its times may be off by more than they say"
        )
    if processor is not None and processor != profile.processor:
        warnings.append(
            f"the profile is of another processor ({profile.processor}), not of {processor}: "
            "its times are not this machine's"
        )
    return warnings


def _refuse_others(
    profile: DeviceProfile,
    source: str,
    engine: str | None,
    precision: str | None,
    threads: int | None,
) -> None:
    for what, wanted, own in (
        ("engine", engine, profile.engine),
        ("precision", precision, profile.precision),
        ("number of threads", threads, profile.threads),
    ):
        if wanted is not None and wanted != own:
            raise InvalidProfile(
                source,
                f"its {what} is {own}, not {wanted}",
                "Measure another one with `scantling device measure`",
            )


def describe_profile(profile: DeviceProfile) -> dict[str, Any]:
    """Summary of a profile without its samples, as plain values for JSON."""
    facts = profile.model_dump(exclude={"samples"})
    return {**facts, "samples": len(profile.samples), "doubt": profile.doubt}


_PACKAGES = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}


def engine_version(engine: str) -> str:
    """Version of an engine's installed package; empty where it is not installed."""
    for package in _PACKAGES.get(engine, (engine,)):
        if has_package(package):
            return importlib.metadata.version(package)
    return ""

"""The command line: one function per command, each one parse, call, print."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.main

from .. import __version__
from ..errors import NeedsTorch, ScantlingError
from ..io import count_cores
from .analyze import AnalyzeOptions, analyze
from .benchmark import BenchmarkOptions, benchmark
from .cache import CacheOptions, cache
from .catalog import ListOptions, list_models
from .command import as_command, help_option
from .convert import ConvertOptions, convert
from .darknet import darknet
from .data import COMMANDS as DATA_COMMANDS, HELP as DATA_HELP
from .demo import DemoOptions, demo
from .device import COMMANDS as DEVICE_COMMANDS, HELP as DEVICE_HELP
from .doctor import DoctorOptions, doctor
from .evaluate import EvaluateOptions, evaluate
from .export import ExportOptions, export
from .family import FamilyOptions, family
from .info import InfoOptions, info
from .output import TERMINATED, USER_CAN_FIX, WORKED, describe_excess, logged_as_notes, tell
from .predict import PredictOptions, predict
from .renamed import advise, advise_assignment, option_of
from .scale import scale
from .scale_options import ScaleOptions
from .train import TrainOptions, train
from .verify import VerifyOptions, verify

NOT_ON_A_BOARD = ("torch", "accelerate", "safetensors")  # see docs/board.md
# Every command: its options, and a function from them to the exit code.
COMMANDS: dict[str, tuple[Callable[..., Any], Callable[[Any], int]]] = {
    "predict": (PredictOptions, predict),
    "evaluate": (EvaluateOptions, evaluate),
    "train": (TrainOptions, train),
    "demo": (DemoOptions, demo),
    "export": (ExportOptions, export),
    "verify": (VerifyOptions, verify),
    "benchmark": (BenchmarkOptions, benchmark),
    "list": (ListOptions, list_models),
    "info": (InfoOptions, info),
    "convert": (ConvertOptions, convert),
    "analyze": (AnalyzeOptions, analyze),
    "scale": (ScaleOptions, scale),
    "family": (FamilyOptions, family),
    "doctor": (DoctorOptions, doctor),
    "cache": (CacheOptions, cache),
}
# Every group of commands, called as `scantling GROUP COMMAND`: its help, and its own table.
GROUPS = {"data": (DATA_HELP, DATA_COMMANDS), "device": (DEVICE_HELP, DEVICE_COMMANDS)}
# The panels of `scantling --help`, and what stands in them.
PANELS = {
    "Find objects, train": ("predict", "evaluate", "train", "data", "demo"),
    "Run elsewhere": ("export", "verify", "benchmark"),
    "Models": ("list", "info", "convert", "darknet"),
    "Fit a device": ("analyze", "scale", "family", "device"),
    "This machine": ("doctor", "cache"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 worked; 2 the user can fix it, and the message says how; 3 a check failed; 130 interrupted.
    Whatever else goes wrong is a bug, and is raised.
    """
    advice = _advise_assignment(sys.argv[1:] if argv is None else argv)
    if advice is not None:
        tell(advice)
        return USER_CAN_FIX
    try:
        _prepare_process()
        with _termination_as_exit(), logged_as_notes():
            code = typer.main.get_command(build_app()).main(
                args=None if argv is None else list(argv),
                prog_name="scantling",
                standalone_mode=False,
            )
            return code or WORKED
    except typer.TyperException as error:
        tell(_explain(error, sys.argv[1:] if argv is None else argv))
    except (ScantlingError, OSError) as error:
        tell(error)
    except (MemoryError, RecursionError, OverflowError, RuntimeError) as error:
        excess = describe_excess(error)
        if excess is None:
            raise
        tell(excess)
    except ModuleNotFoundError as error:
        if error.name not in NOT_ON_A_BOARD:
            raise
        tell(NeedsTorch("This command"))
    except SystemExit as stop:
        return int(stop.code or WORKED)
    return USER_CAN_FIX


def _prepare_process() -> None:
    """Tell libraries that are loaded later what they do not find out, or say between our lines.

    That is how many cores there are, where a container has fewer: they count those of the machine,
    or of the affinity at best. And what is wrong with an image or a video, which we say ourselves.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) < 3:
        pass  # in place of a standard stream that is closed: else the next file that is written is
    os.close(opened)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    affinity = getattr(os, "sched_getaffinity", None)
    cores = count_cores()
    if affinity and cores < len(affinity(0)):
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
            os.environ.setdefault(variable, str(cores))


def build_app() -> typer.Typer:
    """The commands of `COMMANDS` and `GROUPS` as a typer application."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(_root)
    for panel, names in PANELS.items():
        for name in names:
            if name == "darknet":  # whose options are not ours
                as_they_are = {"ignore_unknown_options": True, "allow_extra_args": True}
                settings = {**as_they_are, "help_option_names": []}
                app.command(name, rich_help_panel=panel, context_settings=settings)(darknet)
            elif name in COMMANDS:
                command = as_command(*COMMANDS[name])
                app.command(name, rich_help_panel=panel)(command)
            else:
                app.add_typer(_build_group(name), name=name, rich_help_panel=panel)
    return app


def _build_group(group: str) -> typer.Typer:
    text, commands = GROUPS[group]
    nested = typer.Typer(help=text)
    nested.callback(invoke_without_command=True)(_show_help)
    for name, (options, run) in commands.items():
        nested.command(name)(as_command(options, run))
    return nested


def _show_help(context: typer.Context, _help: help_option() = None) -> None:  # type: ignore[valid-type]
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    _help: help_option() = None,  # type: ignore[valid-type]
) -> None:
    """Detect objects with YOLOv4, Scaled-YOLOv4 and EfficientDet."""
    if version:
        typer.echo(f"scantling {__version__}")
        raise typer.Exit(WORKED)
    _show_help(context)


def _explain(error: typer.TyperException, words: Sequence[str]) -> str:
    """What is wrong with the command line, in one sentence that says what to write."""
    context = getattr(error, "ctx", None)
    path = context.command_path.split()[1:] if context else []
    table = GROUPS[path.pop(0)][1] if path and path[0] in GROUPS else COMMANDS
    options, _ = table.get(path[0], (None, None)) if path else (None, None)
    advice = advise(error, options, words)
    if advice is None:
        return error.format_message()
    problem = error.message.partition(" Did you mean")[0].rstrip(".")
    short = getattr(error, "option_name", "")
    if short and problem.endswith(f": {short}"):
        problem = f"{problem.removesuffix(short)}{option_of(error, words)}"
    return f"{problem}. {advice}"


def _advise_assignment(words: Sequence[str]) -> str | None:
    """What to write in place of a word such as `conf=0.5` behind a command of ours."""
    table, words = COMMANDS, list(words)
    if words and words[0] in GROUPS:
        table = GROUPS[words.pop(0)][1]
    if not words or words[0] not in table or not any("=" in word for word in words):
        return None
    return advise_assignment(words[1:], table[words[0]][0])


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let a termination signal unwind the stack, so that open files are finished."""

    def leave(*_: object) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

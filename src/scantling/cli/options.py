"""Options and settings that several commands share, and how their words are read."""

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from ..engines.runtimes import ENGINES, check_engine
from ..errors import InvalidValue
from .output import BROKEN_PIPE
from .settings import Setting, find_marks, read_settings, spell

Options = TypeVar("Options")
OPTIONS = "Options"  # the panel of what belongs to no other
SET_HELP = "One of the settings below, or a .toml file of them; may be repeated."


@dataclass(frozen=True)
class FromEnvironment:
    """Marks a path that is the same for all commands, taken from an environment variable alone."""

    variable: str
    help: str


def option(panel: str, text: str, *names: str, rare: bool = False, **more: Any) -> Any:
    """Marks a field that is an option.

    Args:
        panel: of the help that it stands in.
        text: what it is. `{package.module:TABLE}` in it becomes the names in a table of ours.
        names: how it is spelt, where that is not the name of its field.
        rare: leave it out of `--help`; `--help-all` has it.
        more: as of `typer.Option`.
    """
    return typer.Option(*names, help=text, rich_help_panel=panel, hidden=rare, **more)


def as_command(options: Callable[..., Options], run: Callable[[Options], int]) -> Any:
    """A function that typer can read: one parameter per argument and option of `options`.

    An `InvalidValue` of a field names it as it is given on the command line.

    Args:
        options: a dataclass of arguments, options and settings.
        run: what to do with them; returns the exit code. Its docstring becomes the help.
    """

    def command(**given: Any) -> None:
        try:
            raise typer.Exit(run(options(**fill(options, given))))
        except BrokenPipeError:
            # the reader left (`| head`); Python would complain when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except InvalidValue as error:
            if error.setting not in fields:
                raise
            raise InvalidValue(
                spell(options, error.setting), error.given, error.expected
            ) from error

    fields = inspect.signature(options).parameters
    parameters = list_parameters(options)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__doc__ = run.__doc__
    return command


def list_parameters(options: Callable[..., object]) -> list[inspect.Parameter]:
    """The parameters of a command: the arguments and options, `--set` if it has settings, help."""
    hints = get_type_hints(options, include_extras=True)
    settings = find_marks(options, Setting)
    places = find_marks(options, FromEnvironment)
    absent = settings.keys() | places.keys()
    fields = inspect.signature(options).parameters
    kept = [
        one.replace(annotation=hints[name]) for name, one in fields.items() if name not in absent
    ]
    marks = [mark for one in kept for mark in one.annotation.__metadata__]
    panels = [mark.rich_help_panel for mark in marks if not mark.hidden]
    if settings and "set" not in hints:
        rare = option(panels[-1], SET_HELP, metavar="NAME=VALUE", rare=True)
        kept.append(_keyword("set", Annotated[list[str] | None, rare]))
    shown = {name: (mark, fields[name].default) for name, mark in settings.items()}
    kept.append(_keyword("help", help_option(panels[-1], shown, places.values())))
    return kept


def fill(options: Callable[..., object], given: dict[str, Any]) -> dict[str, Any]:
    """What the command line says, with the settings behind `--set` and in the environment."""
    filled = {name: value for name, value in given.items() if name != "help"}
    for name, place in find_marks(options, FromEnvironment).items():
        filled[name] = Path(os.environ[place.variable]) if os.environ.get(place.variable) else None
    words = filled.pop("set", None)
    if words:
        values, rest = read_settings(options, words)
        filled |= values
        if rest:
            filled["set"] = rest
    return filled


def help_option(
    panel: str = OPTIONS,
    settings: Mapping[str, tuple[Setting, Any]] | None = None,
    places: Iterable[FromEnvironment] = (),
) -> Any:
    """`--help`, which shows what most people use, and `--help-all`: two forms of one option."""

    def show(context: typer.Context, shown: bool | None) -> None:
        if shown is None or context.resilient_parsing:
            return
        for parameter in context.command.params:
            parameter.help = _with_names(parameter.help or "")  # type: ignore[attr-defined]
            parameter.hidden = shown and parameter.hidden  # type: ignore[attr-defined]
        typer.echo(context.get_help())
        if settings and not shown:
            _print_settings(settings)
        for place in () if shown else places:
            typer.echo(f" ${place.variable}: {place.help}")
        raise typer.Exit

    return Annotated[
        bool | None,
        typer.Option(
            "--help/--help-all",
            metavar="",
            help="Show the options that most people use; or all.",
            callback=show,
            is_eager=True,
            expose_value=False,
            rich_help_panel=panel,
        ),
    ]


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=annotation)


def _print_settings(settings: Mapping[str, tuple[Setting, Any]]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, (setting, default) in settings.items():
        usual = "" if default is None else f"  [default: {default}]"
        table.add_row(name, _with_names(setting.help) + usual)
    Console(markup=False).print(
        Panel(table, title="Settings: --set NAME=VALUE", title_align="left")
    )


def _with_names(text: str) -> str:
    """The text of a help with the names in its tables, which are imported only to be shown."""

    def names(found: re.Match[str]) -> str:
        return ", ".join(getattr(import_module(f"...{found[1]}", __name__), found[2]))

    return re.sub(r"\{([\w.]+):(\w+)\}", names, text)


# Panels of the help, by what people want.
INPUT, MODEL, RESULT, SPEED = "Input", "Model", "Result", "Speed"
BUDGET, DEVICE = "Budget", "Device"

MODEL_HELP = "A name from `scantling list`, or a .cfg, .json, .safetensors, .pt or .pth file."
RUNNABLE_HELP = f"{MODEL_HELP[:-1]}; or an exported file."
DATA_HELP = (
    "A COCO folder or JSON, a YOLO data.yaml, a darknet .data, or a Pascal VOC folder; which of"
    " them is found out."
)
SIZE = "N|HxW"

ModelOption = Annotated[str, option(MODEL, RUNNABLE_HELP)]
WeightsOption = Annotated[
    Path | None, option(MODEL, "Weights of a .cfg, or in place of a named model's own.")
]
ImageSizeOption = Annotated[
    str | None,
    option(MODEL, "Size of the network's input; the model's own by default.", metavar=SIZE),
]
NAMES_HELP = "File of class names, one a line; by default the .names beside a .cfg."
NamesOption = Annotated[Path | None, option(MODEL, NAMES_HELP, rare=True)]

DataArgument = Annotated[str, typer.Argument(help=DATA_HELP)]
FormatSetting = Annotated[
    str | None, Setting("Format of the data: {datasets.readers:READERS}; found out by default.")
]
MaxDataErrorsOption = Annotated[
    int, option(INPUT, "Errors in the data that are accepted.", rare=True, min=0)
]
LimitOption = Annotated[
    int | None, option(INPUT, "Only the first N images; all by default.", metavar="N", min=1)
]
ApLimitOption = Annotated[
    int | None,
    option(INPUT, "AP of the first N images of --data alone; all by default.", metavar="N", min=1),
]

DeviceOption = Annotated[str, option(SPEED, "auto, cpu, cuda or cuda:N.")]
ENGINE_NAMES = ", ".join(ENGINES)
EngineOption = Annotated[
    str,
    option(
        SPEED,
        f"What runs the network: {ENGINE_NAMES}, or auto for the fastest that is installed.",
        rare=True,
        metavar="NAME",
        envvar="SCANTLING_ENGINE",
        callback=check_engine,
    ),
]
PRECISION_HELP = (
    "Number format: fp32 is exact, auto the fastest of the device; by default fp32, or an exported"
    " file's own."
)
BatchSizeOption = Annotated[
    int, option(SPEED, "Images that the network sees at once.", rare=True, min=1)
]

DeviceProfileOption = Annotated[
    Path | None, option(DEVICE, "A file from `scantling device measure`.", metavar="FILE")
]
LikeOption = Annotated[
    Literal["yolov4", "efficientdet", "both"], option(MODEL, "Family whose models are searched.")
]
NumClassesOption = Annotated[
    int | None, option(MODEL, "Classes of the model; those of --data, or 80, by default.", min=1)
]
CameraSizeSetting = Annotated[
    str | None, Setting("Size of the camera's images, HxW; 480x640 by default, as COCO's.")
]

JsonOption = Annotated[bool, option(RESULT, "Print JSON and nothing else.", "--json")]
OverwriteOption = Annotated[
    bool, option(RESULT, "Replace files that exist.", "--overwrite", rare=True)
]
CACHE_HELP = "folder for downloads and what else can be made again."
CacheFolder = Annotated[Path | None, FromEnvironment("SCANTLING_CACHE", CACHE_HELP)]

# How a model is run: settings that `predict` and `evaluate` share.
ResizeModeSetting = Annotated[
    Literal["letterbox", "corner", "stretch"] | None,
    Setting(
        "How an image is fitted to the input: letterbox, corner or stretch; by default the"
        " model's own."
    ),
]
NmsSetting = Annotated[str, Setting("Kind of NMS: {postprocess.selection:NMS}.")]
MergeSetting = Annotated[
    Literal["nms", "wbf"],
    Setting("Of boxes that show one object keep the best (nms), or fuse them (wbf)."),
]
ClassAwareSetting = Annotated[bool, Setting("NMS within each class; false: across classes.")]
MultiLabelSetting = Annotated[
    bool, Setting("Every class of a box that scores enough; false: the best one alone.")
]
MaxCandidatesSetting = Annotated[int, Setting("Boxes of an image that NMS looks at, best first.")]
SigmaSetting = Annotated[float, Setting("Width of the Gaussian of soft-gaussian.")]
BetaSetting = Annotated[float, Setting("Exponent of the distance in diou; darknet has 0.6.")]
ClipSetting = Annotated[bool, Setting("Cut boxes off at the edge of the image.")]
OverlapSetting = Annotated[float, Setting("Share of a tile that its neighbour shows too.")]
WholeImageSetting = Annotated[bool, Setting("Beside the tiles, show the network the whole image.")]
ThreadsSetting = Annotated[int | None, Setting("Processor threads; one a core by default.", min=1)]
StreamsSetting = Annotated[
    str,
    Setting("Batches at once: 1 for the shortest wait, more for many images; a number or auto."),
]


def parse_image_size(text: str | None, *, option: str = "--image-size") -> tuple[int, int] | None:
    """`416` → (416, 416); `384x640` → (384, 640), height first; None stays None."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if not found:
        raise InvalidValue(option, text, "a side such as 416, or a HEIGHTxWIDTH as 384x640")
    height, width = found.groups()
    return int(height), int(width or height)


def check_out(out: Path | None, *, overwrite: bool, suffix: str = ".safetensors") -> Path:
    """Where to write, known to be possible before anything is loaded.

    Raises:
        InvalidValue: none was given, it has another suffix, or it exists.
    """
    if out is None or out.suffix != suffix:
        raise InvalidValue("--out", out and str(out), f"a {suffix} file to write")
    if out.exists() and not overwrite:
        raise InvalidValue("--out", str(out), "a file that does not exist, or --overwrite")
    return out

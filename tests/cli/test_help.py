"""`--help` and `--help-all`: few options, plainly told; what rarer ones are called, and renamed."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer.main
from typer.models import OptionInfo

from scantling.augment import AUGMENTATIONS
from scantling.cli import COMMANDS, GROUPS, build_app, main
from scantling.cli.command import FromEnvironment, Setting, find_marks
from scantling.cli.renamed import COMMANDS_ELSEWHERE, IN_THE_RECIPE, RENAMED
from scantling.datasets.readers import READERS
from scantling.datasets.writers import WRITERS as FORMAT_WRITERS
from scantling.engines import ENGINES
from scantling.evaluation import PROTOCOLS
from scantling.inference.outputs import WRITERS
from scantling.postprocess.selection import NMS
from scantling.training.recipe import Recipe

MOST_OPTIONS = 200  # of all commands, `--help` counted
MOST_SHOWN = 12  # by one `--help`, itself counted
ENTRIES = {(name,): entry[0] for name, entry in COMMANDS.items()} | {
    (group, name): entry[0] for group, (_, table) in GROUPS.items() for name, entry in table.items()
}
BENCHMARK_LISTS = {"batch_size", "threads", "streams"}  # there 1,2,4; elsewhere a number
# One thing, one word: what stands on the left is not used for an option or a setting.
ONE_WORD = {
    "batch": "batch_size", "conf": "min_score", "fit": "resize_mode",
    "imgsz": "image_size", "iou": "iou_threshold", "map": "rename_classes", "rect": "rectangular",
    "size": "image_size", "slice": "tile", "val_split": "validation_split",
}  # fmt: skip


PAGE = Path(__file__).parents[2] / "docs" / "options.md"
OTHER_TOOLS = [
    line.split("|")
    for line in PAGE.read_text("utf-8").split("| elsewhere |")[1].split("\n\n")[0].splitlines()[2:]
]


def options_of(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], list[Any]]:
    """The options of a command and of all commands below it, by the words that call it."""
    found = {path: [one for one in command.params if one.param_type_name == "option"]}
    for name, inner in getattr(command, "commands", {}).items():
        found |= options_of(inner, (*path, name))
    return found


OPTIONS = options_of(typer.main.get_command(build_app()))


def shown(words: tuple[str, ...], form: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, form]) == 0
    return capsys.readouterr().out


def test_there_are_few_options():
    assert sum(map(len, OPTIONS.values())) <= MOST_OPTIONS
    for words, options in OPTIONS.items():
        assert sum(not one.hidden for one in options) <= MOST_SHOWN, words


@pytest.mark.parametrize("words", ENTRIES, ids=" ".join)
def test_help_shows_what_most_people_use_and_help_all_everything(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "120")
    short, whole = (shown(words, form, capsys) for form in ("--help", "--help-all"))
    for one in OPTIONS[words]:
        assert f"{one.opts[0]} " in whole
        in_short = re.search(rf"^│ [* ]*{one.opts[0]} ", short, re.MULTILINE)
        assert one.hidden != bool(in_short)
    for name in find_marks(ENTRIES[words], Setting):
        assert re.search(rf"^│ {name} ", whole, re.MULTILINE)
        assert not re.search(rf"^│ {name} ", short, re.MULTILINE)
    for place in find_marks(ENTRIES[words], FromEnvironment).values():
        assert f"${place.variable}: " in whole
        assert f"${place.variable}: " not in short


@pytest.mark.parametrize(
    ("words", "table"),
    [
        ("predict", WRITERS),
        ("predict", ENGINES),
        ("predict", NMS),
        ("evaluate", PROTOCOLS),
        ("evaluate", READERS),
        ("data convert", FORMAT_WRITERS),
        ("data show", AUGMENTATIONS),
        ("benchmark", ENGINES),
        ("verify", ENGINES),
        ("device measure", ENGINES),
    ],
)
def test_help_lists_the_names_of_a_table(
    words: str,
    table: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("COLUMNS", "250")
    assert main([*words.split(), "--help-all"]) == 0
    assert ", ".join(table) in capsys.readouterr().out


@pytest.mark.parametrize("words", ENTRIES, ids=" ".join)
def test_every_option_and_setting_is_explained_and_has_one_name(words: tuple[str, ...]):
    settings = find_marks(ENTRIES[words], Setting)
    for one in OPTIONS[words]:
        assert one.help, one.opts
        assert one.rich_help_panel, one.opts
        assert one.name not in ONE_WORD
        assert one.name not in settings
        if one.name != "help":
            assert one.opts == [f"--{one.name.replace('_', '-')}"]
    for name, setting in settings.items():
        assert setting.help.endswith((".", "such as 10G."))
        assert name not in ONE_WORD


def test_one_word_means_one_thing_in_all_commands():
    """An option or setting of several commands is a number, a switch or a text in all."""
    kinds: dict[str, set[object]] = {}
    for options in ENTRIES.values():
        marked = find_marks(options, Setting) | find_marks(options, OptionInfo)
        for name in marked.keys() - BENCHMARK_LISTS:
            kinds.setdefault(name, set()).add(kind_of(get_type_hints(options)[name]))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


def kind_of(hint: Any) -> object:
    """int, float or bool; of all else str. Of a list, that of one value."""
    if hint in (int, float, bool):
        return hint
    inner = [kind_of(one) for one in get_args(hint) if one is not type(None)]
    return inner[0] if inner and get_origin(hint) is not Literal else str


def test_the_help_of_the_whole_names_every_command_in_a_group(capsys: pytest.CaptureFixture[str]):
    out = shown((), "--help", capsys)
    for name in (*COMMANDS, *GROUPS):
        assert re.search(rf"^│ {name} ", out, re.MULTILINE)
    assert shown(("data",), "--help", capsys).count("│ stats ") == 1


def test_help_needs_no_torch_and_no_reader_of_images():
    code = "import sys; from scantling.cli import main; main(['--help'])"
    check = f"{code}; assert not {{'torch', 'cv2', 'numpy', 'pydantic'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("predict x --conf 0.2", "Write --min-score."),
        ("predict x -thresh 0.2", "Write --min-score."),
        ("predict --source x", "Write the SOURCE without an option."),
        ("predict x --imgsz 640", "Write --image-size."),
        ("predict x --iou 0.5", "Write --iou-threshold."),
        ("predict x --slice 640", "Write --tile."),
        ("predict x --batch 4", "Write --batch-size."),
        ("predict x --nms diou", "Write --set nms=VALUE."),
        ("predict x --no-clip", "Write --set clip=false."),
        ("predict x --cache there", "Write SCANTLING_CACHE=FOLDER before the command."),
        ("evaluate m --iou 0.5", "Write --set iou_threshold=VALUE."),
        ("evaluate m --map sofa=couch", "Write --rename-classes."),
        ("evaluate m --rect", "Write --set rectangular=true."),
        ("train m --val-split test", "Write --validation-split."),
        ("train m --workers 2", "Write --set loader.workers=VALUE."),
        ("scale --device box.json", "Write --device-profile."),
        ("data convert a b --images copy", "image_files"),
        ("data check a --format coco", "Write --set format=VALUE."),
        ("info x --names y", "Write scantling convert"),
        ("list --conf 0.2", "No such option: --conf"),
        ("predict x -d cpu", "No such option: -d\n"),
        ("predict x --min-scor 1", "Did you mean '--min-score'?"),
        ("predict x --resizemode 1", "Did you mean '--set resize_mode'?"),
        ("predict x -letter_box", "-letter_box. Write --set resize_mode=letterbox."),
        ("train m -map", "-map. `scantling darknet detector …` says what darknet's -map is here."),
        ("predict x --save-txt", "Write --save txt."),
        ("train m --lr0 0.1", "Write --set optimizer.learning_rate=VALUE."),
        ("predict x conf=0.5", "conf=0.5 is no argument. Write --min-score 0.5."),
        ("predict x iou=0.5", "Write --iou-threshold 0.5."),
        ("predict x nms=diou", "Write --set nms=diou."),
        ("predict x half=True", "Write --precision fp16."),
        ("predict x augment=True", "Write --tta."),
        ("predict x device=0", "Write --device cuda:0."),
        ("predict source=x model=y.pt", "Write the SOURCE without an option."),
        ("predict x model=y.pt", "Write --model y.pt."),
        ("evaluate model=y.pt data=d", "Write y.pt alone."),
        ("evaluate m iou=0.5", "Write --set iou_threshold=0.5."),
        ("train m epochs=3 imgsz=640", "Write --epochs 3."),
        ("train m --epochs 3 imgsz=640", "Write --image-size 640."),
        ("train m lr0=0.1", "Write --set optimizer.learning_rate=0.1."),
        ("data check d split=val", "Write --split val."),
        ("val m", "No such command 'val'. Write scantling evaluate."),
        ("track x", "No such command 'track'. Write scantling predict"),
        ("detect train", "Write scantling predict, scantling train or scantling evaluate."),
        ("yolo predict", "Write scantling predict,"),
        ("detector test a b c", "Write scantling darknet detector …"),
    ],
)
def test_an_option_that_does_not_exist_says_what_to_write(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("row", OTHER_TOOLS, ids=lambda row: row[1].strip())
def test_what_other_tools_call_an_option_says_what_to_write(
    row: list[str], capsys: pytest.CaptureFixture[str]
):
    given, advised = (re.findall("`(.+?)`", cell) for cell in row[1:3])
    for word in given:
        name = word if word.startswith("-") else f"--{word.replace('_', '-')}"
        said = ""
        for command in ("predict", "evaluate"):
            assert main([command, "x", name, "1"]) == 2
            said += capsys.readouterr().err
        assert "Write" in said
        told = [re.match(r"(--set )?[\w-]+", one) for one in advised if one.startswith("--")]
        assert not told or any(found[0] in said for found in told if found)


def test_what_renamed_options_became_exists():
    """Each is an option or a setting of some command, and none of them is old and new at once."""
    spellings = {
        spelling for options in OPTIONS.values() for one in options for spelling in one.opts
    }
    settings = {name for entry in ENTRIES.values() for name in find_marks(entry, Setting)}
    for replacements in RENAMED.values():
        for new in replacements:
            first, *rest = new.split()
            name = rest[0].partition("=")[0] if first == "--set" else None
            assert name in settings if name else first in spellings or not new.startswith("-")
    fields = inspect.signature(ENTRIES[("train",)]).parameters
    assert "set" in fields
    assert {name.split(".")[0] for name in IN_THE_RECIPE.values()} <= Recipe.model_fields.keys()


@pytest.mark.parametrize("name", COMMANDS_ELSEWHERE)
def test_a_command_of_another_tool_is_none_of_ours(name: str):
    assert name not in COMMANDS
    assert name not in GROUPS
    for ours in re.findall(r"scantling (\w+)", COMMANDS_ELSEWHERE[name]):
        assert ours in (*COMMANDS, *GROUPS, "darknet", "COMMAND")

"""`scantling darknet detector …` prints what a command line of darknet is here; nothing is run."""

import shlex

import pytest
import typer.main

from scantling.cli import COMMANDS, GROUPS, build_app, main
from scantling.cli.command import read_settings
from scantling.cli.darknet import COUNTERPARTS, FLAGS, split_flags, translate
from scantling.training.resolve import parse_settings, resolve_recipe

PLACES = "cfg/coco.data cfg/yolov4.cfg yolov4.weights"
# From darknet's README, its wiki and its scripts.
LINES = {
    f"detector test {PLACES} -thresh 0.25": "predict - --model cfg/yolov4.cfg "
    "--weights yolov4.weights --names cfg/coco.data --min-score 0.25",
    f"./darknet detector test {PLACES} dog.jpg -i 0 -thresh 0.2 -ext_output -dont_show": (
        "predict dog.jpg --model cfg/yolov4.cfg --weights yolov4.weights --names cfg/coco.data"
        " --device cuda:0 --min-score 0.2"
    ),
    f"detector test {PLACES} -thresh .25 -save_labels -out result.json": "predict -"
    " --model cfg/yolov4.cfg --weights yolov4.weights --names cfg/coco.data --min-score .25"
    " --save images,txt,jsonl",
    f"detector demo {PLACES} test.mp4 -out_filename res.avi": "predict test.mp4"
    " --model cfg/yolov4.cfg --weights yolov4.weights --names cfg/coco.data --save video",
    f"detector demo {PLACES} -c 1": "predict 1"
    " --model cfg/yolov4.cfg --weights yolov4.weights --names cfg/coco.data",
    f"detector demo {PLACES}": "predict 0"
    " --model cfg/yolov4.cfg --weights yolov4.weights --names cfg/coco.data",
    f"detector demo {PLACES} 'http://cam/video?a=1&b=2' -json_port 8070 -letter_box": (
        "predict 'http://cam/video?a=1&b=2' --model cfg/yolov4.cfg --weights yolov4.weights"
        " --names cfg/coco.data --set resize_mode=letterbox"
    ),
    "detector train data/obj.data yolo-obj.cfg yolov4.conv.137 -dont_show -mjpeg_port 8090 -map": (
        "train yolo-obj.cfg --data data/obj.data --weights yolov4.conv.137"
    ),
    "darknet.exe detector train data/obj.data yolo-obj.cfg -mAP_epochs 2 -clear": (
        "train yolo-obj.cfg --data data/obj.data --set evaluate_every=2"
    ),
    f"detector map {PLACES} -points 101": "evaluate cfg/yolov4.cfg --data cfg/coco.data"
    " --weights yolov4.weights --protocol darknet --set points=101",
    f"detector valid {PLACES} -out results": "evaluate cfg/yolov4.cfg --data cfg/coco.data"
    " --weights yolov4.weights",
    f"detector recall {PLACES} -nogpu": "evaluate cfg/yolov4.cfg --data cfg/coco.data"
    " --weights yolov4.weights --device cpu",
    "detector calc_anchors data/obj.data -num_of_clusters 9 -width 416 -height 320": (
        "data anchors data/obj.data --set fitness=iou --count 9 --image-size 320x416"
    ),
    "detect cfg/yolov3.cfg yolov3.weights 'my dog.jpg'": "predict 'my dog.jpg'"
    " --model cfg/yolov3.cfg --weights yolov3.weights --names cfg/coco.data",
}
# Every option that run_detector and main of darknet look for, and `-nogpu` of older versions.
DARKNETS = """
-dont_show -benchmark -benchmark_layers -show -letter_box -map -points -show_imgs -mjpeg_port
-avgframes -dontdraw_bbox -json_port -http_post_host -time_limit_sec -out_filename
-json_file_output -out -prefix -thresh -iou_thresh -hier -c -s -num_of_clusters -width -height
-ext_output -save_labels -chart -mAP_epochs -gpus -clear -i -cuda_debug_sync -nogpu
"""


def check_parses(command: str) -> None:
    """Our own parser takes it, its settings too."""
    words = shlex.split(command)
    assert words.pop(0) == "scantling"
    app = typer.main.get_command(build_app())
    context = app.make_context("scantling", list(words), resilient_parsing=False)
    table, inner = COMMANDS, app
    if words[0] in GROUPS:
        inner = app.get_command(context, words[0])
        table = GROUPS[words.pop(0)][1]
    name, *rest = words
    parsed = inner.get_command(context, name).make_context(name, rest, parent=context)
    settings = parsed.params.get("set") or []
    if name == "train":
        resolve_recipe([("--set", parse_settings(settings))])
    elif settings:
        read_settings(table[name][0], settings)


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_of_darknet_is_printed_as_ours(
    line: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["darknet", *shlex.split(line)]) == 0
    out, err = capsys.readouterr()
    assert out == f"scantling {LINES[line]}\n"
    check_parses(out)
    # each option is in what is printed, or said
    *_, ours = COUNTERPARTS.keys() & set(line.split()) or {"test"}
    for flag in split_flags(shlex.split(line))[1] if "detector" in line else []:
        known = COUNTERPARTS[ours]
        silent = {"-c", "-width", "-height"} | known.options.keys() | known.saves.keys()
        assert flag in silent or flag in err


def test_every_option_of_darknet_is_known():
    assert set(FLAGS) == set(DARKNETS.split())


@pytest.mark.parametrize("command", COUNTERPARTS)
@pytest.mark.parametrize("flag", FLAGS)
def test_every_option_is_translated_or_told(command: str, flag: str):
    size = ["-width", "416", "-height", "416"] if command == "calc_anchors" else []
    value = ["3"] if FLAGS[flag] else []
    places = ["a.data"] if command == "calc_anchors" else ["a.data", "a.cfg", "a.weights", "x.jpg"]
    plain, said = translate(["detector", command, *places, *size])
    ours, told = translate(["detector", command, *places, *size, flag, *value])
    check_parses(ours)
    quiet = {"test": {"-c"}, "demo": {"-c"}}.get(command, set())
    assert ours != plain or len(told) > len(said) or flag in quiet


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("detector tset a b c", "Did you mean 'test'"),
        ("detector test a.data", "CFG"),
        ("detector test a.data a.cfg -thrsh 0.2", "Did you mean '-thresh'"),
        ("detector test a.data a.cfg -thresh", "-thresh is ''; expected its value"),
        ("detector calc_anchors a.data", "-width W and -height H"),
        ("detector draw a b c", "nothing of the kind"),
        ("classifier predict a b c", "expected detector test|demo|train"),
    ],
)
def test_what_is_no_command_line_of_darknet_is_refused(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["darknet", *line.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["--help-all"]])
def test_its_help_shows_the_form(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["darknet", *words]) == 0
    assert "detector test|demo|train|map" in capsys.readouterr().out

"""`scantling predict` on real files: what it prints, what it writes, what it returns."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from scantling.cli import main


@pytest.fixture
def desk(tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small real model and photos, one of them broken."""
    weights = assets / "weights" / "yolo-fastest-1.1-coco"
    for suffix in ("cfg", "weights"):
        shutil.copy(weights / f"yolo-fastest-1.1.{suffix}", tmp_path / f"model.{suffix}")
    shutil.copy(weights / "coco.names", tmp_path / "model.names")
    (tmp_path / "photos").mkdir()
    for name in ("dog.jpg", "eagle.jpg"):
        shutil.copy(assets / "images" / "darknet" / name, tmp_path / "photos")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    monkeypatch.chdir(tmp_path)
    return tmp_path


MODEL = ["--model", "model.cfg", "--device", "cpu"]


def test_an_image_is_described_and_drawn(desk: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", "photos/eagle.jpg", *MODEL]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("photos/eagle.jpg: 1 bird ")
    assert "1 image, 1 object in " in out
    assert "network" in out
    assert "Saved in runs/predict" in out
    drawn = cv2.imread("runs/predict/images/eagle.jpg")
    assert drawn.shape == cv2.imread("photos/eagle.jpg").shape


def test_a_bad_image_is_named_at_the_end_and_the_rest_is_done(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["predict", "photos", *MODEL, "--save", "txt,jsonl", "--out", "there"]) == 2
    out, err = capsys.readouterr()
    assert "1 of 3 could not be read" in err
    assert "photos/broken.jpg" in err.splitlines()[-1]
    assert "2 images" in out
    assert sorted(path.name for path in Path("there/labels").iterdir()) == ["dog.txt", "eagle.txt"]
    assert len(Path("there/detections.jsonl").read_text().splitlines()) == 3


def test_only_some_classes_are_kept_each_with_its_own_threshold(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    def found(*words: str) -> list[tuple[str, float]]:
        assert main(["predict", "photos/dog.jpg", *MODEL, "--json", *words]) == 0
        record = json.loads(capsys.readouterr().out)
        return [(one["name"], one["score"]) for one in record["detections"]]

    every = found("--min-score", "0.05")
    assert found("--min-score", "0.05", "--classes", "dog,2") == [
        one for one in every if one[0] in ("dog", "car")
    ]
    assert found("--min-score", "0.05", "--set", "class_scores=dog=0.9999,car=0.1") == [
        one for one in every if one[1] > {"dog": 0.9999, "car": 0.1}.get(one[0], 0.05)
    ]
    assert main(["predict", "photos/dog.jpg", *MODEL, "--classes", "dgo"]) == 2
    assert "Did you mean 'dog'" in capsys.readouterr().err


def test_json_is_all_there_is_on_standard_output(desk: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", "photos", *MODEL, "--json"]) == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(row["source"]).name for row in rows] == ["broken.jpg", "dog.jpg", "eagle.jpg"]
    assert rows[0]["problem"]
    assert rows[2]["detections"][0]["name"] == "bird"
    assert not Path("runs").exists()


def test_options_reach_the_selection(desk: Path, capsys: pytest.CaptureFixture[str]):
    def found(*options: str) -> list[dict]:
        assert main(["predict", "photos/dog.jpg", *MODEL, "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)["detections"]

    usual = found()
    assert len(found("--min-score", "0.5")) < len(usual) < len(found("--min-score", "0.1"))
    assert len(found("--set", "max_detections=1")) == 1
    assert len(found("--set", "nms=none")) > len(usual)
    assert found("--set", "class_aware=false", "--iou-threshold", "0.1") != usual
    assert found("--image-size", "256x384") != usual
    assert found("--set", "resize_mode=letterbox") != found("--set", "resize_mode=stretch")
    assert found("--batch-size", "4") == usual


def test_a_single_label_gives_a_box_once(desk: Path, capsys: pytest.CaptureFixture[str]):
    unclipped = ["--set", "nms=none", "--set", "clip=false"]
    options = [*MODEL, "--json", "--min-score", "0.05", *unclipped]
    main(["predict", "photos/dog.jpg", *options])
    several = json.loads(capsys.readouterr().out)["detections"]
    main(["predict", "photos/dog.jpg", *options, "--set", "multi_label=false"])
    single = json.loads(capsys.readouterr().out)["detections"]
    boxes = {tuple(one["box"]) for one in several}
    assert len(several) > len(boxes)
    assert len(single) == len(boxes)


def test_paths_may_come_on_standard_input(desk: Path):
    done = subprocess.run(
        [sys.executable, "-m", "scantling", "predict", "-", *MODEL, "--json"],
        input="photos/eagle.jpg\nphotos/nothing.jpg\n",
        capture_output=True,
        text=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["source"] for row in rows] == ["photos/eagle.jpg", "photos/nothing.jpg"]
    assert done.returncode == 2
    assert "photos/nothing.jpg" in done.stderr


def test_a_video_becomes_a_video(desk: Path, assets: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", str(assets / "video" / "road.mp4"), *MODEL, "--batch-size", "4"]) == 0
    assert "[37]: " in capsys.readouterr().out
    written = cv2.VideoCapture("runs/predict/video/road.mp4")
    original = cv2.VideoCapture(str(assets / "video" / "road.mp4"))
    for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_WIDTH):
        assert written.get(what) == original.get(what)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminate"]
)
def test_a_stop_from_outside_leaves_what_was_written(
    desk: Path, assets: Path, number: signal.Signals, code: int
):
    """A list that never ends, and a video whose file must be finished to be readable."""
    video = assets / "video" / "road.mp4"
    run = subprocess.Popen(
        [sys.executable, "-m", "scantling", "predict", "-", *MODEL, "--save", "video,jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # a shell's background job ignores Ctrl-C, and its children would too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.write(run.stdin.fileno(), f"{video}\n".encode())
    lines = Path("runs/predict/detections.jsonl")
    deadline = time.monotonic() + 300
    while run.poll() is None and time.monotonic() < deadline:
        if lines.exists() and lines.stat().st_size > 1000:
            break
        time.sleep(0.05)
    run.send_signal(number)
    _, err = run.communicate(timeout=300)
    assert run.returncode == code, err
    assert b"Traceback" not in err
    assert all(json.loads(line) for line in lines.read_text().splitlines())
    assert cv2.VideoCapture("runs/predict/video/road.mp4").read()[0]


def test_names_cannot_steer_the_terminal(desk: Path, capsys: pytest.CaptureFixture[str]):
    names = ["\x1b[31mred\x07"] * 80
    Path("evil.names").write_text("\n".join(names))
    shutil.copy("photos/eagle.jpg", "a\x1b[2Jb.jpg")
    main(["predict", "a\x1b[2Jb.jpg", *MODEL, "--names", "evil.names", "--save", "crops"])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


@pytest.mark.parametrize(
    "options",
    [["--tta"], ["--tta", "--set", "merge=wbf"], ["--tile", "300x400", "--set", "overlap=0.3"]],
)
def test_several_views_find_what_one_does(
    desk: Path, capsys: pytest.CaptureFixture[str], options: list[str]
):
    assert main(["predict", "photos/eagle.jpg", *MODEL, *options, "--json"]) == 0
    record = json.loads(capsys.readouterr()[0])
    best = max(record["detections"], key=lambda one: one["score"])
    assert best["name"] == "bird"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tile", "big"], "--tile is 'big'; expected a side such as"),
        (["--tile", "4"], "--tile is"),
        (["--tile", "300", "--set", "overlap=1"], "--set overlap is 1"),
        (["--set", "whole_image=false"], "--set whole_image is False; expected --tile beside it"),
    ],
)
def test_views_that_make_no_sense_are_refused(
    desk: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    assert main(["predict", "photos/eagle.jpg", *MODEL, *options]) == 2
    assert message in " ".join(capsys.readouterr()[1].split())

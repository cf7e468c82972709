"""`scantling evaluate` on real files: what it prints, what it writes, what it refuses."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest
import yaml

from scantling.cli import main

NAMES = ["person", "bicycle", "motorcycle", "bus", "couch", "truck"]
COCO_LABELS = {0: 0, 1: 1, 3: 2, 5: 3, 57: 4, 7: 5}  # COCO's label → place in NAMES


@pytest.fixture
def desk(tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small real model and the first images of COCO, in classes of ours."""
    weights = assets / "weights" / "yolo-fastest-1.1-coco"
    for suffix in ("cfg", "weights"):
        shutil.copy(weights / f"yolo-fastest-1.1.{suffix}", tmp_path / f"model.{suffix}")
    shutil.copy(weights / "coco.names", tmp_path / "model.names")
    source = assets / "datasets" / "coco-val2017-first128"
    for part in ("images", "labels"):
        (tmp_path / "street" / part).mkdir(parents=True)
    for image in sorted((source / "images").glob("*.jpg"))[:12]:
        shutil.copy(image, tmp_path / "street" / "images")
        labels = source / "labels" / f"{image.stem}.txt"
        rows = labels.read_text().splitlines() if labels.exists() else []
        kept = [row.split() for row in rows if int(row.split()[0]) in COCO_LABELS]
        text = "".join(f"{COCO_LABELS[int(row[0])]} {' '.join(row[1:])}\n" for row in kept)
        (tmp_path / "street" / "labels" / labels.name).write_text(text)
    write_yaml(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_yaml(folder: Path, names: list[str]) -> None:
    data = {"path": str(folder / "street"), "val": "images", "names": names}
    (folder / "street.yaml").write_text(yaml.safe_dump(data))


RUN = ["evaluate", "model.cfg", "--data", "street.yaml", "--device", "cpu"]


def test_everything_is_printed_and_saved(desk: Path, capsys: pytest.CaptureFixture[str]):
    assert main(RUN) == 0
    out, _ = capsys.readouterr()
    assert "12 images" in out
    assert "motorcycle = motorbike, couch = sofa" in out
    assert "74 classes of the model are not in the data" in out
    assert len(re.findall(r"^ Average (Precision|Recall) ", out, re.MULTILINE)) == 12
    assert re.search(r"^person +\d+ +0\.\d{3} ", out, re.MULTILINE)
    assert "Which AP is this? COCO AP: IoU 0.5:0.95" in out
    assert "NMS greedy 0.6" in out
    assert re.search(r"network \d", out)
    assert "Saved in runs/evaluate; " in out
    folder = Path("runs/evaluate")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    figures = {f"{name}.png" for name in ("f1", "confusion", "precision-recall", "ap-by-size")}
    assert names == figures | {"report.html", "results.json", "summary.json"}
    assert all(cv2.imread(str(folder / name)) is not None for name in figures)
    summary = json.loads((folder / "summary.json").read_text())
    line = next(line for line in out.splitlines() if "Average Precision" in line)
    assert line.endswith(f"{summary['stats']['AP']:.3f}")
    assert summary["data"]["images"] == 12
    assert summary["class_names"]["pairs"]["couch"] == "sofa"
    ids = {one["category_id"] for one in json.loads((folder / "results.json").read_text())}
    assert ids <= set(range(len(NAMES)))


class Page(HTMLParser):
    """The images and everything that would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_holds_everything_and_escapes_names(desk: Path):
    odd = [*NAMES[:-1], "<script>alert(1)</script>"]
    write_yaml(desk, odd)
    assert (
        main([*RUN, "--rename-classes", f"{odd[-1]}=truck", "--limit", "4", "--out", "there"]) == 0
    )
    text = Path("there/report.html").read_text()
    page = Page()
    page.feed(text)
    assert "script" not in page.tags
    assert len(page.sources) >= 4 + 2  # four figures, and images
    assert all(source.startswith("data:image/") for source in page.sources)
    assert "Average Precision" in text
    assert "Which" in text or "COCO AP: IoU" in text


def test_files_that_are_there_are_never_overwritten(desk: Path, capsys: pytest.CaptureFixture[str]):
    Path("there").mkdir()
    Path("there/results.json").write_text("mine")
    assert main([*RUN, "--limit", "2", "--out", "there"]) == 0
    assert Path("there/results.json").read_text() == "mine"
    assert isinstance(json.loads(Path("there/results-2.json").read_text()), list)
    assert main([*RUN, "--limit", "2", "--out", "there", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["report"] == "there/report-2.html"


def test_detections_that_were_saved_give_the_same_figures_again(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*RUN, "--json", "--out", "first"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert not Path("runs").exists()
    found = ["--detections", "first/results.json"]
    assert main(["evaluate", *found, "--data", "street.yaml", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert first["stats"] == second["stats"]
    assert "NMS as given" in second["protocol"]["line"]


def test_the_settings_reach_the_protocol_line(desk: Path, capsys: pytest.CaptureFixture[str]):
    settings = (
        *("min_score=0.1", "iou_threshold=0.4", "nms=diou", "clip=false", "resize_mode=letterbox"),
        *("max_detections=50", "rectangular=true", "workers=1"),
    )
    words = [word for setting in settings for word in ("--set", setting)]
    assert main([*RUN, *words, "--set", "batch_size=4", "--limit", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for words in (
        "scores from 0.1",
        "NMS diou (beta 0.6) 0.4",
        "not clipped",
        "best 50 of an image",
    ):
        assert words in report["protocol"]["line"]
    assert report["model"]["input"] == "320×320, letterbox"
    assert report["model"]["batch"] == "4, rectangular"


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (["--protocol", "voc07"], "VOC2007 AP: IoU 0.5, 11 recall points"),
        (["--protocol", "voc12"], "VOC2012 AP: IoU 0.5, area under the curve"),
        (
            ["--protocol", "darknet", "--set", "points=101"],
            "darknet mAP: IoU 0.5, 101 recall points",
        ),
    ],
)
def test_every_protocol_says_which_it_is(
    protocol: list[str], words: str, desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*RUN, "--limit", "4", *protocol, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert 0 < report["stats"]["mAP"] <= 1
    assert words in report["protocol"]["line"]


def test_a_protocol_without_a_block_of_its_own_prints_one_line(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*RUN, "--limit", "4", "--protocol", "voc12"]) == 0
    out, _ = capsys.readouterr()
    assert "only the first 4 of 12 images" in out
    assert re.search(r"^ mAP@0\.50 = 0\.\d{4}, ", out, re.MULTILINE)


@pytest.mark.parametrize(
    "views", [["--set", "tta=true"], ["--set", "tile=320", "--set", "merge=wbf"]]
)
def test_several_views_of_an_image_are_merged(
    views: list[str], desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*RUN, "--limit", "2", "--json", *views]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["views of an image"] != "one"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "model.cfg"], "--data"),
        (["evaluate", "--data", "street.yaml"], "--detections FILE"),
        ([*RUN, "--detections", "x.json"], "nothing beside --detections"),
        (["evaluate", "--detections", "x", "--data", "street.yaml", "--set", "tta=1"], "--set tta"),
        (
            ["evaluate", "--detections", "x", "--data", "street.yaml", "--rename-classes", "a=b"],
            "--rename-classes",
        ),
        ([*RUN, "--set", "points=11"], "points"),
        ([*RUN, "--rename-classes", "couch"], "DATA=MODEL"),
        ([*RUN, "--rename-classes", "coach=sofa"], "Did you mean 'couch'"),
        ([*RUN, "--protocol", "voc"], "voc07"),
        (["evaluate", "model.cfg", "--data", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    words: list[str], message: str, desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_image_is_refused_or_listed(desk: Path, capsys: pytest.CaptureFixture[str]):
    first = sorted(Path("street/images").iterdir())[0]
    data = first.read_bytes()
    first.write_bytes(data[: len(data) // 3])
    assert main([*RUN, "--limit", "3"]) == 2
    assert first.name in capsys.readouterr().err
    assert main([*RUN, "--limit", "3", "--max-data-errors", "1"]) == 0
    _, err = capsys.readouterr()
    assert "Of 3 images 1 could not be read" in err
    assert first.name in err

"""What `predict --save` writes can be read by others, collides with nothing, overwrites nothing."""

import csv
import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st

from scantling.datasets.readers import read_dataset
from scantling.errors import UnknownName
from scantling.images import Frame, VideoInfo, read_sources
from scantling.inference.outputs import WRITERS, Outputs, UniqueNames, safe_name
from scantling.structures import Detections

NAMES = ("dog", "cat")
SIZE = (60, 80)  # (height, width)
VIDEO = VideoInfo(size=SIZE, fps=12.5, frame_count=None)


def image(value: int = 90) -> np.ndarray:
    return np.full((*SIZE, 3), value, np.uint8)


def detections(
    *, names: tuple[str, ...] = NAMES, labels: tuple[int, ...] = (0, 1), size: tuple = SIZE
) -> Detections:
    boxes = np.array([[10, 20, 30, 50], [-5, 0, 40, 30]], np.float32)[: len(labels)]
    scores = np.array([0.9, 0.5], np.float32)[: len(labels)]
    return Detections(boxes, scores, np.array(labels, np.int64), names, size)


def write(folder: Path, kinds: list[str], frames: list[tuple[Frame, Detections | None]]) -> Path:
    with Outputs(kinds, folder) as outputs:
        for frame, found in frames:
            outputs.write(frame, found)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


STILL = (Frame(name="a/dog.jpg", image=image()), detections())
BROKEN = (Frame(name="broken.png", problem="not an image"), None)
CLIP = [
    (Frame(name="v/road.mp4", image=image(n), index=n, video=VIDEO), detections()) for n in range(4)
]


def test_every_kind_takes_images_problems_and_video(tmp_path: Path):
    write(tmp_path, list(WRITERS), [STILL, BROKEN, *CLIP])
    written = files(tmp_path)
    assert [name for name in written if ".part" in name or name.endswith("~")] == []
    assert {Path(name).parts[0] for name in written} == {
        "coco.json", "crops", "detections.csv", "detections.jsonl", "images", "labels", "video",
        "voc",
    }  # fmt: skip


def test_annotated_images_show_the_boxes(tmp_path: Path):
    write(tmp_path, ["images"], [STILL])
    drawn = cv2.imread(str(tmp_path / "images" / "dog.jpg"))
    assert drawn.shape == (*SIZE, 3)
    assert np.abs(drawn[49, 12:28].astype(int) - 90).max() > 60  # lower edge of the first box
    assert np.abs(drawn[55:, 60:].astype(int) - 90).max() < 10  # nothing was found here


def test_two_images_of_one_name_both_stay(tmp_path: Path):
    frames = [(Frame(name=f"{part}/dog.jpg", image=image()), detections()) for part in "abc"]
    write(tmp_path, ["images", "txt"], frames)
    assert files(tmp_path) == [
        "images/dog-2.jpg", "images/dog-3.jpg", "images/dog.jpg",
        "labels/dog-2.txt", "labels/dog-3.txt", "labels/dog.txt",
    ]  # fmt: skip


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path):
    for path in ("images/dog.jpg", "detections.jsonl", "video/road.mp4"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("mine")
    write(tmp_path, ["images", "jsonl", "video"], [STILL, *CLIP])
    for path in ("images/dog", "detections", "video/road"):
        (old,) = tmp_path.glob(f"{path}.*")
        (new,) = tmp_path.glob(f"{path}-2.*")
        assert old.read_text() == "mine"
        assert new.stat().st_size > 100


def test_json_lines_hold_every_frame_in_order(tmp_path: Path):
    write(tmp_path, ["jsonl"], [STILL, BROKEN, *CLIP])
    rows = [json.loads(line) for line in (tmp_path / "detections.jsonl").read_text().splitlines()]
    assert [(row["source"], row["frame"], row["problem"]) for row in rows] == [
        ("a/dog.jpg", 0, None),
        ("broken.png", 0, "not an image"),
        *[("v/road.mp4", number, None) for number in range(4)],
    ]
    assert rows[0]["image_size"] == [60, 80]
    assert rows[0]["detections"][0] == {
        "label": 0, "name": "dog", "score": 0.9, "box": [10.0, 20.0, 30.0, 50.0],
    }  # fmt: skip


def test_json_lines_are_on_disk_before_the_run_ends(tmp_path: Path):
    with Outputs(["jsonl", "csv"], tmp_path) as outputs:
        outputs.write(*STILL)
        assert len((tmp_path / "detections.jsonl").read_text().splitlines()) == 1
        assert len((tmp_path / "detections.csv").read_text().splitlines()) == 3


def test_csv_has_a_row_per_detection_whatever_the_names(tmp_path: Path):
    odd = detections(names=('a "b", c\n', "é\udcff"))
    write(tmp_path, ["csv"], [(Frame(name="x,y.jpg", image=image()), odd), BROKEN])
    with (tmp_path / "detections.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == ["x,y.jpg", "x,y.jpg"]
    assert rows[0]["name"] == 'a "b", c\n'
    assert [float(rows[1][key]) for key in ("left", "top", "right", "bottom")] == [-5, 0, 40, 30]


def test_coco_is_one_document_with_consistent_ids(tmp_path: Path):
    write(tmp_path, ["coco"], [STILL, BROKEN, *CLIP])
    data = json.loads((tmp_path / "coco.json").read_text())
    assert [one["id"] for one in data["images"]] == [1, 2, 3, 4, 5]
    assert [one["image_id"] for one in data["annotations"]] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len({one["id"] for one in data["annotations"]}) == 10
    assert data["annotations"][0]["bbox"] == [10, 20, 20, 30]
    assert data["annotations"][0]["area"] == 600
    assert data["categories"] == [{"id": 0, "name": "dog"}, {"id": 1, "name": "cat"}]


def test_coco_without_an_image_is_still_a_document(tmp_path: Path):
    write(tmp_path, ["coco"], [BROKEN])
    data = json.loads((tmp_path / "coco.json").read_text())
    assert data == {"categories": [], "images": [], "annotations": []}


def test_yolo_and_voc_files_are_named_for_the_image(tmp_path: Path):
    write(tmp_path, ["txt", "voc"], [STILL, CLIP[3]])
    assert files(tmp_path) == [
        "labels/dog.txt", "labels/road-000003.txt", "voc/dog.xml", "voc/road-000003.xml",
    ]  # fmt: skip
    first = (tmp_path / "labels" / "dog.txt").read_text().splitlines()[0]
    assert [float(value) for value in first.split()] == pytest.approx(
        [0, 20 / 80, 35 / 60, 20 / 80, 30 / 60], abs=1e-6
    )
    assert ET.parse(tmp_path / "voc" / "dog.xml").findtext("filename") == "dog.jpg"


@pytest.mark.parametrize("with_scores", [False, True])
def test_what_is_saved_as_labels_is_read_as_labels(tmp_path: Path, with_scores: bool):
    frame, found = STILL
    write(tmp_path, ["txt"], [STILL])
    if with_scores:  # as other programs write them
        (tmp_path / "labels" / "dog.txt").write_text(found.to_yolo(with_scores=True))
    (tmp_path / "images").mkdir()
    assert frame.image is not None
    assert cv2.imwrite(str(tmp_path / "images" / "dog.jpg"), frame.image)
    names = ", ".join(found.names)
    (tmp_path / "data.yaml").write_text(f"val: images\nnames: [{names}]\n")
    dataset = read_dataset(tmp_path / "data.yaml")
    np.testing.assert_allclose(dataset.objects.boxes, found.boxes.clip(min=0), atol=1e-3)
    assert dataset.objects.labels.tolist() == found.labels.tolist()
    assert [one.code for one in dataset.findings] == ["W233"] * with_scores


def test_an_image_in_which_nothing_was_found_gets_an_empty_label_file(tmp_path: Path):
    write(tmp_path, ["txt"], [(STILL[0], detections(labels=()))])
    assert (tmp_path / "labels" / "dog.txt").read_text() == ""


def test_crops_lie_in_a_folder_per_class_wherever_its_name_points(tmp_path: Path):
    out = tmp_path / "out"
    evil = detections(names=("../../evil", "/etc/passwd"))
    write(out, ["crops"], [(STILL[0], evil)])
    assert files(tmp_path) == ["out/crops/etc_passwd/dog-2.jpg", "out/crops/evil/dog-1.jpg"]
    assert cv2.imread(str(out / "crops" / "evil" / "dog-1.jpg")).shape == (30, 20, 3)


def test_classes_that_look_alike_keep_apart(tmp_path: Path):
    write(tmp_path, ["crops"], [(STILL[0], detections(names=("a/b", "A b")))])
    assert files(tmp_path) == ["crops/A_b-2/dog-2.jpg", "crops/a_b/dog-1.jpg"]


def test_a_video_keeps_its_speed_size_and_frames(tmp_path: Path):
    write(tmp_path, ["video"], CLIP)
    capture = cv2.VideoCapture(str(tmp_path / "video" / "road.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert [frame.shape for frame in frames] == [(*SIZE, 3)] * 4


def test_each_video_gets_a_file_of_its_own(tmp_path: Path):
    second = [
        (Frame(name="w/road.mp4", image=image(), index=n, video=VIDEO), detections())
        for n in range(2)
    ]
    write(tmp_path, ["video"], [*CLIP, STILL, *second, *second])
    assert files(tmp_path) == ["video/road-2.mp4", "video/road-3.mp4", "video/road.mp4"]


def test_a_stream_that_changes_its_size_goes_on_in_another_file(tmp_path: Path):
    wide = Frame(name="v/road.mp4", image=np.zeros((60, 100, 3), np.uint8), index=4, video=VIDEO)
    write(tmp_path, ["video"], [*CLIP, (wide, detections(size=(60, 100)))])
    assert files(tmp_path) == ["video/road-2.mp4", "video/road.mp4"]


def test_a_run_that_breaks_leaves_finished_files(tmp_path: Path):
    def broken_run() -> None:
        with Outputs(list(WRITERS), tmp_path) as outputs:
            for frame, found in [STILL, *CLIP]:
                outputs.write(frame, found)
            raise RuntimeError("the network broke")

    with pytest.raises(RuntimeError, match="the network broke"):
        broken_run()
    assert cv2.VideoCapture(str(tmp_path / "video" / "road.mp4")).read()[0]
    assert len(json.loads((tmp_path / "coco.json").read_text())["images"]) == 5


def test_runs_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    folders = []
    for _ in range(3):
        with Outputs(["txt"]) as outputs:
            outputs.write(*STILL)
        folders.append(outputs.folder)
    assert folders == [Path("runs/predict"), Path("runs/predict-2"), Path("runs/predict-3")]


def test_a_run_without_results_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for kinds in (["images", "video"], []):
        with Outputs(kinds) as outputs:
            outputs.write(*BROKEN)
        assert outputs.folder is None
        assert files(tmp_path) == []
    assert not list(tmp_path.glob("runs/*"))


def test_results_are_not_taken_for_images_of_the_folder_around_them(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "mine.jpg"), image())
    write(tmp_path / "runs" / "predict", ["images"], [STILL])
    names = [Path(frame.name).name for frame in read_sources(str(tmp_path))]
    assert names == ["mine.jpg"]


def test_results_beside_the_users_own_images_do_not_hide_them(tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "mine.jpg"), image())
    write(photos, ["txt"], [STILL])
    assert [Path(frame.name).name for frame in read_sources(str(tmp_path))] == ["mine.jpg"]


def test_an_unknown_kind_suggests_the_nearest(tmp_path: Path):
    with pytest.raises(UnknownName, match="Did you mean 'images'"):
        Outputs(["image"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@given(st.text(max_size=300))
def test_a_safe_name_is_one_plain_file_name(text: str):
    name = safe_name(text)
    assert name
    assert name == os.path.basename(name)  # noqa: PTH119 - the very question
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert not name.startswith(".")
    assert len(f"{name}-000001.part.jpg".encode()) <= 255


@given(
    st.lists(st.sampled_from(["dog", "Dog", "dog-2", "dog-3", "d/g", "d_g", "con"]), max_size=20)
)
def test_unique_names_never_repeat(texts: list[str]):
    names = UniqueNames()
    given_names = [names.take(text).lower() for text in texts]
    assert len(set(given_names)) == len(given_names)

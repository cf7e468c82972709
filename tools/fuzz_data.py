"""Readers of data sets, images and videos, for fuzz.py; see fuzz_readers.py."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

DATA = """path: .
train: images
val: images/*.jpg
nc: 2
names:
  0: cat
  1: "d: og"
"""
LABELS = "0 0.5 0.5 0.4 0.4\n1 0.1 0.1 0.2 0.2\n0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n"
VOC = """<annotation><filename>a.jpg</filename>
<size><width>24</width><height>16</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult><truncated>1</truncated>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10.5</xmax><ymax>12</ymax></bndbox></object>
</annotation>
"""


def make_coco(folder: Path) -> list[bytes]:
    """Two images, two classes, objects of every kind."""
    _write_images(folder)
    box = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 9.5, 4], "iscrowd": 0}
    outline = [[1, 2, 9, 2, 9, 5.5]]
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 24, "height": 16},
            {"id": "b", "file_name": "b.jpg", "width": 24, "height": 16},
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [box, {**box, "id": 2, "image_id": "b", "segmentation": outline, "area": 9}],
    }
    return [json.dumps(content).encode(), json.dumps(content, indent=1).encode()]


def make_results(folder: Path) -> list[bytes]:
    """Detections as COCO's evaluation takes them."""
    _write_images(folder)
    row = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3.5, 4], "score": 0.5}
    return [json.dumps([row, {**row, "score": 1e-3}] * 20).encode()]


def read_results_file(path: Path) -> object:
    """Detections, for two images of two classes."""
    from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
    from scantling.evaluation import make_ground_truth
    from scantling.evaluation.coco_results import read_results

    images = tuple(LabelledImage(Path(f"{one}.jpg"), one, (16, 24)) for one in (1, 2))
    data = Dataset(Path(), "coco", "val", ("cat", "dog"), (1, 2), images, make_objects([], [], []))
    return read_results(path, make_ground_truth(data))


def make_yolo(folder: Path) -> list[bytes]:
    """A data.yaml; its images and labels go into the folder."""
    _write_images(folder / "images")
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels" / "a.txt").write_text(LABELS)
    return [DATA.encode(), b"path: .\nval: [images, images/a.jpg]\nnames: [cat, dog]\n"]


def read_data(path: Path) -> object:
    """A data set: its first split, and what `data check` finds in it."""
    from scantling.datasets.readers import list_splits, read_dataset

    return [read_dataset(path, split=split) for split in list_splits(path)[:2]]


def make_labels(folder: Path) -> list[bytes]:
    """The labels of one image; the data set goes into the folder."""
    make_yolo(folder)
    (folder / "a.yaml").write_text("path: .\nval: images\nnames: [cat, dog]\n")
    return [LABELS.encode(), b"0 0.5 0.5 0.4 0.4 0.9\r\n\r\n"]


def read_labels(path: Path) -> object:
    """Labels beside their image."""
    from scantling.datasets.readers import read_dataset

    (path.parent / "labels" / "a.txt").write_bytes(path.read_bytes())
    return read_dataset(path.parent / "a.yaml")


def make_voc(folder: Path) -> list[bytes]:
    """The annotation of one image; the data set goes into the folder."""
    _write_images(folder / "voc" / "JPEGImages")
    (folder / "voc" / "Annotations").mkdir(exist_ok=True)
    (folder / "voc" / "Annotations" / "b.xml").write_text(VOC.replace("a.jpg", "b.jpg"))
    return [VOC.encode(), VOC.replace("><", ">\n<").encode()]


def read_voc(path: Path) -> object:
    """An annotation beside its image."""
    from scantling.datasets.readers import read_dataset

    (path.parent / "voc" / "Annotations" / "a.xml").write_bytes(path.read_bytes())
    return read_dataset(path.parent / "voc")


def make_darknet_data(folder: Path) -> list[bytes]:
    """A darknet `.data`; its lists and names go into the folder."""
    _write_images(folder)
    (folder / "a.txt").write_text(LABELS)
    (folder / "train.txt").write_text("a.jpg\nb.jpg\n")
    (folder / "a.names").write_text("cat\ndog\n")
    return [b"classes = 2\ntrain = train.txt\nvalid = train.txt\nnames = a.names\nbackup = .\n"]


def read_list_file(path: Path) -> object:
    """A list of images, and the names of the classes, of a data set."""
    from scantling.datasets.readers import read_dataset

    (path.parent / "b.data").write_text(f"classes=2\nvalid={path.name}\nnames={path.name}\n")
    return read_dataset(path.parent / "b.data")


def make_list(folder: Path) -> list[bytes]:
    """A list of images that is one of names as well."""
    _write_images(folder)
    return [b"a.jpg\nb.jpg\n", b"./a.jpg\r\nimages/../b.jpg\r\n"]


def make_images(_: Path) -> list[bytes]:
    """A small picture in every format that OpenCV writes, and what others write."""
    import cv2
    import numpy as np

    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    suffixes = (".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm", ".pgm", ".gif", ".avif")
    found = []
    for suffix in suffixes:
        given = picture[..., 0] if suffix == ".pgm" else picture
        try:
            found.append(cv2.imencode(suffix, given)[1].tobytes())
        except cv2.error:  # a build without it
            continue
    return found


def read_image_file(path: Path) -> object:
    """An image, whole and as its header describes it."""
    from scantling.datasets.readers.files import read_file_header
    from scantling.errors import InvalidSource
    from scantling.images import read_image

    with suppress(InvalidSource):
        read_file_header(path)
    return read_image(path)


def make_videos(folder: Path) -> list[bytes]:
    """Five frames in two containers."""
    import cv2
    import numpy as np

    found = []
    for suffix, codec in ((".avi", "MJPG"), (".mp4", "mp4v")):
        file = folder / f"made{suffix}"
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*codec), 10.0, (64, 48))
        for frame in range(5):
            writer.write(np.full((48, 64, 3), 40 * frame, np.uint8))
        writer.release()
        found.append(file.read_bytes())
    return found


def read_video_file(path: Path) -> object:
    """The first frames of a video, or the problem with it."""
    from itertools import islice

    from scantling.errors import InvalidSource
    from scantling.images import read_sources

    frames = list(islice(read_sources(str(path)), 20))
    problems = [frame.problem for frame in frames if frame.problem]
    if problems:
        raise InvalidSource(path.name, problems[0])
    return len(frames)


def _write_images(folder: Path) -> None:
    import cv2
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(cv2.imencode(".jpg", np.zeros((16, 24, 3), np.uint8))[1])


Row = tuple[str, Callable[[Path], list[bytes]], Callable[[Path], object]]
DATA_SETS: dict[str, Row] = {
    "coco": (".json", make_coco, read_data),
    "darknet-data": (".data", make_darknet_data, read_data),
    "images": (".bin", make_images, read_image_file),
    "labels": (".txt", make_labels, read_labels),
    "lists": (".txt", make_list, read_list_file),
    "results": (".json", make_results, read_results_file),
    "video": (".mp4", make_videos, read_video_file),
    "voc": (".xml", make_voc, read_voc),
    "yolo": (".yaml", make_yolo, read_data),
}

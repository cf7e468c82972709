"""What stands in for the real weights and photographs where there are none: ours, and small.

`tests/data/stand_in` holds a yolov4-tiny with a quarter of its channels, which learned seven drawn
shapes under names of COCO, and drawings that it has not seen; `tools/make_stand_in.py` makes both.
The folder made of them is laid out as the real one, with the published examples of evaluation in
`tests/data/refs`. The network in the place of the official yolov4-tiny has all of its channels:
those that the thin one lacks are random, and nothing that it finds reads them.
"""

import re
import shutil
import struct
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from scantling.demo.scenes import draw_scene
from scantling.reports.drawing import encode_image
from scantling.specs.classes import COCO_NAMES, DARKNET_COCO_NAMES

DATA = Path(__file__).with_name("data")
NARROWER = 4  # times the channels of the thin network are those of yolov4-tiny
LABELS = (0, 1, 2, 14, 16, 7, 17)  # of COCO, of the shapes in the order of the demo
SIDE = 320  # of the thin network's input
PHOTOS = ("dog", "eagle", "giraffe", "horses", "person", "scream")
IMAGES, FRAMES = 128, 38
HEADER = np.array([0, 2, 5, 0, 0], np.int32).tobytes()
CONFIG = "path: .\ntrain: images/train2017\nval: images/val2017\n\nnames:\n"


def make_stand_in(folder: Path) -> None:
    """Lay out a folder as the one of the real assets."""
    published = files("scantling.darknet") / "cfg"
    for place in ("cfg", "images/darknet", "video", "weights"):
        (folder / place).mkdir(parents=True)
    for cfg in [*published.iterdir(), *(DATA / "cfg").iterdir()]:
        (folder / "cfg" / cfg.name).write_text(cfg.read_text())
    names = "".join(f"{name}\n" for name in DARKNET_COCO_NAMES)
    tiny = (published / "yolov4-tiny.cfg").read_text()
    thin, weights = thin_cfg(tiny), thin_weights()
    wide = b"".join(value.tobytes() for value in widened(thin, tiny, weights))
    own = b"".join(value.astype(np.float32).tobytes() for value in weights)
    for place, name, cfg, data in (
        ("yolov4-tiny-coco", "yolov4-tiny", tiny, wide),
        ("yolov4-tiny-coco", "yolov4-tiny.upstream", tiny, b""),
        ("yolo-fastest-1.1-coco", "yolo-fastest-1.1", thin, own),
        ("yolo-fastest-1.1-coco", "yolo-fastest-1.1-xl", thin, own),
    ):
        home = folder / "weights" / place
        home.mkdir(exist_ok=True)
        (home / f"{name}.cfg").write_text(cfg)
        (home / "coco.names").write_text(names)
        if data:
            (home / f"{name}.weights").write_bytes(HEADER + data)
    for name in PHOTOS:
        shutil.copy(DATA / "stand_in" / f"{name}.jpg", folder / "images" / "darknet")
    shutil.copy(DATA / "stand_in" / "bus.jpg", folder / "images")
    shutil.copytree(DATA / "refs", folder / "refs")
    draw_data(folder / "datasets" / "coco-val2017-first128", COCO_NAMES)
    film(folder / "video" / "road.mp4")


def thin_cfg(tiny: str) -> str:
    """yolov4-tiny's cfg with a quarter of its channels, but for the detection layers."""
    text = re.sub(r"(?m)^(width|height)\s*=.*$", rf"\1={SIDE}", tiny)
    return re.sub(
        r"(?m)^filters\s*=\s*(\d+)", lambda found: f"filters={_narrower(int(found[1]))}", text
    )


def _narrower(filters: int) -> int:
    return filters if filters == 255 else filters // NARROWER


def thin_weights() -> list[np.ndarray]:
    """The thin network's arrays in the order of its `.weights`."""
    with np.load(DATA / "stand_in" / "thin.npz") as file:
        return [file[name].astype(np.float32) for name in sorted(file.files)]


def sections(cfg: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and options of each layer."""
    for part in re.split(r"(?m)^\[", cfg)[2:]:
        name, _, body = part.partition("]")
        lines = (line.split("#")[0].partition("=") for line in body.splitlines())
        yield name, {key.strip(): value.strip() for key, _, value in lines if value}


def widened(thin: str, wide: str, arrays: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The arrays of the wide network that finds what the thin one does.

    Halves of the channels stay halves, for `[route]` takes those.
    """
    rng, left = np.random.default_rng(0), list(arrays)
    kept = [np.arange(3)]  # channels of the thin network in the wide one, of each layer's output
    width = [3]
    for (name, narrow), (_, broad) in zip(sections(thin), sections(wide), strict=True):
        if name == "convolutional":
            few, many = int(narrow["filters"]), int(broad["filters"])
            own = np.concatenate([np.arange(few - few // 2), many - np.arange(few // 2, 0, -1)])
            own = own if few < many else np.arange(few)
            before, size = kept[-1], int(narrow["size"])
            for _ in range(4 if "batch_normalize" in narrow else 1):
                values = left.pop(0)
                grown = np.ones(many, np.float32)
                grown[own] = values
                yield grown
            kernel = rng.normal(0, 0.02, (many, width[-1], size, size)).astype(np.float32)
            kernel[own] = 0
            kernel[np.ix_(own, before)] = left.pop(0).reshape(few, len(before), size, size)
            yield kernel
            kept.append(own)
            width.append(many)
        elif name == "route":
            kept, width = _joined(narrow, kept, width)
        else:
            kept.append(kept[-1])
            width.append(width[-1])
    assert not left


def _joined(
    route: dict[str, str], kept: list[np.ndarray], width: list[int]
) -> tuple[list[np.ndarray], list[int]]:
    """The channels of all layers, and of a route behind them."""
    here = len(kept) - 1  # of this layer; the image is before the first
    places = [int(one) for one in route["layers"].split(",")]
    found, first = list[np.ndarray](), 0
    for place in places:
        source = 1 + (place if place >= 0 else here + place)
        found.append(kept[source] + first)
        first += width[source]
    channels = np.concatenate(found)
    groups, group = int(route.get("groups", 1)), int(route.get("group_id", 0))
    share = first // groups
    inside = channels[(channels >= group * share) & (channels < (group + 1) * share)]
    return [*kept, inside - group * share], [*width, share]


def draw_data(folder: Path, names: Sequence[str]) -> None:
    """Labelled drawings as the first images of COCO lie in their folder."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for index in range(IMAGES):
        scene = draw_scene(np.random.default_rng((9, index)))
        height, width = scene.image.shape[:2]
        x1, y1, x2, y2 = scene.boxes.T
        table = np.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height], axis=1)
        table = np.concatenate(
            [table, np.stack([(x2 - x1) / width, (y2 - y1) / height], axis=1)], axis=1
        )
        rows = [
            f"{LABELS[label]} {' '.join(f'{value:.6f}' for value in row)}\n"
            for label, row in zip(scene.labels, table, strict=True)
        ]
        stem = f"{1000 + 7 * index:012d}"
        (folder / "images" / f"{stem}.jpg").write_bytes(encode_image(scene.image))
        (folder / "labels" / f"{stem}.txt").write_text("".join(rows))
    listed = "".join(f"  {number}: {name}\n" for number, name in enumerate(names))
    (folder / "config.yaml").write_text(CONFIG + listed)


def film(path: Path) -> None:
    """A video that moves over a drawing, of 1280 × 720 pixels."""
    scene = draw_scene(np.random.default_rng(3), image_size=(288, 512))
    large = cv2.resize(scene.image, (1280 + 4 * FRAMES, 768), interpolation=cv2.INTER_CUBIC)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (1280, 720))
    for frame in range(FRAMES):
        part = large[:720, 4 * frame : 4 * frame + 1280]
        video.write(np.ascontiguousarray(part[..., ::-1]))
    video.release()
    path.write_bytes(with_index_first(path.read_bytes()))


def with_index_first(mp4: bytes) -> bytes:
    """The video with its index before its frames: one that is cut off can be read so far."""
    start = mp4.rindex(b"moov") - 4
    first = struct.unpack_from(">I", mp4)[0]  # length of the file's type
    index = bytearray(mp4[start:])
    table = index.index(b"stco") + 8  # where in the file frames begin
    count = struct.unpack_from(">I", index, table)[0]
    places = struct.unpack_from(f">{count}I", index, table + 4)
    struct.pack_into(f">{count}I", index, table + 4, *(place + len(index) for place in places))
    return mp4[:first] + bytes(index) + mp4[first:start]

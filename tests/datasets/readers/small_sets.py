"""Small data sets, written by hand: each function writes one, of the same two images and objects.

`a.png` is 100 wide and 80 high with a cat over (10, 20)–(50, 60) and a dog over (0, 0)–(100, 80);
`b.png` is 40 × 40 with nothing in it.
"""

import json
import struct
import zlib
from pathlib import Path

BOXES = [[10, 20, 50, 60], [0, 0, 100, 80]]
NAMES = ("cat", "dog")


def write_png(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height)))
    data = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def write_images(folder: Path) -> None:
    write_png(folder / "a.png", 100, 80)
    write_png(folder / "b.png", 40, 40)


def write_yolo(root: Path, labels: str | bytes = "0 0.3 0.5 0.4 0.5\n1 0.5 0.5 1 1\n") -> Path:
    write_images(root / "images" / "val")
    folder = root / "labels" / "val"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_bytes(labels.encode() if isinstance(labels, str) else labels)
    (folder / "b.txt").write_text("")
    file = root / "data.yaml"
    file.write_text("path: .\nval: images/val\nnames: [cat, dog]\n")
    return file


def write_darknet(root: Path, labels: str = "0 0.3 0.5 0.4 0.5\n1 0.5 0.5 1 1\n") -> Path:
    write_images(root / "JPEGImages")
    (root / "labels").mkdir()
    (root / "labels" / "a.txt").write_text(labels)
    (root / "labels" / "b.txt").write_text("")
    (root / "val.txt").write_text("JPEGImages/a.png\nJPEGImages/b.png\n")
    (root / "obj.names").write_text("cat\ndog\n")
    file = root / "obj.data"
    file.write_text("classes = 2\nvalid = val.txt\nnames = obj.names\n")
    return file


def voc_object(
    name: str = "cat", box: tuple[object, ...] = (11, 21, 50, 60), rest: str = ""
) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object>\n<name>{name}</name>{rest}<bndbox>{inner}</bndbox></object>\n"


def voc_annotation(*objects: str, filename: str = "a.png", size: str | None = None) -> str:
    size = size if size is not None else "<size><width>100</width><height>80</height></size>"
    return f"<annotation>\n<filename>{filename}</filename>{size}\n{''.join(objects)}</annotation>"


def write_voc(root: Path, annotation: str | bytes | None = None) -> Path:
    write_images(root / "JPEGImages")
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "val.txt").write_text("a\nb\n")
    text = annotation or voc_annotation(
        voc_object(), voc_object("dog", (1, 1, 100, 80), "<difficult>1</difficult>")
    )
    data = text.encode() if isinstance(text, str) else text
    (root / "Annotations" / "a.xml").write_bytes(data)
    empty = voc_annotation(
        filename="b.png", size="<size><width>40</width><height>40</height></size>"
    )
    (root / "Annotations" / "b.xml").write_text(empty)
    return root


def coco_content(**changes: object) -> dict[str, object]:
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 100, "height": 80},
            {"id": 9, "file_name": "b.png", "width": 40, "height": 40},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 40, 40], "area": 900.5},
            {"id": 2, "image_id": 7, "category_id": 18, "bbox": [0, 0, 100, 80], "iscrowd": 1},
        ],
    } | changes


def write_coco(root: Path, content: object = None, *, indent: int | None = None) -> Path:
    write_images(root / "val2017")
    (root / "annotations").mkdir()
    file = root / "annotations" / "instances_val2017.json"
    text = content if isinstance(content, str) else json.dumps(content or coco_content(),
                                                               indent=indent)  # fmt: skip
    file.write_text(text)
    return root

"""What can go wrong in the JSON file of a COCO data set."""

import json
from collections.abc import Callable
from typing import Any

from clean_sets import LAYOUTS, clean_content, encode, texture
from shared_corruptions import Corruption, corrupt_picture, with_exif
from text_corruptions import change_file

FILE = "annotations/instances_train.json"
CLEAN = LAYOUTS["coco"].files(clean_content())[FILE].decode()


def edit(
    code: str,
    change: Callable[[dict[str, Any]], object],
    *also: str,
    item: tuple[str, int] | None = None,
) -> Corruption:
    """The document changed; `item` is the list and place whose line must be named."""
    document = json.loads(CLEAN)
    change(document)
    text = json.dumps(document, indent=1)
    line = None if item is None else line_of(document, *item)
    return Corruption(
        code, change_file("coco", FILE, lambda _: text.encode()), FILE, line, frozenset(also)
    )


def line_of(document: dict[str, Any], key: str, place: int) -> int:
    """The line on which an item begins: that of a mark put in its front."""
    marked = json.loads(json.dumps(document))
    first = marked[key][place]
    marked[key][place] = {"mark": 0, **first} if isinstance(first, dict) else "mark"
    lines = json.dumps(marked, indent=1).split("\n")
    number = next(n for n, line in enumerate(lines, start=1) if '"mark"' in line)
    return number - 1 if isinstance(first, dict) else number


def annotation(code: str, *also: str, place: int = 1, **changes: object) -> Corruption:
    """Values of the second annotation replaced; None takes one away."""

    def change(document: dict[str, Any]) -> None:
        one = document["annotations"][place]
        for key, value in changes.items():
            if value is None:
                del one[key]
            else:
                one[key] = value

    return edit(code, change, *also, item=("annotations", place))


def image(code: str, *also: str, lined: bool = True, **changes: object) -> Corruption:
    """Values of the second image replaced."""

    def change(document: dict[str, Any]) -> None:
        document["images"][1].update(changes)

    return edit(code, change, *also, item=("images", 1) if lined else None)


def whole(code: str, text: str | bytes, *also: str, line: int | None = None) -> Corruption:
    data = text if isinstance(text, bytes) else text.encode()
    return Corruption(code, change_file("coco", FILE, lambda _: data), FILE, line, frozenset(also))


def corrupt_annotations() -> dict[str, Corruption]:
    """Single annotations."""
    return {
        "an annotation without a box": annotation("E201", bbox=None),
        "an annotation without a category": annotation("E201", category_id=None),
        "a box of three values": annotation("E201", bbox=[40, 16, 32]),
        "a box of five values": annotation("E201", bbox=[40, 16, 32, 40, 1]),
        "an annotation that is a number": edit(
            "E201", lambda d: d["annotations"].__setitem__(1, 7), item=("annotations", 1)
        ),
        "a text in a box": annotation("E202", bbox=[40, 16, "32", 40]),
        "a null in a box": annotation("E202", bbox=[40, 16, None, 40]),
        "a truth in a box": annotation("E202", bbox=[40, 16, True, 40]),
        "a NaN": annotation("E203", bbox=[40, 16, float("nan"), 40]),
        "an infinity": annotation("E203", bbox=[40, 16, float("inf"), 40]),
        "a number beyond any pixel": annotation("E203", bbox=[40, 16, 1e300, 40]),
        "a box as one text": annotation("E204", bbox="40, 16, 32, 40"),
        "a category id that is a text": annotation("E205", category_id="2"),
        "a category id with a fraction": annotation("E205", category_id=1.5),
        "a category that is not there": annotation("E206", category_id=80),
        "a category 0 where they begin at 1": annotation("E206", category_id=0),
        "a box without width": annotation("E207", bbox=[40, 16, 0, 40], area=0),
        "a box of negative width": annotation("E208", bbox=[72, 16, -32, 40]),
        "a box in shares of the image": annotation(
            "E212", bbox=[0.5, 0.25, 0.4, 0.6], area=0.24
        ),
        "a box of two corners": annotation("E212", bbox=[40, 16, 76, 60], area=4560),
        "an outline of two points": annotation("E217", segmentation=[[1, 2, 3, 4]]),
        "an outline of an odd number of values": annotation(
            "E217", segmentation=[[1, 2, 3, 4, 5, 6, 7]]
        ),
        "an annotation of no image": annotation("E218", image_id=99),
        "a crowd flag of 2": annotation("E228", iscrowd=2),
        "a crowd flag that is a word": annotation("E228", iscrowd="no"),
        "two annotations of one id": annotation("E229", id=1),
        "an area larger than the box": annotation("W231", area=50_000),
        "a negative area": annotation("W231", area=-5),
    }  # fmt: skip


def corrupt_images() -> dict[str, Corruption]:
    """Single images of the document."""
    exchanged = image("E224", lined=False, width=64, height=80)
    return {
        # what followed the second image's id is now of an image that is not there
        "two images of one id": image("E112", "E218", id=1),
        "an image without a name": image("E110", "E218", file_name=""),
        "an image whose id is a list": image("E110", "E218", id=[1]),
        "an image that leads out of its folder": image("E104", file_name="../../../etc/passwd"),
        "an image with an absolute path": image("E104", file_name="/etc/passwd"),
        "an image that is not there": image("E301", file_name="gone.png"),
        "an image that is listed twice": edit(
            "W114",
            lambda d: d["images"].append({**d["images"][0], "id": 9}),
            "W221",
            "W405",
            item=("images", 4),
        ),
        "a size that is missing": edit(
            "E223", lambda d: d["images"][1].pop("width"), item=("images", 1)
        ),
        "a size of zero": image("E223", width=0),
        "a size that is a text": image("E223", width="80"),
        "a size that is not that of the image": image("E224", lined=False, width=160),
        "width and height exchanged": Corruption(
            "E224", exchanged.files, FILE, also=frozenset({"W211"})
        ),
        "labels made before EXIF turns the image": corrupt_picture(
            "coco", "E225", with_exif(encode(texture(0), ".jpg"), 6), suffix=".jpg", also=("W306",)
        ),
    }  # fmt: skip


def corrupt_coco() -> dict[str, Corruption]:
    """All of the format's own."""
    return {
        **corrupt_annotations(),
        **corrupt_images(),
        "a document of UTF-16": whole("E102", CLEAN.encode("utf-16")),
        "a byte that is not UTF-8": whole(
            "E102", CLEAN.encode().replace(b'"cat"', b'"\xe9"'),
            line=1 + CLEAN[: CLEAN.index('"cat"')].count("\n"),
        ),
        "an empty document": whole("E103", "", line=1),
        "a document cut off": whole("E103", CLEAN[: len(CLEAN) // 2]),
        "a list of detections": whole("E103", "[]"),
        "annotations that are an object": edit("E103", lambda d: d.update(annotations={})),
        "a whole number of ten thousand digits": whole(
            "E103", CLEAN.replace('"width": 80', '"width": ' + "8" * 10_000, 1)
        ),
        "endless nesting": whole("E104", '{"images": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        "no images": edit("E105", lambda d: d["images"].clear()),
        "no list of images": edit("E110", lambda d: d.pop("images")),
        "no categories": edit("E110", lambda d: d.pop("categories")),
        "an empty list of categories": edit("E110", lambda d: d["categories"].clear()),
        "no annotations": edit("E110", lambda d: d.pop("annotations"), "W221", "E115"),
        "a misspelt key": edit("W111", lambda d: d.update(anotations=[])),
        "a class name that is there twice": edit(
            "E107", lambda d: d["categories"][2].update(name="cat")
        ),
        "a category id that is there twice": edit(
            "E107", lambda d: d["categories"][2].update(id=1)
        ),
        "a class without a name": edit("E108", lambda d: d["categories"][2].update(name=" ")),
    }  # fmt: skip

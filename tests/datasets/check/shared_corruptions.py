"""What can go wrong in every format: with images, with copies, with boxes, with classes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from clean_sets import (
    HEIGHT,
    LAYOUTS,
    NAMES,
    WIDTH,
    Content,
    Files,
    Photo,
    Thing,
    clean_content,
    encode,
    texture,
)

from scantling.datasets.check import ModelLevels

FIRST = clean_content().splits["train"][0]
LEVELS = ModelLevels("a model", (HEIGHT, WIDTH), (8, 16, 32))


@dataclass(frozen=True)
class Corruption:
    """A set with one fault, and where the fault must be found.

    Args:
        code: that it must be found under.
        files: makes the set.
        at: the file that must be named, as the place or as the image; any if empty.
        line: that must be named; None where lines mean nothing.
        also: codes of what the fault brings about besides. No other code may appear.
        levels: what the check is given.
    """

    code: str
    files: Callable[[], Files]
    at: str = ""
    line: int | None = None
    also: frozenset[str] = frozenset()
    levels: ModelLevels | None = None


def corrupt_picture(
    kind: str, code: str, data: bytes, *, also: tuple[str, ...] = (), **changes: object
) -> Corruption:
    """The first image replaced by other bytes, its labels left as they are."""
    other = replace(FIRST, data=data, **changes)
    layout = LAYOUTS[kind]
    return Corruption(
        code,
        lambda: layout.files(clean_content().change(FIRST.name, lambda _: other)),
        layout.image_of("train", other),
        also=frozenset(also),
    )


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG that says how it is to be turned."""
    tiff = b"MM\0*\0\0\0\x08\0\x01" + b"\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation, 0, 0])
    body = b"Exif\0\0" + tiff + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def corrupt_pictures(kind: str) -> dict[str, Corruption]:
    """Image files that are damaged or unusual."""
    states_size = kind in ("voc", "coco")
    plain, other = texture(0), texture(77)
    data = FIRST.data
    huge = data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:]
    upright = texture(0, WIDTH, HEIGHT)  # as high as the labels' image is wide
    ends = ("E224",) if states_size else ()

    def picture(code: str, data: bytes, *also: str, **changes: object) -> Corruption:
        return corrupt_picture(kind, code, data, also=also, **changes)

    jpeg = encode(plain, ".jpg")
    return {
        "an image without bytes": picture("E302", b""),
        "text in place of an image": picture("E303", b"no image at all, but text"),
        "a web page in place of an image": picture("E303", b"<!doctype html><html></html>"),
        "a Git LFS pointer in place of an image": picture(
            "E303", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
        ),
        "an image cut off in the middle": picture("E304", data[: len(data) // 2]),
        "an image cut off in its header": picture("E304", data[:20]),
        "a JPEG cut off": picture("E304", jpeg[: len(jpeg) // 2], suffix=".jpg"),
        "an image with a hole in its data": picture(
            "E304", data[:60] + bytes(300) + data[360:]
        ),
        "an image that claims to be enormous": picture("E305", huge, *ends),
        "an image turned by its EXIF, upright labels": picture(
            "W306", with_exif(encode(upright, ".jpg"), 6), suffix=".jpg"
        ),
        "an image mirrored by its EXIF": picture("W306", with_exif(jpeg, 2), suffix=".jpg"),
        "a JPEG called .png": picture("W307", jpeg),
        "a BMP called .png": picture("W307", encode(plain, ".bmp")),
        "a grey image": picture("W308", encode(plain[..., 0])),
        "an image of 16 bits": picture("W308", encode(plain.astype(np.uint16) * 257)),
        "a transparent image": picture("W308", encode(cv2.cvtColor(plain, cv2.COLOR_BGR2BGRA))),
        "an image of one colour": picture("W309", encode(np.full_like(plain, 90))),
        "a tiny image": picture(
            "W310", encode(other[:20, :20]), size=(20, 20), things=(Thing(0, (2, 2, 18, 18)),)
        ),
        "a very long image": picture(
            "W310", encode(texture(78, 32, 400)), size=(32, 400),
            things=(Thing(0, (2, 2, 30, 30)), Thing(1, (40, 2, 70, 30))),
        ),
    }  # fmt: skip


def corrupt_by_copying(kind: str) -> dict[str, Corruption]:
    """Images that are there twice."""
    layout = LAYOUTS[kind]
    copy = replace(FIRST, name="p90")
    near = replace(copy, data=encode(np.clip(texture(0) * 0.9 + 9, 0, 255).astype(np.uint8)))
    moved = copy.with_things(Thing(0, (1, 1, 30, 30)), *copy.things[1:])
    renamed = copy.with_things(replace(copy.things[0], label=1), *copy.things[1:])
    poorer = copy.with_things(*copy.things[:2])

    def add(code: str, split: str, photo: Photo, *also: str, label: bool = False) -> Corruption:
        place = layout.label_of if label else layout.image_of
        return Corruption(
            code,
            lambda: layout.files(clean_content().add(split, photo)),
            place(split, photo),
            also=frozenset(also),
        )

    return {
        "a copy in the same split": add("W402", "train", copy),
        "a copy in another split": add("E401", "val", copy),
        "a paler copy in the same split": add("W404", "train", near),
        "a paler copy in another split": add("W403", "val", near),
        "a copy with a moved box": add("W405", "train", moved, "W402", label=True),
        "a copy with another class": add("W405", "val", renamed, "E401", label=True),
        "a copy that lacks an object": add("W405", "train", poorer, "W402", label=True),
    }


def grid(count: int, label: int = 0) -> tuple[Thing, ...]:
    """So many small objects, none on another."""
    places = [(6 * (n % 13), 6 * (n // 13)) for n in range(count)]
    return tuple(Thing(label, (x, y, x + 5, y + 5)) for x, y in places)


def corrupt_things(kind: str) -> dict[str, Corruption]:
    """Boxes and classes that every format can hold."""
    layout = LAYOUTS[kind]
    base = FIRST.things
    left, top, right, bottom = base[0].box

    def things(
        code: str, *given: Thing, line: int | None = None, levels: ModelLevels | None = None
    ) -> Corruption:
        return Corruption(
            code,
            lambda: layout.files(
                clean_content().change(FIRST.name, lambda one: one.with_things(*given))
            ),
            layout.label_of("train", FIRST),
            line if layout.lines else None,
            levels=levels,
        )

    more = Thing(0, (left + 0.4, top, right, bottom))
    return {
        "a box beside its image": things("E210", *base, Thing(0, (100, 10, 120, 30)), line=4),
        "a box above its image": things("E210", Thing(0, (4, -30, 20, -5)), *base, line=1),
        "a box that reaches out to the right": things(
            "W211", *base, Thing(0, (50, 5, 95, 12)), line=4
        ),
        "a box that reaches out below": things("W211", *base, Thing(0, (50, 50, 60, 90)), line=4),
        "the same object twice": things("W213", *base, base[1], line=4),
        "nearly the same box twice": things("W214", *base, more, line=4),
        "one box of two classes": things("W215", *base, replace(base[0], label=1), line=4),
        "an image without objects": things("W221"),
        "more objects than are counted": things("W222", *base, *grid(101)),
        "an object too small for a model": things(
            "W503", *base, Thing(2, (74, 2, 77, 5)), levels=LEVELS
        ),
    }


def corrupt_classes(kind: str) -> dict[str, Corruption]:
    """Classes that are rare, unused, or in one split only."""
    layout = LAYOUTS[kind]
    clean = clean_content()

    def made(code: str, content: Content, **more: object) -> Corruption:
        return Corruption(code, lambda: layout.files(content), **more)

    without = {
        split: tuple(one.with_things(*one.things[:2]) for one in photos)
        for split, photos in clean.splits.items()
    }
    cats = {
        split: (photos[0], *(one.with_things(*grid(99)) for one in photos[1:]))
        for split, photos in clean.splits.items()
    }
    small = tuple(
        one.with_things(*(Thing(thing.label, thing.box) for thing in grid(40, n % 3)))
        for n, one in enumerate(clean.splits["train"])
    )
    found = {
        "a class without objects in one split": made(
            "W505", Content(splits={**clean.splits, "val": without["val"]})
        ),
        "a class with a hundredth of another's objects": made("W502", Content(splits=cats)),
        "a level of a model without objects": made(
            "W504", Content(splits={**clean.splits, "train": small}), levels=LEVELS
        ),
        "class names that differ in a hyphen": made(
            "W113", Content(("hot dog", "hot-dog", "bird"), clean.splits)
        ),
    }
    if kind != "voc":  # whose classes are those of its objects
        found["a class without objects"] = made("W501", Content(splits=without))
        found["a named class that nothing shows"] = made(
            "W501", Content((*NAMES, "unicorn"), clean.splits)
        )
    return found


def corrupt_shared(kind: str) -> dict[str, Corruption]:
    empty = frozenset({"W221"})
    return {
        **corrupt_pictures(kind),
        **corrupt_by_copying(kind),
        **corrupt_things(kind),
        **corrupt_classes(kind),
        "a split without a single object": Corruption(
            "E115", lambda: empty_split(kind), also=empty
        ),
    }


def empty_split(kind: str) -> Files:
    """The split for evaluation has images, and none of them an object."""
    content = clean_content()
    bare = tuple(one.with_things() for one in content.splits["val"])
    return LAYOUTS[kind].files(replace(content, splits={**content.splits, "val": bare}))

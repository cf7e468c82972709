"""What can go wrong in the text files of YOLO and darknet data sets."""

from collections.abc import Callable

from clean_sets import LAYOUTS, Files, clean_content
from shared_corruptions import FIRST, Corruption

LABEL = "labels/train/p0.txt"
HUGE_LINE = b"0 " + b"0.5 " * 70_000 + b"\n"


def change_file(
    kind: str, name: str, change: Callable[[bytes], bytes | None], *, more: Files | None = None
) -> Callable[[], Files]:
    """The clean set with one file changed (None: taken away), and others added."""

    def make() -> Files:
        files = dict(LAYOUTS[kind].files(clean_content()))
        changed = change(files[name])
        if changed is None:
            del files[name]
        else:
            files[name] = changed
        return {**files, **(more or {})}

    return make


def corrupt_lines(kind: str) -> dict[str, Corruption]:
    """One line of a label file replaced."""

    def line(code: str, text: str | bytes, *, also: tuple[str, ...] = ()) -> Corruption:
        data = text if isinstance(text, bytes) else text.encode()

        def change(old: bytes) -> bytes:
            first, _, last = old.splitlines()
            return b"\n".join([first, data.rstrip(b"\n"), last, b""])

        return Corruption(code, change_file(kind, LABEL, change), LABEL, 2, frozenset(also))

    return {
        "a line with four values": line("E201", "1 0.7 0.5 0.4"),
        "a line with a class alone": line("E201", "1"),
        "a word for a number": line("E202", "1 0.7 0.5 0.4 wide"),
        "a number with a letter in it": line("E202", "1 0.7 0.5 0.4 0.6x"),
        "a number of full-width digits": line("E202", "1 0.7 0.5 0.4 \uff10.6"),
        "a NaN": line("E203", "1 0.7 nan 0.4 0.6"),
        "an infinity": line("E203", "1 0.7 inf 0.4 0.6"),
        "a number too large for a double": line("E203", "1 0.7 0.5 0.4 1e999"),
        "commas between values": line("E204", "1,0.7,0.5,0.4,0.6"),
        "decimal commas": line("E204", "1 0,7 0,5 0,4 0,6"),
        "semicolons between values": line("E204", "1;0.7;0.5;0.4;0.6"),
        "a class with a fraction": line("E205", "1.5 0.7 0.5 0.4 0.6"),
        "a class given by name": line("E205", "dog 0.7 0.5 0.4 0.6"),
        "a class that is one too high": line("E206", "3 0.7 0.5 0.4 0.6"),
        "a negative class": line("E206", "-1 0.7 0.5 0.4 0.6"),
        "a box without width": line("E207", "1 0.7 0.5 0 0.6"),
        "a box without height": line("E207", "1 0.7 0.5 0.4 0"),
        "a box of negative width": line("E208", "1 0.7 0.5 -0.4 0.6"),
        "a box in pixels": line("E212", "1 56 36 32 40"),
        "a box in per cent": line("E212", "1 70 50 40 60"),
        "a line of a quarter megabyte": line("E230", HUGE_LINE),
    }


def corrupt_label_files(kind: str) -> dict[str, Corruption]:
    """Label files that are missing, left over, or no text."""

    def label(
        code: str,
        change: Callable[[bytes], bytes | None],
        *also: str,
        at: str = LABEL,
        line: int | None = None,
        more: Files | None = None,
    ) -> Corruption:
        files = change_file(kind, LABEL, change, more=more)
        return Corruption(code, files, at, line, frozenset(also))

    stray = "labels/train/nobody.txt"
    return {
        "a label file of UTF-16": label(
            "E102", lambda old: old.decode().encode("utf-16"), "W221", line=None
        ),
        "a byte that is not UTF-8": label(
            "E102", lambda old: old + b"0 0.1 0.1 0.1 \xff\n", "W221", line=4
        ),
        "zero bytes in a label file": label(
            "E102", lambda old: old + bytes(40) + b"\n", "W221", line=4
        ),
        "a label file that is an image": label("E102", lambda _: FIRST.data, "W221"),
        "a label file that is missing": label("W219", lambda _: None),
        "an empty label file": label("W221", lambda _: b""),
        "a label file of blank lines": label("W221", lambda _: b"\n \n\t\n"),
        "a label file without an image": label(
            "W220", lambda old: old, at=stray, more={stray: b"0 0.5 0.5 0.2 0.2\n"}
        ),
        "a label file of too many lines": label(
            "E230", lambda _: b"0 0.5 0.5 0.2 0.2\n" * 100_001, "W221"
        ),
    }


def corrupt_yolo() -> dict[str, Corruption]:
    """What only a `data.yaml`, its folders and its outlines can have."""
    clean = LAYOUTS["yolo"].files(clean_content())["data.yaml"].decode()
    yaml = "data.yaml"

    def described(
        code: str, text: str | bytes, *, line: int | None = None, also: tuple[str, ...] = ()
    ) -> Corruption:
        data = text if isinstance(text, bytes) else text.encode()
        files = change_file("yolo", yaml, lambda _: data)
        return Corruption(code, files, yaml, line, frozenset(also))

    def label(code: str, text: bytes) -> Corruption:
        return Corruption(code, change_file("yolo", LABEL, lambda old: old + text), LABEL, 4)

    def outline(code: str, text: str) -> Corruption:
        files = change_file("yolo", LABEL, lambda old: old + text.encode())
        return Corruption(code, files, LABEL, 4)

    listed = "".join(f"images/train/p{n}.png\n" for n in range(4))
    nested = "[" * 64 + "]" * 64
    bomb = "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"
    in_train = clean.replace("train: images/train", "train: train.txt")
    return {
        **corrupt_lines("yolo"),
        "a score behind the box": label("W233", b"0 0.8 0.1 0.1 0.1 0.87\n"),
        "a sixth value that is no score": label("E201", b"0 0.8 0.1 0.1 0.1 17\n"),
        **corrupt_label_files("yolo"),
        "a description of Latin-1": described("E102", clean.encode() + b"# caf\xe9\n", line=9),
        "a description that is no YAML": described("E103", clean + "x: [1, 2\n"),
        "a tab as indentation": described("E103", clean.replace("  0: cat", "\t0: cat")),
        "a key that is there twice": described("E103", clean + "nc: 3\n"),
        "names that are a number": described("E103", clean.partition("names")[0] + "names: 3\n"),
        "aliases that multiply": described("E104", clean + bomb),
        "a tag that would run code": described(
            "E104", clean + "x: !!python/object/apply:os.system ['true']\n", line=9
        ),
        "endless nesting": described("E104", clean + f"x: {nested}\n"),
        "a folder that is empty": Corruption(
            "E105",
            change_file(
                "yolo", yaml, lambda old: old.replace(b"images/val", b"empty"),
                more={"empty/.keep": b""},
            ),
            yaml,
        ),
        "a folder that is not there": described(
            "E106", clean.replace("val: images/val", "val: images/vall"), line=3
        ),
        "a path that is not there": described(
            "W116", clean.replace("path: .", "path: /nowhere/at/all"), line=1
        ),
        "a class name that is there twice": described("E107", clean.replace("bird", "cat")),
        "a class without a name": described("E108", clean.replace("1: dog", "1: ''")),
        "a class that is left out": described("E108", clean.replace("1: dog", "3: dog")),
        "a wrong number of classes": described("E109", clean.replace("nc: 3", "nc: 80")),
        "no names": described("E110", clean.partition("names")[0]),
        "no splits": Corruption(
            "E110", change_file("yolo", yaml, lambda _: b"names: [cat, dog, bird]\n")
        ),
        "a misspelt key": described("W111", clean + "nmaes: [a]\n", line=9),
        "an image that is listed twice": Corruption(
            "W114",
            change_file(
                "yolo", yaml, lambda _: in_train.encode(),
                more={"train.txt": (listed + "images/train/p0.png\n").encode()},
            ),
            "train.txt",
            5,
        ),
        "an image that is not there": Corruption(
            "E301",
            change_file(
                "yolo", yaml, lambda _: in_train.encode(),
                more={"train.txt": (listed + "images/train/p4.png\n").encode()},
            ),
            "train.txt",
            5,
            frozenset({"W219"}),
        ),
        "an outline": outline("W216", "0 0.8 0.1 0.9 0.1 0.9 0.2\n"),
        "an outline of an odd number of values": outline("E217", "0 0.8 0.1 0.9 0.1 0.9 0.2 0.3\n"),
    }  # fmt: skip


def corrupt_darknet() -> dict[str, Corruption]:
    """What only a `.data`, a `.names` and a list can have."""
    described, names, listing = "obj.data", "obj.names", "train.txt"

    def edit(
        code: str,
        name: str,
        change: Callable[[bytes], bytes | None],
        *also: str,
        at: str | None = None,
        line: int | None = None,
    ) -> Corruption:
        files = change_file("darknet", name, change)
        return Corruption(code, files, name if at is None else at, line, frozenset(also))

    six = change_file("darknet", LABEL, lambda old: old + b"0 0.8 0.1 0.1 0.1 7 8\n")
    return {
        **corrupt_lines("darknet"),
        **corrupt_label_files("darknet"),
        "an outline, which darknet does not read": Corruption("E201", six, LABEL, 4),
        "a list of Latin-1": edit("E102", listing, lambda old: old + b"caf\xe9.png\n", line=5),
        "a description of UTF-16": edit(
            "E102", described, lambda old: old.decode().encode("utf-16")
        ),
        "a line without an equals sign": edit("E103", described, lambda old: old + b"train\n"),
        "a key that nobody knows": edit(
            "E103", described, lambda old: old.replace(b"backup", b"bakcup")
        ),
        "classes that are no number": edit(
            "E103", described, lambda old: old.replace(b"= 3", b"= many")
        ),
        "an empty list": edit("E105", listing, lambda _: b"\n"),
        "a list of images that are elsewhere": edit(
            "E105", listing, lambda old: old.replace(b"images/", b"/nowhere/")
        ),
        "a list that is not there": edit("E106", listing, lambda _: None, at=described),
        "a class name that is there twice": edit(
            "E107", names, lambda old: old.replace(b"bird", b"cat")
        ),
        "an empty line among the names": edit(
            "E108", names, lambda old: old.replace(b"dog\n", b"\n")
        ),
        "a wrong number of classes": edit(
            "E109", described, lambda old: old.replace(b"= 3", b"= 80")
        ),
        "names without names": edit("E110", names, lambda _: b"\n"),
        "no names": edit(
            "E110", described, lambda old: old.replace(b"names = obj.names\n", b"")
        ),
        "names that are not there": edit("E101", names, lambda _: None, at=""),
        "an image that is listed twice": edit(
            "W114", listing, lambda old: old + b"images/train/p0.png\n", line=5
        ),
        "an image that is not there": edit(
            "E301", listing, lambda old: old + b"images/train/p4.png\n", "W219", line=5
        ),
    }  # fmt: skip

"""What can go wrong in the XML files and lists of a Pascal VOC data set."""

from clean_sets import LAYOUTS, clean_content, encode, texture
from shared_corruptions import Corruption, corrupt_picture, with_exif
from text_corruptions import change_file

XML = "Annotations/p0.xml"
LIST = "ImageSets/Main/train.txt"
CLEAN = LAYOUTS["voc"].files(clean_content())[XML].decode()
SECOND = 12  # the line on which the second object begins


def annotation(code: str, text: str | bytes, *also: str, line: int | None = SECOND) -> Corruption:
    data = text if isinstance(text, bytes) else text.encode()
    return Corruption(code, change_file("voc", XML, lambda _: data), XML, line, frozenset(also))


def second(code: str, old: str, new: str, *also: str) -> Corruption:
    """Something in the second object replaced."""
    head, mark, tail = CLEAN.partition("<name>dog</name>")
    one, end, rest = (mark + tail).partition("</object>")
    assert old in one
    return annotation(code, head + one.replace(old, new) + end + rest, *also)


def corrupt_values() -> dict[str, Corruption]:
    """Values of one object."""
    return {
        "an object without a name": second("E201", "<name>dog</name>", ""),
        "an object without a box": second("E201", "bndbox>", "box>"),
        "a box without xmax": second("E201", "<xmax>72</xmax>", ""),
        "a box with an empty side": second("E201", "<xmax>72</xmax>", "<xmax></xmax>"),
        "a word for a number": second("E202", "<xmax>72</xmax>", "<xmax>wide</xmax>"),
        "a number of full-width digits": second("E202", "<xmax>72", "<xmax>\uff17\uff12"),
        "a NaN": second("E203", "<xmax>72", "<xmax>NaN"),
        "an infinity": second("E203", "<xmax>72", "<xmax>-inf"),
        "a number too large for a double": second("E203", "<xmax>72", "<xmax>1e999"),
        "a decimal comma": second("E204", "<xmax>72", "<xmax>72,5"),
        "a box that is a point": second(
            "W232",
            "<xmin>41</xmin><ymin>17</ymin><xmax>72</xmax><ymax>56</ymax>",
            "<xmin>41</xmin><ymin>17</ymin><xmax>41</xmax><ymax>17</ymax>",
        ),
        "left and right exchanged": second("E209", "<xmax>72", "<xmax>30"),
        "top and bottom exchanged": second("E209", "<ymax>56", "<ymax>9"),
        "a box in shares of the image": second(
            "E212",
            "<xmin>41</xmin><ymin>17</ymin><xmax>72</xmax><ymax>56</ymax>",
            "<xmin>0.5</xmin><ymin>0.25</ymin><xmax>0.9</xmax><ymax>0.875</ymax>",
        ),
        "a box that begins at 0": second("W227", "<xmin>41", "<xmin>0"),
        "a flag that is neither 0 nor 1": second(
            "E228", "<difficult>0", "<difficult>maybe"
        ),
    }  # fmt: skip


def corrupt_annotations() -> dict[str, Corruption]:
    """An annotation as a whole."""
    entity = '<!DOCTYPE a [<!ENTITY x "ha">]>\n'
    bomb = (
        '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>\n'
        + CLEAN.replace("<name>cat", "<name>&c;")
    )
    outside = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n' + CLEAN.replace(
        "<name>cat", "<name>&x;"
    )
    size = "<size><width>80</width><height>64</height><depth>3</depth></size>"
    deep = "<a>" * 100 + "</a>" * 100
    return {
        "an annotation of UTF-16": annotation("E102", CLEAN.encode("utf-16"), line=None),
        "a byte that is not UTF-8": annotation(
            "E102", CLEAN.encode().replace(b"<folder>VOC", b"<folder>\xe9"), line=2
        ),
        "an empty annotation": annotation("E103", "", line=None),
        "an annotation cut off": annotation("E103", CLEAN[: len(CLEAN) // 2], line=None),
        "a tag that is not closed": annotation(
            "E103", CLEAN.replace("</folder>", ""), line=None
        ),
        "zero bytes in an annotation": annotation(
            "E102", CLEAN.encode().replace(b"VOC", bytes(3)), line=2
        ),
        "XML of something else": annotation("E103", "<svg></svg>\n", line=1),
        "a declared entity": annotation("E104", entity + CLEAN, line=1),
        "entities that multiply": annotation("E104", bomb, line=1),
        "an entity from a file": annotation("E104", outside, line=1),
        "endless nesting": annotation(
            "E104", CLEAN.replace("<folder>VOC</folder>", deep), line=2
        ),
        "no size": annotation("E223", CLEAN.replace(size, ""), line=1),
        "a size of zero": annotation("E223", CLEAN.replace("<width>80", "<width>0"), line=4),
        "a size that is a word": annotation("E223", CLEAN.replace("<width>80", "<width>w"), line=4),
        "a size that is not that of the image": annotation(
            "E224", CLEAN.replace("<width>80", "<width>100"), line=None
        ),
        "width and height exchanged": annotation(
            "E224",
            CLEAN.replace(size, size.replace("80", "x").replace("64", "80").replace("x", "64")),
            "W211",
            line=None,
        ),
        "a filename of another image": annotation(
            "W226", CLEAN.replace("p0.png", "p1.png"), line=None
        ),
        "an annotation of sixteen megabytes": annotation(
            "E230", CLEAN.encode() + b" " * 2**24, line=None
        ),
    }  # fmt: skip


def corrupt_voc() -> dict[str, Corruption]:
    """All of the format's own."""
    listed = b"p0\np1\np2\np3\n"
    turned = corrupt_picture(
        "voc", "E225", with_exif(encode(texture(0), ".jpg"), 6), suffix=".jpg", also=("W306",)
    )
    names = b"cat\ndog\nbird\n"

    def lists(code: str, data: bytes | None, *also: str, line: int | None = None) -> Corruption:
        return Corruption(
            code, change_file("voc", LIST, lambda _: data), LIST, line, frozenset(also)
        )

    def with_names(code: str, data: bytes, at: str = "classes.txt", *also: str) -> Corruption:
        files = change_file("voc", LIST, lambda old: old, more={"classes.txt": data})
        return Corruption(code, files, at, also=frozenset(also))

    return {
        **corrupt_values(),
        **corrupt_annotations(),
        "labels made before EXIF turns the image": turned,
        "an annotation that is missing": Corruption(
            "W219", change_file("voc", XML, lambda _: None), XML
        ),
        "an annotation without an image": Corruption(
            "W220",
            change_file(
                "voc", XML, lambda old: old,
                more={"Annotations/nobody.xml": CLEAN.replace("p0.png", "nobody.png").encode()},
            ),
            "Annotations/nobody.xml",
        ),
        "an image that is not there": lists("E301", listed + b"p4\n", "W219", line=5),
        "an image that is listed twice": lists("W114", listed + b"p1\n", line=5),
        "a list that leads elsewhere": lists("E104", listed + b"../../p4\n", line=5),
        "an empty list": lists("E105", b"\n"),
        "a list of Latin-1": lists("E102", listed + b"caf\xe9\n", line=5),
        "a class name that is there twice": with_names("E107", names + b"cat\n"),
        "an empty line among the names": with_names("E108", b"cat\n\ndog\nbird\n"),
        "names without names": with_names("E110", b"\n"),
        "an object of an unknown class": with_names("E206", b"cat\ndog\n", XML),
        "a named class that nothing shows": with_names("W501", names + b"unicorn\n", ""),
    }  # fmt: skip

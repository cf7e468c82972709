"""Check image files: damage, EXIF orientation, format, colour, size."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..dataset import Dataset, LabelledImage
from ..findings import Finding
from ..image_info import ImageInfo

# Suffixes of each kind that headers.py tells apart.
SUFFIXES: dict[str, frozenset[str]] = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}),
    "PNG": frozenset({".png", ".apng"}),
    "WebP": frozenset({".webp"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "GIF": frozenset({".gif"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "PNM": frozenset({".pbm", ".pgm", ".ppm", ".pnm"}),
    "AVIF": frozenset({".avif"}),
}
# Pixels. One cell of the coarsest level of every model here covers as many: there is nothing to
# find in an image that is smaller.
LEAST_SIDE = 32
# Longer side over shorter. On a square input the shorter side keeps an eighth of the pixels: 52 of
# 416, too few for most objects.
LONGEST = 8.0
# Formats whose labels state the size of each image; in others the size is read from the file.
STATE_SIZES = frozenset({"coco", "voc"})
IMAGE_CODES = frozenset({"E101", "E301", "E302", "E303", "E304", "E305"})


def check_images(datasets: Sequence[Dataset], infos: Mapping[Path, ImageInfo]) -> Iterator[Finding]:
    """Find what is wrong with the image files themselves, each file once.

    What the readers have reported of a file already is not reported again.
    """
    reported = {
        finding.image or finding.file
        for dataset in datasets
        for finding in dataset.findings
        if finding.code in IMAGE_CODES
    }
    for path, known in infos.items():
        if not known.code:
            yield from _check_picture(path, known)
        elif path not in reported:
            yield Finding(known.code, known.problem, path, image=path)


def check_stated_sizes(
    datasets: Sequence[Dataset], infos: Mapping[Path, ImageInfo]
) -> Iterator[Finding]:
    """Find images whose labels were made for another size, or before EXIF rotation.

    Of a format that states no size only a turned image is noticed: W306 of `check_images`.
    """
    for dataset in datasets:
        if dataset.format not in STATE_SIZES:
            continue
        for image in dataset.images:
            known = infos.get(image.path)
            if known is None or known.code or image.size in (None, known.upright):
                continue
            yield _compare_sizes(image, known)


def _compare_sizes(image: LabelledImage, known: ImageInfo) -> Finding:
    stated, found = (f"{size[1]} × {size[0]}" for size in (image.size or (0, 0), known.upright))
    turned = known.orientation >= 5 and image.size == known.size
    message = f"labelled as {stated}, but the image is {found}"
    if turned:
        message += f" after its EXIF orientation, {known.orientation}, has turned it"
    return Finding(
        "E225" if turned else "E224",
        message,
        image.label_file or image.path,
        item=image.path.name,
        image=image.path,
    )


def _check_picture(path: Path, known: ImageInfo) -> Iterator[Finding]:
    """Find what is unusual about an image that can be read."""
    if known.orientation != 1:
        message = f"its EXIF orientation is {known.orientation}, of which 1 is upright"
        yield Finding("W306", message, path, image=path)
    if path.suffix.lower() not in SUFFIXES.get(known.kind, frozenset()):
        message = f"its suffix is {path.suffix!r}, but it is a {known.kind}"
        yield Finding("W307", message, path, image=path)
    if known.bits != 8 or known.channels != 3:
        channels = "1 channel" if known.channels == 1 else f"{known.channels} channels"
        message = f"it has {channels} of {known.bits} bits; expected 3 of 8"
        yield Finding("W308", message, path, image=path)
    if known.one_colour:
        yield Finding("W309", "all its pixels have the same colour", path, image=path)
    height, width = known.upright
    longest = max(height, width) / max(1, min(height, width))
    if min(height, width) < LEAST_SIDE:
        message = f"it is {width} × {height}; expected sides of {LEAST_SIDE} pixels or more"
        yield Finding("W310", message, path, image=path)
    elif longest > LONGEST:
        message = (
            f"it is {width} × {height}, {longest:.1f} times as long as wide;"
            f" expected {LONGEST:g} at most"
        )
        yield Finding("W310", message, path, image=path)

"""Published accuracy of both families, which the accuracy proxy is fitted to.

Papers: YOLOv4, https://arxiv.org/abs/2004.10934; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036;
EfficientDet, https://arxiv.org/abs/1911.09070; and the READMEs of their authors.
"""

from typing import NamedTuple


class PublishedResult(NamedTuple):
    """Published AP of one model at one size, with counted properties of its network.

    Attributes:
        model: a name in the catalogue; `yolov4-csp-s` is `as_small` of `yolov4-csp`.
        side: of the image, in pixels.
        ap: on COCO test-dev, in percent; of the README of google/automl on val.
        field: receptive field of the coarsest level, pixels.
        macs: multiply-accumulates for each pixel of the image.
        convolutions: larger than 1×1, before the head.
        source: of the AP.
    """

    model: str
    side: int
    ap: float
    field: int
    macs: float
    convolutions: int
    source: str


# A test counts the networks again.
# fmt: off
_ROWS: tuple[tuple[str, int, float, int, int, int, str], ...] = (
    #     model                 side     AP   field  MACs/pixel  convs
    ("yolov4",                416,  41.2,   1653,    173657,   41, "YOLOv4, table 8"),
    ("yolov4",                512,  43.0,   1653,    173657,   41, "YOLOv4, table 8"),
    ("yolov4",                608,  43.5,   1653,    173657,   41, "YOLOv4, table 8"),
    ("yolov4-csp",            512,  46.2,   1653,    146777,   41, "Scaled-YOLOv4, table 11"),
    ("yolov4-csp",            640,  47.5,   1653,    146777,   41, "Scaled-YOLOv4, table 11"),
    ("yolov4-p5",             896,  51.8,   2317,    203436,   63, "Scaled-YOLOv4, table 11"),
    ("yolov4-p6",            1280,  54.5,   4461,    218817,   78, "Scaled-YOLOv4, table 11"),
    ("yolov4-p7",            1536,  55.5,   8877,    346863,   93, "Scaled-YOLOv4, table 11"),
    ("yolov4-tiny",           416,  22.0,    331,     19958,   14, "Scaled-YOLOv4, table 9"),
    ("yolov4-tiny-3l",        320,  28.7,    331,     23988,   15, "AlexeyAB/darknet"),
    ("yolov4x-mish",          640,  50.1,   2013,    270855,   52, "AlexeyAB/darknet"),
    ("yolov4-csp-s",          640,  39.0,    893,     25500,   18, "PyTorch_YOLOv4"),
    ("efficientdet-d0",       512,  34.6,   4755,      9507,   41, "EfficientDet, table 2"),
    ("efficientdet-d1",       640,  40.5,   5983,     14658,   56, "EfficientDet, table 2"),
    ("efficientdet-d2",       768,  43.9,   6879,     18368,   64, "EfficientDet, table 2"),
    ("efficientdet-d3",       896,  47.2,   8255,     30608,   75, "EfficientDet, table 2"),
    ("efficientdet-d4",      1024,  49.7,   9543,     52064,   89, "EfficientDet, table 2"),
    ("efficientdet-d5",      1280,  51.5,   9875,     81885,   96, "EfficientDet, table 2"),
    ("efficientdet-d6",      1280,  52.6,  11419,    136817,  110, "EfficientDet, table 2"),
    ("efficientdet-d6",      1536,  53.7,  11419,    136817,  110, "EfficientDet, table 2"),
    ("efficientdet-d7x",     1536,  55.1,  20935,    172782,  136, "EfficientDet, table 2"),
    ("efficientdet-lite0",    320, 26.41,   4755,      9505,   41, "google/automl"),
    ("efficientdet-lite1",    384,  31.5,   5915,     13337,   54, "google/automl"),
    ("efficientdet-lite2",    448, 35.06,   6811,     16793,   62, "google/automl"),
    ("efficientdet-lite3",    512, 38.77,   8187,     28535,   73, "google/automl"),
    ("efficientdet-lite3x",   640, 42.64,   8187,     34126,   73, "google/automl"),
    ("efficientdet-lite4",    640, 43.18,   9475,     49238,   87, "google/automl"),
    ("efficientdet-d2",       640,  41.7,   6879,     18368,   64, "EfficientDet, at 640"),
    ("efficientdet-d3",       640,  44.0,   8255,     30608,   75, "EfficientDet, at 640"),
    ("efficientdet-d4",       640,  45.7,   9543,     52064,   89, "EfficientDet, at 640"),
    ("efficientdet-d5",       640,  46.6,   9875,     81885,   96, "EfficientDet, at 640"),
    ("efficientdet-d6",       640,  47.9,  11419,    136817,  110, "EfficientDet, at 640"),
)
# fmt: on
PUBLISHED_RESULTS = tuple(PublishedResult(*row) for row in _ROWS)

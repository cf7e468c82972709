"""The 80 classes of COCO: names, ids, and the older spellings that darknet's files use.

Source: https://cocodataset.org; darknet's `coco.names`, in the public domain.
"""

COCO_NAMES = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
)

# Other spellings of the same class, in darknet's files and in Pascal VOC.
ALIASES = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}

_DARKNET = {name: alias for alias, name in ALIASES.items()}
DARKNET_COCO_NAMES = tuple(_DARKNET.get(name, name) for name in COCO_NAMES)


# COCO numbers its classes from 1 to 90 and leaves out ten that it never published. Networks that
# count by id, as EfficientDet does, have outputs for those ten too.
UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
_UNUSED = "unused "
_USED_IDS = [id_ for id_ in range(1, 91) if id_ not in UNUSED_IDS]
COCO_CATEGORY_IDS = dict(zip(COCO_NAMES, _USED_IDS, strict=True))  # name → id
COCO_ID_NAMES = tuple(
    {id_: name for name, id_ in COCO_CATEGORY_IDS.items()}.get(id_, f"{_UNUSED}{id_}")
    for id_ in range(1, 91)
)  # the class of id 1 first, `unused 12` for an id without one


def is_unused(name: str) -> bool:
    """Whether a class of this name stands for an id without a class: `unused 12`.

    >>> is_unused("unused 12"), is_unused("unused sofa")
    (True, False)
    """
    return name.startswith(_UNUSED) and name.removeprefix(_UNUSED).isdecimal()


def canonical_name(name: str) -> str:
    """The spelling under which classes are compared: `TVmonitor` and `tv` are the same.

    >>> canonical_name("motorbike")
    'motorcycle'
    """
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return ALIASES.get(plain, plain)

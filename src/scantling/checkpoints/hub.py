"""Official weights of the named models, downloaded once into a cache.

Addresses: https://github.com/AlexeyAB/darknet and https://github.com/rwightman/efficientdet-pytorch,
releases. Where no sha256 was ever published, the exact size of the file is checked instead; effdet
has published the first digits of the sha256, in the names of its files.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from ..errors import DownloadFailed, lookup
from ..io import default_cache
from ..specs import find_spec
from .download import Progress, download

_DARKNET = "https://github.com/AlexeyAB/darknet/releases/download"
_EFFDET = "https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1"

SHA256_DIGITS = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedWeights:
    """A published weights file.

    Args:
        url: where it is.
        size: in bytes; None where it is not known.
        sha256: in hexadecimal, or as many of its first digits as are known; None without any.
    """

    url: str
    size: int | None
    sha256: str | None = None

    @property
    def file_name(self) -> str:
        """File name in the cache."""
        return self.url.rpartition("/")[2]


# effdet's files, whose names end in eight digits of their sha256.
_EFFDET_FILES = {
    "efficientdet-d0": "tf_efficientdet_d0_34-f153e0cf",
    "efficientdet-d1": "tf_efficientdet_d1_40-a30f94af",
    "efficientdet-d2": "tf_efficientdet_d2_43-8107aa99",
    "efficientdet-d3": "tf_efficientdet_d3_47-0b525f35",
    "efficientdet-d4": "tf_efficientdet_d4_49-f56376d9",
    "efficientdet-d5": "tf_efficientdet_d5_51-c79f9be6",
    "efficientdet-d6": "tf_efficientdet_d6_52-4eda3773",
    "efficientdet-d7": "tf_efficientdet_d7_53-6d1d7a95",
    "efficientdet-d7x": "tf_efficientdet_d7x-f390b87c",
    "efficientdet-d0-pt": "efficientdet_d0-f3276ba8",
    "efficientdet-d1-pt": "efficientdet_d1-bb7e98fe",
    "efficientdet-d0-ap": "tf_efficientdet_d0_ap-d0cdbd0a",
    "efficientdet-d1-ap": "tf_efficientdet_d1_ap-7721d075",
    "efficientdet-d2-ap": "tf_efficientdet_d2_ap-a2995c19",
    "efficientdet-d3-ap": "tf_efficientdet_d3_ap-e4a2feab",
    "efficientdet-d4-ap": "tf_efficientdet_d4_ap-f601a5fc",
    "efficientdet-d5-ap": "tf_efficientdet_d5_ap-3673ae5d",
    "efficientdet-lite0": "tf_efficientdet_lite0-dfacfc78",
    "efficientdet-lite1": "tf_efficientdet_lite1-6dc7ab30",
    "efficientdet-lite2": "tf_efficientdet_lite2-86c5d55b",
    "efficientdet-lite3": "tf_efficientdet_lite3-506852cb",
    "efficientdet-lite3x": "tf_efficientdet_lite3x-8404c57b",
    "efficientdet-lite4": "tf_efficientdet_lite4-391ddabc",
}
OFFICIAL = {
    "yolov4": PublishedWeights(f"{_DARKNET}/darknet_yolo_v3_optimal/yolov4.weights", 257_717_640),
    "yolov4-csp": PublishedWeights(
        f"{_DARKNET}/darknet_yolo_v4_pre/yolov4-csp.weights", 211_944_840
    ),
    "yolov4-p5": PublishedWeights(f"{_DARKNET}/darknet_yolo_v4_pre/yolov4-p5.weights", 283_669_892),
    "yolov4-p6": PublishedWeights(f"{_DARKNET}/darknet_yolo_v4_pre/yolov4-p6.weights", 510_868_180),
    "yolov4-tiny": PublishedWeights(
        f"{_DARKNET}/darknet_yolo_v4_pre/yolov4-tiny.weights",
        24_251_276,
        "cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87",
    ),
    "yolov4x-mish": PublishedWeights(
        f"{_DARKNET}/darknet_yolo_v4_pre/yolov4x-mish.weights", 399_388_168
    ),
    **{
        name: PublishedWeights(f"{_EFFDET}/{file}.pth", None, file.rpartition("-")[2])
        for name, file in _EFFDET_FILES.items()
    },
}

_DRIVE = "https://drive.google.com/uc?id="

# Weights that are offered only where a program cannot fetch them, and the file to save them as.
MANUAL_DOWNLOADS = {
    "yolov4-csresnext50": "https://github.com/AlexeyAB/darknet#pre-trained-models",
    "yolov4-p5-pt": f"{_DRIVE}1aXZZE999sHMP1gev60XhNChtHPRMH3Fz",
    "yolov4-p6-pt": f"{_DRIVE}1aB7May8oPYzBqbgwYSZHuATPXyxh9xnf",
    "yolov4-p7": f"{_DRIVE}18fGlzgEJTkUEiBG4hW00pyedJKNnYLP3",
    "yolov4-sam-mish": f"{_DRIVE}1wK66ga9YgtjGNSm9fpouJn2GaDxa7SfT",
}


def fetch_weights(
    name: str,
    *,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> Path:
    """Download the official weights of a named model, unless they are in the cache.

    Args:
        name: a name in the catalogue.
        cache: folder to keep them in; `default_cache()` if None.
        progress: called with the bytes so far and the bytes in all.
        timeout: seconds without a byte until a connection counts as broken.

    Raises:
        UnknownName: no model has this name.
        DownloadFailed: nobody offers weights for it, or they cannot be fetched; says what to do.
    """
    find_spec(name)
    if name not in OFFICIAL:
        raise _not_offered(name)
    published = lookup(OFFICIAL, name, "weights")
    folder = default_cache() if cache is None else Path(cache)
    target = folder / published.file_name
    download(
        published.url,
        target,
        size=published.size,
        sha256=published.sha256,
        progress=progress,
        timeout=timeout,
    )
    known = published.sha256
    if known is None:
        logger.info(f"{target}: no sha256 of it was published; its size was checked")
    elif len(known) < SHA256_DIGITS:
        logger.info(f"{target}: of its sha256 only {known}… was published, and checked")
    return target


def _not_offered(name: str) -> DownloadFailed:
    if name in MANUAL_DOWNLOADS:
        return DownloadFailed(
            MANUAL_DOWNLOADS[name],
            f"the weights of {name} are offered there only to people with a browser",
            f"Fetch them by hand and give the file: --model {name} --weights FILE",
        )
    return DownloadFailed(
        f"weights for {name}",
        "nobody offers any",
        f"Train it, or give your own: --model {name} --weights FILE; "
        f"there are weights for {', '.join(OFFICIAL)}",
    )

"""Any convolutional timm network as a backbone.

Library: https://github.com/huggingface/pytorch-image-models, Apache-2.0; its weights have licences
of their own. It is imported when such a backbone is described or built.
"""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import DownloadFailed, InvalidSpec, InvalidValue, MissingPackage, UnknownName
from ..specs import BackboneSpec

logger = logging.getLogger(__name__)

# What timm raises for networks that have no feature maps, and what it and its hub client raise.
_DESCRIPTION_ERRORS = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError)
_DOWNLOAD_ERRORS = (OSError, RuntimeError, ValueError, SafetensorError)


class TimmBackbone(nn.Module):
    """Feature maps of a timm network at the spec's strides, freshly initialised.

    Shape: (N, 3, H, W) → per output (N, C, H / stride, W / stride), finest first.

    Attributes:
        channels: width of each output.
        strides: input pixels per cell of each output.

    Raises:
        MissingPackage: timm is not installed.
        UnknownName: timm has no network of that name.
        InvalidSpec: the network has no features at those strides.
    """

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.name = spec.name or ""
        indices = _stride_indices(self.name)
        if not set(spec.feature_strides) <= indices.keys():
            raise _no_such_strides(self.name, spec.feature_strides, indices)
        self.strides = spec.feature_strides
        self.network = _features(self.name, [indices[stride] for stride in self.strides])
        self.channels: tuple[int, ...] = tuple(self.network.feature_info.channels())
        self.channels_last = str(getattr(self.network, "output_fmt", None)).endswith("NHWC")

    def forward(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.network(images)
        if self.channels_last:
            return [x.permute(0, 3, 1, 2).contiguous() for x in features]
        return features


def timm_backbone(name: str, *, outputs: int = 3) -> BackboneSpec:
    """Describe a timm network as a backbone whose coarsest feature maps are the outputs.

    Args:
        name: as in `timm.list_models()`: `mobilenetv3_large_100`, or with the tag of its weights,
            `mobilenetv3_large_100.ra_in1k`.
        outputs: how many features; 3 end at strides 8, 16 and 32 in most networks.

    Raises:
        MissingPackage: timm is not installed.
        UnknownName: timm has no network of that name.
        InvalidSpec: the network has fewer strides, or is no pyramid at all.
    """
    indices = _stride_indices(name)
    strides = tuple(sorted(indices))[-outputs:]
    if len(strides) < outputs:
        raise _no_such_strides(name, (f"{outputs} of them",), indices)
    return BackboneSpec(kind="timm", name=name, feature_strides=strides, outputs=outputs)


def load_timm_weights(backbone: nn.Module) -> None:
    """Load timm's pretrained weights into a timm backbone; they are downloaded once.

    Args:
        backbone: a `TimmBackbone`; changed in place.

    Raises:
        InvalidValue: the backbone is none of timm's, or timm has no weights for it.
        DownloadFailed: the weights cannot be fetched.
    """
    if not isinstance(backbone, TimmBackbone):
        raise InvalidValue(
            "pretrained_backbone",
            True,
            "False for this model: only a backbone of kind timm has weights of its own",
        )
    timm = _import_timm()
    offered = timm.get_pretrained_cfg(backbone.name)
    if offered is None or not offered.has_weights:
        raise InvalidValue("pretrained_backbone", True, f"False: timm has none for {backbone.name}")
    logger.info(f"{backbone.name}: weights of timm, licence {offered.license or 'not stated'}")
    indices = list(backbone.network.feature_info.out_indices)
    try:
        trained = _features(backbone.name, indices, pretrained=True)
    except _DOWNLOAD_ERRORS as error:
        raise DownloadFailed(
            f"the weights of {backbone.name}",
            str(error).strip().partition("\n")[0][:300] or type(error).__name__,
            "Try again online; timm keeps what it fetched",
        ) from error
    backbone.network.load_state_dict(trained.state_dict())


def _import_timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingPackage("timm", "A backbone of kind timm") from error
    return timm


def _features(name: str, indices: Sequence[int], *, pretrained: bool = False) -> Any:
    """Build the timm network up to the coarsest requested feature map."""
    timm = _import_timm()
    return timm.create_model(
        name, features_only=True, out_indices=tuple(indices), pretrained=pretrained
    )


def _stride_indices(name: str) -> dict[int, int]:
    """Index of the last feature map of each stride."""
    timm = _import_timm()
    # only names of its own lists: create_model would follow others to the network or the disk
    known = {*timm.list_models(), *timm.list_pretrained()}
    if name not in known:
        raise UnknownName("timm network", name, known)
    try:
        with torch.device("meta"):
            features = timm.create_model(name, features_only=True, pretrained=False).feature_info
    except _DESCRIPTION_ERRORS as error:
        raise InvalidSpec(
            name, f"timm gives no features of it ({str(error)[:200]})", "Use another network"
        ) from error
    indices = zip(features.reduction(), features.out_indices, strict=True)
    return {int(stride): int(index) for stride, index in indices}


def _no_such_strides(name: str, wanted: Sequence[object], indices: dict[int, int]) -> InvalidSpec:
    return InvalidSpec(
        name,
        f"features at strides {', '.join(map(str, wanted))} were asked for; "
        f"it has them at {', '.join(map(str, sorted(indices)))}",
        "Ask for fewer outputs, or use another network",
    )

"""Every section and option of a `.cfg`, and whether it is supported, ignored or refused.

Facts: https://github.com/AlexeyAB/darknet/wiki/CFG-Parameters-in-the-different-layers.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import nearest_hint
from .cfg import Section


@dataclass(frozen=True)
class Known:
    """The options of one kind of section.

    Attributes:
        supported: change the network, and are read where it is built.
        ignored: training, augmentation, tracking, plotting, or nothing at all even in
            darknet; the network is the same whatever they say.
        harmless: would change the network in a way that is not offered; accepted at this value.
        unsupported: would change the network in a way that is not offered, at any value.
    """

    supported: Collection[str] = ()
    ignored: Collection[str] = ()
    harmless: Mapping[str, int] = field(default_factory=dict)
    unsupported: Collection[str] = ()


_names = str.split
# Of every layer; `dontload` and `dontloadscales` act when weights are read.
_ANY_LAYER_SUPPORTED = _names("dontload dontloadscales")
_ANY_LAYER_IGNORED = _names(
    "clip onlyforward dont_update burnin_update stopbackward train_only_bn learning_rate"
)

_POOL_HARMLESS = {"antialiasing": 0, "maxpool_zero_nonmax": 0}

KNOWN: dict[str, Known] = {
    "net": Known(
        supported=_names("width height channels letter_box"),
        ignored=_names(
            """
            batch subdivisions momentum decay learning_rate learning_rate_min policy power burn_in
            max_batches max_epochs steps scales seq_scales step gamma scale sgdr_cycle sgdr_mult
            adam B1 B2 eps ema_alpha label_smooth_eps angle aspect saturation exposure hue flip
            blur gaussian_noise mixup cutmix mosaic mosaic_bound resize_step dynamic_minibatch
            adversarial_lr attention max_crop min_crop loss_scale optimized_memory
            workspace_size_limit_MB max_chart_loss inputs time_steps track augment_speed
            sequential_subdivisions try_fix_nan weights_reject_freq equidistant_point
            badlabels_rejection_percentage num_sigmas_reject_badlabels badlabels_reject_threshold
            use_cuda_graph unsupervised contrastive contrastive_jit_flip contrastive_color
            """
        ),
    ),
    "convolutional": Known(
        supported=_names(
            """
            filters size stride stride_x stride_y pad padding groups dilation batch_normalize cbn
            activation share_index
            """
        ),
        # `angle` speaks of `rotate` and `sway`; `grad_centr` of gradients.
        ignored=_names("angle grad_centr"),
        harmless=dict.fromkeys(
            _names(
                """
                antialiasing flipped dot xnor binary bin_output sway rotate stretch stretch_sway
                reverse coordconv assisted_excitation
                """
            ),
            0,
        ),
    ),
    "maxpool": Known(
        supported=_names("size stride stride_x stride_y padding maxpool_depth out_channels"),
        harmless=_POOL_HARMLESS,
    ),
    "local_avgpool": Known(
        supported=_names("size stride stride_x stride_y padding"), harmless=_POOL_HARMLESS
    ),
    "avgpool": Known(),
    "route": Known(supported=_names("layers groups group_id")),
    "shortcut": Known(
        supported=_names("from activation weights_type weights_normalization"),
        harmless={"assisted_excitation": 0},
    ),
    "sam": Known(supported=_names("from activation")),
    "scale_channels": Known(supported=_names("from activation scale_wh")),
    "upsample": Known(supported=_names("stride scale")),
    "reorg3d": Known(supported=_names("stride"), harmless={"reverse": 0}),
    "reorg": Known(supported=_names("stride"), harmless={"reverse": 0, "flatten": 0, "extra": 0}),
    "dropout": Known(
        supported=_names("probability dropblock dropblock_size_rel dropblock_size_abs")
    ),
    "activation": Known(supported=_names("activation")),
    "empty": Known(),
    "yolo": Known(
        supported=_names("classes num mask anchors scale_x_y new_coords"),
        ignored=_names(
            """
            max jitter resize random ignore_thresh truth_thresh iou_normalizer obj_normalizer
            cls_normalizer delta_normalizer iou_loss iou_thresh_kind iou_thresh nms_kind beta_nms
            objectness_smooth max_delta focal_loss label_smooth_eps counters_per_class map
            embedding_layer track_history_size sim_thresh dets_for_show dets_for_track
            track_ciou_norm uc_normalizer beta1
            """
        ),
    ),
    "region": Known(
        supported=_names("classes num anchors softmax"),
        ignored=_names(
            """
            max jitter random bias_match rescore object_scale noobject_scale mask_scale class_scale
            coord_scale absolute thresh focal_loss log sqrt
            """
        ),
        harmless={"coords": 4, "background": 0},
        unsupported=_names("tree map"),
    ),
}

_CLASSIFIER = "it belongs to classifiers; this package reads detectors"
_RECURRENT = "it remembers earlier frames; this package looks at single images"

UNSUPPORTED: dict[str, str] = {
    "Gaussian_yolo": "boxes with an uncertainty of their own cannot be decoded here",
    "detection": "the head of the first YOLO cannot be decoded here",
    "connected": "it ties the network to one image size",
    "local": "it ties the network to one image size",
    "deconvolutional": "transposed convolution is not offered",
    "normalization": "local response normalisation is not offered",
    "batchnorm": "normalisation is offered only as batch_normalize=1 of a [convolutional]",
    "implicit": "learned constants are not offered",
    "contrastive": "it trains embeddings for tracking",
    "history": _RECURRENT,
    "crnn": _RECURRENT,
    "rnn": _RECURRENT,
    "gru": _RECURRENT,
    "lstm": _RECURRENT,
    "conv_lstm": _RECURRENT,
    "softmax": _CLASSIFIER,
    "cost": _CLASSIFIER,
    "crop": _CLASSIFIER,
}

DETECTION = frozenset({"yolo", "region"})


def check_options(sections: Iterable[Section]) -> None:
    """Refuse what this package does not support, instead of skipping it as darknet does.

    Raises:
        InvalidCfg: names the line, the section, the option, and the nearest real name.
    """
    for section in sections:
        known = _known(section)
        accepted = {*known.supported, *known.ignored}
        if section.kind != "net":
            accepted.update(_ANY_LAYER_SUPPORTED, _ANY_LAYER_IGNORED)
        for key in section.options:
            if key in known.unsupported:
                raise section.error(
                    f"{key} is not supported", f"Use a cfg without {key}", option=key
                )
            if key in known.harmless:
                _check_harmless(section, key, known.harmless[key])
            elif key not in accepted:
                names = accepted | known.harmless.keys()
                raise section.error(
                    f"unknown option {key!r}",
                    f"Correct it, or put # in front to leave it out.{nearest_hint(key, names)} "
                    f"Known: {', '.join(sorted(names))}",
                    option=key,
                )


def _known(section: Section) -> Known:
    if section.kind in UNSUPPORTED:
        raise section.error(
            f"this layer is not supported: {UNSUPPORTED[section.kind]}", "Use a cfg without it"
        )
    if section.kind not in KNOWN:
        raise section.error(
            "no layer has this name",
            f"Correct it.{nearest_hint(section.kind, KNOWN)} Known: {', '.join(sorted(KNOWN))}",
        )
    return KNOWN[section.kind]


def _check_harmless(section: Section, key: str, harmless: int) -> None:
    if section.number(key, harmless) != harmless:
        raise section.error(
            f"{key}={section.options[key].text} is not supported",
            f"Use a cfg with {key}={harmless}",
            option=key,
        )

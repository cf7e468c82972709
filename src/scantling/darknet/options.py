"""Every section and option of a `.cfg`, and what is done with it: none is skipped in silence.

The names are those that AlexeyAB's parser reads (https://github.com/AlexeyAB/darknet, `parser.c`),
and what the cfg files beside it hold. docs/darknet.md has them as a table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import nearest_hint
from .cfg import Section

Outcome = Literal["supported", "no effect", "not trained", "refused"]


@dataclass(frozen=True)
class Rule:
    """What is done with one option.

    Attributes:
        outcome: `supported`: read for the network, for its detections or for training. `no effect`:
            on no box, score or weight, here and, but where `why` tells otherwise, in darknet.
            `not trained`: it changes training in a way that is not offered; a run goes on without
            it and warns. `refused`: it would change the network, and is an error.
        why: in a few words.
        inert: the value at which it does nothing, so that it is neither refused nor warned of.
    """

    outcome: Outcome
    why: str
    inert: float | None = None


Rules = Mapping[str, Rule]


def _all(outcome: Outcome, why: str, names: str, *, inert: float | None = None) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), Rule(outcome, why, inert))


_CLASSIFIERS = "darknet uses it for classifiers only"
_TRACKING = "tracking: how objects of one video frame are tied to those of the next"
_UNREAD = "darknet reads it and does nothing with it"
_UNKNOWN = "darknet does not read it"
_LAYER = "the layer"
_NO_REGION = "training of [region], which is refused"

_ANY_LAYER: Rules = {
    **_all("supported", "which weights are read from a file", "dontload dontloadscales"),
    **_all(
        "supported", "1 freezes it and all layers before it; of others train warns", "stopbackward"
    ),
    **_all("not trained", "the weights are not clipped", "clip", inert=0),
    **_all("not trained", "--set freeze=… freezes parts of a network", "onlyforward", inert=0),
    **_all("not trained", "a layer is trained from the first update on", "dont_update", inert=0),
    **_all("not trained", "a layer is trained from the first update on", "burnin_update", inert=0),
    **_all("not trained", "weights are trained with their norms", "train_only_bn", inert=0),
    **_all("not trained", "all layers have one learning rate", "learning_rate", inert=1),
}

_NET: Rules = {
    **_all("supported", "the size of the network's input", "width height"),
    **_all("refused", "images are RGB", "channels", inert=3),
    **_all("supported", "letterbox or stretch, in prediction and training", "letter_box"),
    **_all("supported", "images of one batch and of one update", "batch subdivisions"),
    **_all(
        "supported",
        "how long a run is, in epochs of the data; --epochs for another length",
        "max_batches",
    ),
    **_all("supported", "the optimizer", "learning_rate momentum decay"),
    **_all(
        "supported",
        "the schedule; policies step, exp, sigmoid and random are refused by train",
        "policy power burn_in steps scales step scale gamma sgdr_cycle sgdr_mult learning_rate_min",
    ),
    **_all("supported", "the moving average of the weights", "ema_alpha"),
    **_all(
        "supported",
        "augmentation",
        "saturation exposure hue flip blur gaussian_noise mixup mosaic mosaic_bound",
    ),
    **_all("supported", "multi-scale training", "resize_step dynamic_minibatch"),
    **_all(
        "supported",
        "self-adversarial training, of a strength of its own: --set self_adversarial.strength",
        "adversarial_lr",
    ),
    **_all("no effect", f"{_CLASSIFIERS}; beside it mixup is off, here too", "cutmix"),
    **_all("no effect", _CLASSIFIERS, "angle aspect max_crop min_crop label_smooth_eps attention"),
    **_all("no effect", "it only prints", "show_receptive_field"),
    **_all("no effect", "the scale of a plot", "max_chart_loss"),
    **_all("no effect", "memory or speed", "optimized_memory workspace_size_limit_MB"),
    **_all("no effect", "memory or speed", "use_cuda_graph"),
    **_all("no effect", "half precision is scaled by itself here", "loss_scale"),
    **_all("no effect", "width, height and channels say it", "inputs"),
    **_all("no effect", f"{_UNKNOWN}: the .weights file holds it", "seen"),
    **_all("no effect", _UNKNOWN, "max_epochs"),
    **_all(
        "not trained",
        "a run here is by SGD; --set optimizer.kind=adamw is the nearest",
        "adam",
        inert=0,
    ),
    **_all("no effect", "of adam=1, which is not trained by", "B1 B2 eps"),
    **_all("not trained", "images come singly, not as sequences", "time_steps", inert=1),
    **_all("not trained", "images come singly, not as sequences", "track", inert=0),
    **_all("no effect", "of track=1, which is not trained by", "augment_speed"),
    **_all("no effect", "of track=1, which is not trained by", "sequential_subdivisions"),
    **_all("not trained", "images come singly, not as sequences", "seq_scales"),
    **_all("not trained", "gradients are taken as they are", "try_fix_nan", inert=0),
    **_all(
        "not trained",
        "every label is trusted",
        "weights_reject_freq equidistant_point badlabels_rejection_percentage"
        " num_sigmas_reject_badlabels badlabels_reject_threshold",
        inert=0,
    ),
    **_all("not trained", "there is no contrastive loss", "contrastive unsupervised", inert=0),
    **_all("no effect", "of contrastive=1", "contrastive_jit_flip contrastive_color"),
}

_CONVOLUTIONAL: Rules = {
    **_all(
        "supported",
        _LAYER,
        "filters size stride stride_x stride_y pad padding groups dilation batch_normalize"
        " activation share_index",
    ),
    **_all("supported", "the layer; cross mini-batch statistics in training", "cbn"),
    **_all(
        "refused",
        "the network would be another",
        "antialiasing flipped xnor binary bin_output sway rotate stretch stretch_sway coordconv",
        inert=0,
    ),
    **_all("not trained", "no feature is excited by labels", "assisted_excitation", inert=0),
    **_all("not trained", "gradients are taken as they are", "grad_centr reverse", inert=0),
    **_all("no effect", "of rotate and sway, which are refused", "angle"),
    **_all("no effect", _UNREAD, "dot"),
    **_all("no effect", "CUDA streams", "stream wait_stream"),
}

_POOL: Rules = {
    **_all("supported", _LAYER, "size stride stride_x stride_y padding"),
    **_all("refused", "the network would be another", "antialiasing", inert=0),
    **_all("refused", "the network would be another", "maxpool_zero_nonmax", inert=0),
}

_YOLO: Rules = {
    **_all("supported", "decoding", "classes num mask anchors scale_x_y new_coords"),
    **_all(
        "supported",
        "the kind of NMS of predict, of exported files and of evaluate --protocol darknet:"
        " default is by IoU, greedynms by IoU − (d²/c²)^0.6, diounms by IoU − (d²/c²)^beta_nms",
        "nms_kind beta_nms",
    ),
    **_all(
        "supported",
        "the loss",
        "ignore_thresh iou_thresh iou_thresh_kind iou_loss iou_normalizer obj_normalizer"
        " delta_normalizer objectness_smooth max_delta focal_loss label_smooth_eps",
    ),
    **_all("supported", "the loss: weights of the classes", "counters_per_class"),
    **_all("supported", "augmentation, of the last detection layer", "jitter resize"),
    **_all("supported", "multi-scale training, of the last detection layer", "random"),
    **_all("no effect", "but beside counters_per_class, where train warns", "cls_normalizer"),
    **_all("not trained", "no prediction is moved but for its anchor", "truth_thresh", inert=1),
    **_all("not trained", "labels are matched to classes by name", "map"),
    **_all("no effect", "every object of an image is trained on, in any number", "max"),
    **_all("no effect", "it only prints", "show_details"),
    **_all(
        "no effect",
        _TRACKING,
        "embedding_layer track_history_size sim_thresh dets_for_show dets_for_track"
        " track_ciou_norm",
    ),
    **_all("no effect", "OpenCV's; darknet does not read it: --min-score", "thresh"),
    **_all("no effect", "OpenCV's; darknet does not read it: --iou-threshold", "nms_threshold"),
    **_all("no effect", _UNKNOWN, "uc_normalizer beta1"),
}

_REGION: Rules = {
    **_all("supported", "decoding", "classes num anchors softmax"),
    **_all("refused", "boxes have four coordinates", "coords", inert=4),
    **_all("refused", "the network would be another", "background", inert=0),
    **_all("refused", "the class tree of YOLO9000 is not read", "tree map"),
    **_all(
        "no effect",
        _NO_REGION,
        "max jitter resize random bias_match rescore object_scale noobject_scale mask_scale"
        " class_scale coord_scale absolute thresh focal_loss classfix log sqrt",
    ),
}

# The options of each kind of section, without those of any layer.
SECTIONS: Mapping[str, Rules] = {
    "net": _NET,
    "convolutional": _CONVOLUTIONAL,
    "maxpool": {**_POOL, **_all("supported", "the layer", "maxpool_depth out_channels")},
    "local_avgpool": _POOL,
    "avgpool": {},
    "route": {
        **_all("supported", _LAYER, "layers groups group_id"),
        **_all("no effect", "CUDA streams", "stream wait_stream"),
    },
    "shortcut": {
        **_all("supported", _LAYER, "from activation weights_type"),
        **_all("supported", _LAYER, "weights_normalization"),
        **_all("no effect", _UNKNOWN, "assisted_excitation"),
    },
    "sam": _all("supported", _LAYER, "from activation"),
    "scale_channels": _all("supported", _LAYER, "from activation scale_wh"),
    "upsample": _all("supported", _LAYER, "stride scale"),
    "reorg3d": {
        **_all("supported", _LAYER, "stride"),
        **_all("refused", "the network would be another", "reverse", inert=0),
    },
    "reorg": {
        **_all("supported", _LAYER, "stride"),
        **_all("refused", "the network would be another", "reverse flatten extra", inert=0),
    },
    "dropout": _all(
        "supported",
        "the layer, in training",
        "probability dropblock dropblock_size_rel dropblock_size_abs",
    ),
    "activation": _all("supported", _LAYER, "activation"),
    "empty": {},
    "yolo": _YOLO,
    "region": _REGION,
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


def rules_of(kind: str) -> Rules:
    """The rules of every option that a kind of section may have."""
    own = SECTIONS[kind]
    return own if kind == "net" else {**_ANY_LAYER, **own}


def check_options(sections: Iterable[Section]) -> None:
    """Refuse what this package does not support, instead of skipping it as darknet does.

    Raises:
        InvalidCfg: names the line, the section, the option, and the nearest real name.
    """
    for section in sections:
        _check_kind(section)
        rules = rules_of(section.kind)
        for key in section.options:
            if key not in rules:
                raise section.error(
                    f"unknown option {key!r}",
                    f"Correct it, or put # in front to leave it out.{nearest_hint(key, rules)} "
                    f"Known: {', '.join(sorted(rules))}",
                    option=key,
                )
            if rules[key].outcome == "refused" and not _is_inert(section, key, rules[key]):
                _refuse(section, key, rules[key])


def not_trained(sections: Iterable[Section]) -> list[str]:
    """What a training run of these sections goes without, one line an option: to be warned of.

    Raises:
        InvalidCfg: the value of such an option is no number.
    """
    found: dict[str, Section] = {}
    for section in sections:
        rules = rules_of(section.kind)
        for key in section.options:
            if rules[key].outcome == "not trained" and not _is_inert(section, key, rules[key]):
                told = f"{key}={section.options[key].text}: {rules[key].why}"
                found.setdefault(told, section)
    return [
        f"{section.source}: [{section.kind}] {told}; training goes without it"
        for told, section in found.items()
    ]


def _is_inert(section: Section, key: str, rule: Rule) -> bool:
    return rule.inert is not None and section.number(key, rule.inert) == rule.inert


def _check_kind(section: Section) -> None:
    if section.kind in UNSUPPORTED:
        raise section.error(
            f"this layer is not supported: {UNSUPPORTED[section.kind]}", "Use a cfg without it"
        )
    if section.kind not in SECTIONS:
        raise section.error(
            "no layer has this name",
            f"Correct it.{nearest_hint(section.kind, SECTIONS)} "
            f"Known: {', '.join(sorted(SECTIONS))}",
        )


def _refuse(section: Section, key: str, rule: Rule) -> None:
    fix = (
        f"Use a cfg without {key}" if rule.inert is None else f"Use a cfg with {key}={rule.inert:g}"
    )
    given = key if rule.inert is None else f"{key}={section.options[key].text}"
    raise section.error(f"{given} is not supported: {rule.why}", fix, option=key)

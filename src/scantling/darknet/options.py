"""Every section and option of a `.cfg`, and what is done with it: none is skipped in silence.

The names are those that AlexeyAB's parser reads (https://github.com/AlexeyAB/darknet, `parser.c`),
and what the cfg files beside it hold. docs/darknet.md has them as a table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from ..errors import nearest_hint
from .cfg import Section

Outcome = Literal["supported", "no effect", "not trained", "refused"]


@dataclass(frozen=True)
class Rule:
    """What is done with some options.

    Attributes:
        outcome: `supported`: read for the network, for its detections or for training. `no effect`:
            on no box, score or weight, here and, but where `why` tells otherwise, in darknet.
            `not trained`: it changes training in a way that is not offered; a run goes on without
            it and warns. `refused`: it would change the network, and is an error.
        why: in a few words.
        options: their names, with blanks between.
        inert: the value at which it does nothing, so that it is neither refused nor warned of.
    """

    outcome: Outcome
    why: str
    options: str = field(compare=False)
    inert: float | None = None


Rules = tuple[Rule, ...]  # of an option that two name, the later holds


_CLASSIFIERS = "darknet uses it for classifiers only"
_TRACKING = "tracking: how objects of one video frame are tied to those of the next"
_UNREAD = "darknet reads it and does nothing with it"
_UNKNOWN = "darknet does not read it"
_LAYER = "the layer"
_NO_REGION = "training of [region], which is refused"

_ANY_LAYER: Rules = (
    Rule("supported", "which weights are read from a file", "dontload dontloadscales"),
    Rule(
        "supported", "1 freezes it and all layers before it; of others train warns", "stopbackward"
    ),
    Rule("not trained", "the weights are not clipped", "clip", inert=0),
    Rule("not trained", "--set freeze=… freezes parts of a network", "onlyforward", inert=0),
    Rule("not trained", "a layer is trained from the first update on", "dont_update", inert=0),
    Rule("not trained", "a layer is trained from the first update on", "burnin_update", inert=0),
    Rule("not trained", "weights are trained with their norms", "train_only_bn", inert=0),
    Rule("not trained", "all layers have one learning rate", "learning_rate", inert=1),
)

_NET: Rules = (
    Rule("supported", "the size of the network's input", "width height"),
    Rule("refused", "images are RGB", "channels", inert=3),
    Rule("supported", "letterbox or stretch, in prediction and training", "letter_box"),
    Rule("supported", "images of one batch and of one update", "batch subdivisions"),
    Rule(
        "supported",
        "how long a run is, in epochs of the data; --epochs for another length",
        "max_batches",
    ),
    Rule("supported", "the optimizer", "learning_rate momentum decay"),
    Rule(
        "supported",
        "the schedule; policies step, exp, sigmoid and random are refused by train",
        "policy power burn_in steps scales step scale gamma sgdr_cycle sgdr_mult learning_rate_min",
    ),
    Rule("supported", "the moving average of the weights", "ema_alpha"),
    Rule(
        "supported",
        "augmentation",
        "saturation exposure hue flip blur gaussian_noise mixup mosaic mosaic_bound",
    ),
    Rule("supported", "multi-scale training", "resize_step dynamic_minibatch"),
    Rule(
        "supported",
        "self-adversarial training, of a strength of its own: --set self_adversarial.strength",
        "adversarial_lr",
    ),
    Rule("no effect", f"{_CLASSIFIERS}; beside it mixup is off, here too", "cutmix"),
    Rule("no effect", _CLASSIFIERS, "angle aspect max_crop min_crop label_smooth_eps attention"),
    Rule("no effect", "it only prints", "show_receptive_field"),
    Rule("no effect", "the scale of a plot", "max_chart_loss"),
    Rule("no effect", "memory or speed", "optimized_memory workspace_size_limit_MB"),
    Rule("no effect", "memory or speed", "use_cuda_graph"),
    Rule("no effect", "half precision is scaled by itself here", "loss_scale"),
    Rule("no effect", "width, height and channels say it", "inputs"),
    Rule("no effect", f"{_UNKNOWN}: the .weights file holds it", "seen"),
    Rule("no effect", _UNKNOWN, "max_epochs"),
    Rule(
        "not trained",
        "a run here is by SGD; --set optimizer.kind=adamw is the nearest",
        "adam",
        inert=0,
    ),
    Rule("no effect", "of adam=1, which is not trained by", "B1 B2 eps"),
    Rule("not trained", "images come singly, not as sequences", "time_steps", inert=1),
    Rule("not trained", "images come singly, not as sequences", "track", inert=0),
    Rule("no effect", "of track=1, which is not trained by", "augment_speed"),
    Rule("no effect", "of track=1, which is not trained by", "sequential_subdivisions"),
    Rule("not trained", "images come singly, not as sequences", "seq_scales"),
    Rule("not trained", "gradients are taken as they are", "try_fix_nan", inert=0),
    Rule(
        "not trained",
        "every label is trusted",
        "weights_reject_freq equidistant_point badlabels_rejection_percentage"
        " num_sigmas_reject_badlabels badlabels_reject_threshold",
        inert=0,
    ),
    Rule("not trained", "there is no contrastive loss", "contrastive unsupervised", inert=0),
    Rule("no effect", "of contrastive=1", "contrastive_jit_flip contrastive_color"),
)

_CONVOLUTIONAL: Rules = (
    Rule(
        "supported",
        _LAYER,
        "filters size stride stride_x stride_y pad padding groups dilation batch_normalize"
        " activation share_index",
    ),
    Rule("supported", "the layer; cross mini-batch statistics in training", "cbn"),
    Rule(
        "refused",
        "the network would be another",
        "antialiasing flipped xnor binary bin_output sway rotate stretch stretch_sway coordconv",
        inert=0,
    ),
    Rule("not trained", "no feature is excited by labels", "assisted_excitation", inert=0),
    Rule("not trained", "gradients are taken as they are", "grad_centr reverse", inert=0),
    Rule("no effect", "of rotate and sway, which are refused", "angle"),
    Rule("no effect", _UNREAD, "dot"),
    Rule("no effect", "CUDA streams", "stream wait_stream"),
)

_POOL: Rules = (
    Rule("supported", _LAYER, "size stride stride_x stride_y padding"),
    Rule("refused", "the network would be another", "antialiasing", inert=0),
    Rule("refused", "the network would be another", "maxpool_zero_nonmax", inert=0),
)

_YOLO: Rules = (
    Rule("supported", "decoding", "classes num mask anchors scale_x_y new_coords"),
    Rule(
        "supported",
        "the kind of NMS of predict, of exported files and of evaluate --protocol darknet:"
        " default is by IoU, greedynms by IoU − (d²/c²)^0.6, diounms by IoU − (d²/c²)^beta_nms",
        "nms_kind beta_nms",
    ),
    Rule(
        "supported",
        "the loss",
        "ignore_thresh iou_thresh iou_thresh_kind iou_loss iou_normalizer obj_normalizer"
        " delta_normalizer objectness_smooth max_delta focal_loss label_smooth_eps",
    ),
    Rule("supported", "the loss: weights of the classes", "counters_per_class"),
    Rule("supported", "augmentation, of the last detection layer", "jitter resize"),
    Rule("supported", "multi-scale training, of the last detection layer", "random"),
    Rule("no effect", "but beside counters_per_class, where train warns", "cls_normalizer"),
    Rule("not trained", "no prediction is moved but for its anchor", "truth_thresh", inert=1),
    Rule("not trained", "labels are matched to classes by name", "map"),
    Rule("no effect", "every object of an image is trained on, in any number", "max"),
    Rule("no effect", "it only prints", "show_details"),
    Rule(
        "no effect",
        _TRACKING,
        "embedding_layer track_history_size sim_thresh dets_for_show dets_for_track"
        " track_ciou_norm",
    ),
    Rule("no effect", "OpenCV's; darknet does not read it: --min-score", "thresh"),
    Rule("no effect", "OpenCV's; darknet does not read it: --iou-threshold", "nms_threshold"),
    Rule("no effect", _UNKNOWN, "uc_normalizer beta1"),
)

_REGION: Rules = (
    Rule("supported", "decoding", "classes num anchors softmax"),
    Rule("refused", "boxes have four coordinates", "coords", inert=4),
    Rule("refused", "the network would be another", "background", inert=0),
    Rule("refused", "the class tree of YOLO9000 is not read", "tree map"),
    Rule(
        "no effect",
        _NO_REGION,
        "max jitter resize random bias_match rescore object_scale noobject_scale mask_scale"
        " class_scale coord_scale absolute thresh focal_loss classfix log sqrt",
    ),
)

# The options of each kind of section, without those of any layer.
SECTIONS: Mapping[str, Rules] = {
    "net": _NET,
    "convolutional": _CONVOLUTIONAL,
    "maxpool": (*_POOL, Rule("supported", "the layer", "maxpool_depth out_channels")),
    "local_avgpool": _POOL,
    "avgpool": (),
    "route": (
        Rule("supported", _LAYER, "layers groups group_id"),
        Rule("no effect", "CUDA streams", "stream wait_stream"),
    ),
    "shortcut": (
        Rule("supported", _LAYER, "from activation weights_type"),
        Rule("supported", _LAYER, "weights_normalization"),
        Rule("no effect", _UNKNOWN, "assisted_excitation"),
    ),
    "sam": (Rule("supported", _LAYER, "from activation"),),
    "scale_channels": (Rule("supported", _LAYER, "from activation scale_wh"),),
    "upsample": (Rule("supported", _LAYER, "stride scale"),),
    "reorg3d": (
        Rule("supported", _LAYER, "stride"),
        Rule("refused", "the network would be another", "reverse", inert=0),
    ),
    "reorg": (
        Rule("supported", _LAYER, "stride"),
        Rule("refused", "the network would be another", "reverse flatten extra", inert=0),
    ),
    "dropout": (
        Rule(
            "supported",
            "the layer, in training",
            "probability dropblock dropblock_size_rel dropblock_size_abs",
        ),
    ),
    "activation": (Rule("supported", _LAYER, "activation"),),
    "empty": (),
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


@cache
def rules_of(kind: str) -> Mapping[str, Rule]:
    """The rule of every option that a kind of section may have."""
    own = SECTIONS[kind] if kind == "net" else (*_ANY_LAYER, *SECTIONS[kind])
    return {name: rule for rule in own for name in rule.options.split()}


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

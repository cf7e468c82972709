"""A recipe: every setting of a training run, as frozen values that check themselves.

Sources: darknet's cfg files; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036; EfficientDet,
https://arxiv.org/abs/1911.09070.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ..engines.hardware import MOST_IMAGES
from ..losses.settings import ScaledYolov4Settings
from ..losses.table import LossSettings
from ..specs.frozen import Frozen, Size

Share = Annotated[float, Field(ge=0, le=1)]
# No setting is larger than arithmetic with it bears: in float32, and of whole numbers in 64 bits.
NotNegative = Annotated[float, Field(ge=0, le=1e38, allow_inf_nan=False)]
Above = Annotated[float, Field(gt=0, le=1e38, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Positive = Annotated[int, Field(gt=0, le=10**9)]
Images = Annotated[int, Field(gt=0, le=MOST_IMAGES)]

# What groups were called in run folders that were written before.
OLD_NAMES = {
    "adversarial": "self_adversarial",
    "average": "ema",
    "optimiser": "optimizer",
    "regularise": "regularization",
}


def current_name(name: str) -> str:
    """The present name of a setting or of a tensor of a state: `average.x` → `ema.x`."""
    group, dot, rest = name.partition(".")
    return f"{OLD_NAMES.get(group, group)}{dot}{rest}"


class OptimizerSettings(Frozen):
    """The optimizer.

    Args:
        kind: `sgd` or `adamw`.
        learning_rate: for the nominal batch.
        momentum: of SGD; of AdamW the first beta.
        nesterov: whether SGD looks ahead.
        weight_decay: of the kernels of convolutions; nothing else decays.
        clip_norm: greatest norm of all gradients together; 0 for any.
    """

    kind: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Above = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.937
    nesterov: bool = True
    weight_decay: NotNegative = 0.0005
    clip_norm: NotNegative = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("nesterov looks ahead along the momentum: with momentum=0, set it off")
        return self


class ScheduleSettings(Frozen):
    """The learning-rate schedule, with its warm-up.

    Args:
        kind: `cosine` from 1 to `final`; `steps`: times `step_factor` at each share of the run in
            `steps`; `poly`: (1 − share)^`power` to `final`; `constant`.
        final: what is left at the end, as a share of the learning rate.
        by_epoch: change it between epochs only.
        cycles: of the cosine, each `cycle_growth` times as long as the one before.
        warmup_epochs, warmup_least: how long the warm-up lasts: so many epochs, but at least so
            many updates of a nominal batch, and at most half of the run.
        warmup_power: of its rise: 1 linear, darknet's is 4.
        warmup_start: where it begins, as a share of the learning rate.
        warmup_bias: where it begins for biases, as a learning rate; None as the others.
        warmup_momentum: where the momentum begins; None for no warm-up of it.
        warmup_accumulation: accumulate fewer batches at first, rising to the nominal batch.
    """

    kind: Literal["cosine", "steps", "poly", "constant"] = "cosine"
    final: Share = 0.2
    by_epoch: bool = False
    cycles: Positive = 1
    cycle_growth: Above = 2.0
    steps: tuple[Share, ...] = (0.8, 0.9)
    step_factor: Above = 0.1
    power: Above = 0.9
    warmup_epochs: NotNegative = 3.0
    warmup_least: Count = 0
    warmup_power: Above = 1.0
    warmup_start: NotNegative = 0.0
    warmup_bias: NotNegative | None = None
    warmup_momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    warmup_accumulation: bool = False


class EmaSettings(Frozen):
    """The exponential moving average (EMA) of the weights.

    Args:
        decay: how much of it stays at an update; 0 for no EMA.
        kind: how it begins: `ramp`: decay · (1 − e^(−n / `ramp`)); `ratio`: at most
            (1 + n) / (10 + n).
        ramp: updates; 0 for the full decay from the start.
    """

    decay: Share = 0.9999
    kind: Literal["ramp", "ratio"] = "ramp"
    ramp: NotNegative = 2000.0


class ShapeSettings(Frozen):
    """Multi-scale training: images of a random size.

    Args:
        range: sizes lie between the image size divided by this and times this; 1 for one size.
        every: steps between two draws.
        multiple: of which every side is one; None for what the model's strides ask for.
        dynamic_batch: give small shapes more images a batch, as darknet's dynamic mini-batch does;
            where a process takes an epoch's images does not change, only how many at once.
    """

    range: Annotated[float, Field(ge=1, le=4)] = 1.0
    every: Positive = 10
    multiple: Positive | None = None
    dynamic_batch: bool = False


class SelfAdversarialSettings(Frozen):
    """Self-adversarial training (SAT): images are first changed against the network.

    Args:
        probability: share of the batches.
        strength: greatest change of a pixel, of 1, reached at the end of the run.
    """

    probability: Share = 0.0
    strength: NotNegative = 0.05


class RegularizationSettings(Frozen):
    """DropBlock, stochastic depth, dropout of channels, and the kind of normalisation.

    Args:
        drop_block: share of each feature map that is zeroed in blocks, reached at `drop_ramp`.
        drop_block_size: side of a block, in cells.
        drop_path: share of residual branches that are left out, for the deepest.
        spatial_dropout: share of channels that are zeroed.
        drop_connect: share of the weights of convolutions that are zeroed.
        drop_ramp: share of the run after which the dropping has its full strength.
        norm: `batch`, `sync` (over all processes), `cross` (CBN), `cross-mini` (CmBN); `frn`, which
            stands in for the activation too, and leaves those without one as they are.
    """

    drop_block: Share = 0.0
    drop_block_size: Positive = 7
    drop_path: Share = 0.0
    spatial_dropout: Share = 0.0
    drop_connect: Share = 0.0
    drop_ramp: Annotated[float, Field(gt=0, le=1)] = 0.85
    norm: Literal["batch", "sync", "cross", "cross-mini", "frn"] = "batch"


class MixerSettings(Frozen):
    """A mixer of whole samples, applied last.

    Args:
        name: in `scantling.augment.MIXERS`, such as `cutmix`.
        probability: of a sample to be mixed.
        settings: of the mixer.
    """

    name: str
    probability: Share = 0.5
    settings: dict[str, Any] = Field(default={})


class TransformSettings(Frozen):
    """One more transform, applied to each augmented sample.

    Args:
        name: in `scantling.augment.TRANSFORMS`, or `path/to/file.py:Class` of your own.
        settings: of the transform.
    """

    name: str
    settings: dict[str, Any] = Field(default={})


class AugmentSettings(Frozen):
    """The data augmentation.

    Args:
        kind: a name in `scantling.augment.AUGMENTATIONS`, or `none`: resized only.
        settings: of that kind, such as `mosaic`, `mixup`, `hue`.
        extra: transforms of every sample, after those of the kind.
        mixers: of whole samples, last; not in the epochs without mixing.
    """

    kind: Literal["darknet", "scaled-yolov4", "efficientdet", "none"] = "scaled-yolov4"
    settings: dict[str, Any] = Field(default={})
    extra: tuple[TransformSettings, ...] = ()
    mixers: tuple[MixerSettings, ...] = ()


class AnchorSettings(Frozen):
    """Whether anchors are fitted to the boxes of the data before training.

    Args:
        fit: `auto`: where the best possible recall of the model's own is below `least_recall`;
            `always`; `never`.
        least_recall: share of the boxes that some anchor should fit.
        fitness: `ratio` or `iou`.
        threshold: greatest ratio, or least overlap, at which an anchor fits.
        generations: of the genetic search.
    """

    fit: Literal["auto", "always", "never"] = "auto"
    least_recall: Share = 0.98
    fitness: Literal["ratio", "iou"] = "ratio"
    threshold: Above = 4.0
    generations: Count = 1000


class LoaderSettings(Frozen):
    """The data loader.

    Args:
        workers: processes that make batches; 0 for a thread.
        store_gigabytes: how much of the disk decoded images may take; 0 for none.
    """

    workers: Annotated[int, Field(ge=0, le=256)] = 1
    store_gigabytes: Annotated[float, Field(ge=0, le=10**6)] = 20.0


class Recipe(Frozen):
    """All settings of a training run.

    Args:
        epochs: how often every image is seen.
        batch: images of one batch, in all processes together.
        nominal_batch: images of one update; batches are accumulated up to it.
        image_size: (height, width) of the network's input, or the side of a square; None for the
            model's own.
        seed: of every random choice.
        precision: `auto` takes bf16 where the hardware computes in it, else fp32 (fp16 on a GPU
            without bf16).
        compile: `activations`: Mish as one compiled step, three times as fast as PyTorch's;
            `network`: all of it, by `torch.compile`; `auto`: activations, if there is a compiler.
        freeze: parts of the network that stay as they are.
        close_mosaic: epochs at the end that combine no images; in a short run a recipe's own is at
            most a quarter of the epochs, and its warm-up at most a third.
        save_minutes: between two savings of the whole state, besides the end of every epoch.
        evaluate_every: epochs between evaluations; the last one is always evaluated.
    """

    epochs: Positive = 300
    batch: Images = 16
    nominal_batch: Images = 64
    image_size: Size | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: Literal["auto", "activations", "network", "none"] = "auto"
    freeze: tuple[str, ...] = ()
    close_mosaic: Count = 0
    save_minutes: Above = 10.0
    evaluate_every: Positive = 1
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    ema: EmaSettings = EmaSettings()
    loss: LossSettings = ScaledYolov4Settings()
    augment: AugmentSettings = AugmentSettings()
    anchors: AnchorSettings = AnchorSettings()
    loader: LoaderSettings = LoaderSettings()
    shapes: ShapeSettings = ShapeSettings()
    self_adversarial: SelfAdversarialSettings = SelfAdversarialSettings()
    regularization: RegularizationSettings = RegularizationSettings()

    def warmup_batches(self, per_epoch: int) -> int:
        """How many batches the warm-up lasts, of an epoch of so many."""
        least = self.schedule.warmup_least * max(1.0, self.nominal_batch / self.batch)
        asked = max(self.schedule.warmup_epochs * per_epoch, least)
        return int(min(asked, self.epochs * per_epoch / 2))

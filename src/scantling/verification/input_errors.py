"""Errors in front of the network, for `explain` to try: channels, scale, normalisation, flips."""

from collections.abc import Callable
from itertools import permutations

from torch import Tensor

from ..specs.schema import InputSpec
from .reference import InputChange, normalise

SWAPPED = "channels swapped (BGR)"
TWICE = "scaled twice"
UNSCALED = "not scaled"
NORMALISED = "wrong normalisation"
MIRRORED = "image mirrored"

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def input_changes(spec: InputSpec, *, square: bool) -> list[InputChange]:
    """Every mistake that is tried, the likelier first.

    Args:
        spec: of the model; one without mean and std cannot lack them.
        square: the network's input is, so that it may be fed transposed.
    """
    plain = not any(spec.mean) and set(spec.std) == {1.0}
    changes = [*_orders(spec), *_scales(plain=plain), *_normalisations(plain=plain)]
    for name, dimensions in (("left to right", (3,)), ("upside down", (2,)), ("both", (2, 3))):
        changes.append(
            InputChange(
                MIRRORED,
                f"it answers as the model does when it is shown the image mirrored ({name})",
                lambda x, mean, std, axes=dimensions: normalise(x.flip(axes), mean, std),  # type: ignore[misc]
            )
        )
    if square:
        changes.append(
            InputChange(
                "image transposed",
                "it answers as the model does when rows and columns of the image are exchanged",
                lambda x, mean, std: normalise(x.transpose(2, 3), mean, std),
            )
        )
    return changes


def _orders(spec: InputSpec) -> list[InputChange]:
    """Channels in another order, before or after normalisation."""
    changes = []
    # blue, green, red first: by far the likeliest
    for order in sorted(permutations(range(3)), reverse=True)[:-1]:
        letters = "".join("RGB"[channel] for channel in order)
        name = SWAPPED if letters == "BGR" else "channels swapped"
        evidence = f"it answers as the model does when it is fed {letters} in place of RGB"

        def before(x: Tensor, mean: Tensor, std: Tensor, order: tuple[int, ...] = order) -> Tensor:
            return normalise(x[:, list(order)], mean, std)

        def after(x: Tensor, mean: Tensor, std: Tensor, order: tuple[int, ...] = order) -> Tensor:
            return normalise(x, mean, std)[:, list(order)]

        changes.append(InputChange(name, evidence, before))
        if len(set(spec.mean)) > 1 or len(set(spec.std)) > 1:
            changes.append(InputChange(name, f"{evidence} after normalisation", after))
    return changes


def _scales(*, plain: bool) -> list[InputChange]:
    """Divided by 255 once too often, or never."""
    twice = "it answers as the model does when its input is divided by 255 once more"
    never = "it answers as the model does when its input is not divided by 255 at all"
    changes = [
        InputChange(TWICE, twice, lambda x, mean, std: normalise(x / 255, mean, std)),
        InputChange(UNSCALED, never, lambda x, mean, std: normalise(x * 255, mean, std)),
    ]
    if not plain:
        late = " (after normalisation)"
        changes += [
            InputChange(TWICE, twice + late, lambda x, mean, std: normalise(x, mean, std) / 255),
            InputChange(UNSCALED, never + late, lambda x, mean, std: normalise(x, mean, std) * 255),
        ]
    return changes


def _normalisations(*, plain: bool) -> list[InputChange]:
    """Another mean and another standard deviation."""

    def change(words: str, apply: Callable[[Tensor, Tensor, Tensor], Tensor]) -> InputChange:
        evidence = f"it answers as the model does when its input {words}"
        return InputChange(NORMALISED, evidence, apply)

    def imagenet(x: Tensor, _mean: Tensor, _std: Tensor) -> Tensor:
        mean, std = (x.new_tensor(values).view(3, 1, 1) for values in IMAGENET)
        return (x - mean) / std

    changes = [
        change("runs from −1 to 1", lambda x, _mean, _std: 2 * x - 1),
        change("is inverted", lambda x, mean, std: normalise(1 - x, mean, std)),
    ]
    if plain:
        return [change("has ImageNet's mean and standard deviation", imagenet), *changes]
    return [
        change("is scaled to 0–1 only, without mean and std", lambda x, _mean, _std: x),
        change("is normalised twice", lambda x, m, s: normalise(normalise(x, m, s), m, s)),
        change("lacks the mean", lambda x, _mean, std: x / std),
        change("lacks the standard deviation", lambda x, mean, _std: x - mean),
        *changes,
    ]

"""Self-adversarial training: the image changes against the network, and nothing else does."""

from contextlib import nullcontext

import pytest
import torch
from accelerate.state import AcceleratorState
from small_networks import joint_batches, make_run, settle, small_model, some_batch
from torch import Tensor, nn

from scantling.checkpoints import Model
from scantling.losses import Loss
from scantling.structures import Targets
from scantling.training.model import Normalize, loss_for
from scantling.training.recipes import RECIPES
from scantling.training.resolve import resolve_recipe
from scantling.training.self_adversarial import attack

FAMILIES = {
    "darknet-tiny": "yolov4-tiny",
    "scaled-yolov4": "yolov4-tiny",
    "efficientdet": "efficientdet-d0",
}
IMAGES = some_batch(range(3)).images
NONE = Targets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())


def family(recipe: str) -> tuple[Model, Loss, Normalize]:
    model = small_model(FAMILIES[recipe])
    normalise = Normalize(model.spec.input, torch.device("cpu"))
    settle_statistics(model.network, normalise(IMAGES))
    loss = loss_for(model, resolve_recipe([(recipe, RECIPES[recipe])]).recipe)
    return model, loss, normalise


@torch.no_grad()
def settle_statistics(network: nn.Module, images: Tensor) -> None:
    """Give a fresh network the statistics of some images: without, it is nearly blind."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    rates = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(images)
    for norm, rate in zip(norms, rates, strict=True):
        norm.momentum = rate


def probability_of_objects(model: Model, pixels: Tensor, normalise: Normalize) -> Tensor:
    """(N,) the mean over the cells of how sure the network is of an object."""
    with torch.no_grad():
        raw = model.network.eval()(normalise(pixels))
    if model.spec.head.kind == "efficientdet":
        levels = [level.flatten(1) for level in raw[: len(raw) // 2]]
    else:
        count = 5 + model.spec.num_classes
        levels = [level.unflatten(1, (-1, count))[:, :, 4].flatten(1) for level in raw]
    return torch.cat(levels, dim=1).sigmoid().mean(dim=1)


@pytest.mark.parametrize("recipe", FAMILIES)
def test_the_network_sees_less_in_the_changed_image(recipe: str):
    model, loss, normalise = family(recipe)
    changed = attack(model.network, loss, IMAGES, strength=0.002, normalize=normalise)
    before = probability_of_objects(model, IMAGES, normalise)
    after = probability_of_objects(model, changed, normalise)
    assert (after < before).all()
    with torch.no_grad():
        values = [
            float(loss(model.network.eval()(normalise(pixels)), NONE, IMAGES.shape[-2:]).total)
            for pixels in (IMAGES, changed)
        ]
    assert values[1] < values[0]


@pytest.mark.parametrize("recipe", FAMILIES)
def test_pixels_change_at_most_by_the_strength_and_stay_pixels(recipe: str):
    model, loss, normalise = family(recipe)
    for strength in (0.0, 0.02, 0.5):
        changed = attack(model.network, loss, IMAGES, strength=strength, normalize=normalise)
        moved = (changed - IMAGES).abs().amax(dim=(1, 2, 3))
        assert (moved <= 255 * strength + 1e-3).all()
        # the steepest pixel takes the whole step, unless it is at the end of its range
        assert (moved >= 0.5 * 255 * strength).all()
        assert 0 <= changed.min() <= changed.max() <= 255


def test_only_pixels_with_a_gradient_change():
    class LeftHalf(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [x[..., : x.shape[-1] // 2]]

    def loss(raw: list[Tensor], targets: Targets, image_size: tuple[int, int]) -> object:
        class Terms:
            total = raw[0].square().sum()

        return Terms

    changed = attack(LeftHalf(), loss, IMAGES, strength=0.1, normalize=torch.clone)
    middle = IMAGES.shape[-1] // 2
    assert torch.equal(changed[..., middle:], IMAGES[..., middle:].float())
    assert (changed[..., :middle] < IMAGES[..., :middle]).float().mean() > 0.9


@pytest.mark.parametrize("recipe", FAMILIES)
def test_the_network_stays_as_it_was(recipe: str):
    model, loss, normalise = family(recipe)
    network = model.network.train()
    next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d)).eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    attack(network, loss, IMAGES, strength=0.1, normalize=normalise)
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_the_given_images_are_not_written_to():
    model, loss, normalise = family("darknet-tiny")
    for given in (IMAGES.clone(), IMAGES.float()):
        attack(model.network, loss, given, strength=0.1, normalize=normalise)
        assert torch.equal(given, IMAGES.to(given.dtype))


def test_the_network_computes_in_the_precision_of_the_run():
    model, loss, normalise = family("darknet-tiny")
    seen = []
    handle = model.network.register_forward_hook(lambda *row: seen.append(row[2][0].dtype))
    for context in (nullcontext, lambda: torch.autocast("cpu", torch.bfloat16)):
        attack(model.network, loss, IMAGES, strength=0.1, normalize=normalise, autocast=context)
    handle.remove()
    assert seen == [torch.float32, torch.bfloat16]


def images_of_a_run(**settings: object) -> list[Tensor]:
    """What the network saw, batch by batch, of a run of 40 batches of 2."""
    recipe = settle("darknet-tiny", batch=2, nominal_batch=2, epochs=5, self_adversarial=settings)
    model = small_model()
    state, trainer = make_run(model, recipe, images=16)
    seen = []
    model.network.register_forward_hook(
        lambda network, given, _: seen.append(given[0].clone()) if network.training else None
    )
    for _ in trainer.steps(state, joint_batches(trainer.plan)):
        pass
    return seen


@pytest.fixture(scope="module")
def plain() -> list[Tensor]:
    AcceleratorState._reset_state(reset_partial_state=True)  # made before a test's own is
    return images_of_a_run()


def test_a_share_of_the_batches_is_changed_more_and_more_and_always_the_same(plain: list[Tensor]):
    found = images_of_a_run(probability=0.5, strength=0.1)
    moved = torch.tensor([float((a - b).abs().max()) for a, b in zip(found, plain, strict=True)])
    places = moved.nonzero().flatten()
    assert 10 <= len(places) <= 30
    limits = 0.1 * torch.arange(40) / 40
    assert (moved <= limits + 1e-5).all()
    assert (moved[places] > 0.5 * limits[places]).all()
    again = images_of_a_run(probability=0.5, strength=0.1)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_every_batch_is_changed_if_so_told(plain: list[Tensor]):
    found = images_of_a_run(probability=1.0)
    same = [torch.equal(a, b) for a, b in zip(found, plain, strict=True)]
    assert same == [True] + [False] * 39  # the strength begins at nothing

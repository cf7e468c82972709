"""Small detectors, batches and steps for the tests of training."""

from collections.abc import Iterator, Sequence

import torch
from accelerate import Accelerator

from scantling.checkpoints import Model, create_model
from scantling.specs import CATALOG, ModelSpec
from scantling.structures import Batch, Targets
from scantling.training.ema import EMA
from scantling.training.loop import Trainer
from scantling.training.model import Normalize, add_regularization, loss_for
from scantling.training.optimizer import build_optimizer
from scantling.training.plan import StepPlan
from scantling.training.recipe import Recipe
from scantling.training.recipes import RECIPES
from scantling.training.resolve import resolve_recipe
from scantling.training.state import TrainState

SIZE = (96, 96)
NAMES = ("cat", "dog", "hen")


def thin(name: str, *, width: int = 16) -> ModelSpec:
    """A variant of the YOLO family with all its layers, each at most so wide."""
    spec = CATALOG[name]
    stages = tuple(
        stage.replace(channels=min(stage.channels, width)) for stage in spec.backbone.stages
    )
    neck = spec.neck.replace(channels=tuple(min(one, width) for one in spec.neck.channels))
    head = spec.head
    if head.channels is not None:
        head = head.replace(channels=tuple(min(one, width) for one in head.channels))
    backbone = spec.backbone.replace(stem_channels=8, stages=stages)
    return spec.replace(backbone=backbone, neck=neck, head=head)


def small_model(name: str = "yolov4-tiny", *, seed: int = 0) -> Model:
    """A thin variant with fresh weights for three classes."""
    torch.manual_seed(seed)
    spec = CATALOG[name] if name.startswith("eff") else thin(name)
    return create_model(spec, names=NAMES)


def settle(name: str, **changes: object) -> Recipe:
    """A recipe of that name, made short and steady, with changes."""
    steady = {
        "epochs": 2,
        "batch": 4,
        "nominal_batch": 4,
        "precision": "fp32",
        "schedule": {"kind": "constant", "warmup_epochs": 0, "warmup_least": 0},
        "shapes": {"range": 1.0},
    }
    return resolve_recipe([(name, RECIPES[name]), ("test", steady), ("more", changes)]).recipe


def joint_batches(plan: StepPlan, *, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
    """One process's share of every batch of a plan: noise, with one to three objects an image."""
    for step in plan.iterate():
        for rows in step.batches:
            share = len(rows) // processes
            yield some_batch(rows[rank * share : (rank + 1) * share], step.image_size)


def some_batch(numbers: Sequence[int], size: tuple[int, int] = SIZE) -> Batch:
    """The images of these numbers, each with its own noise and objects."""
    images, boxes, labels, places = [], [], [], []
    for place, number in enumerate(numbers):
        noise = torch.Generator().manual_seed(number)
        count = 1 + number % 3
        images.append(torch.randint(0, 256, (3, *size), generator=noise, dtype=torch.uint8))
        corner = torch.rand(count, 2, generator=noise) * 0.5
        side = torch.rand(count, 2, generator=noise) * 0.4 + 0.08
        scale = torch.tensor([size[1], size[0]] * 2)
        boxes.append(torch.cat([corner, corner + side], 1) * scale)
        labels.append(torch.randint(0, len(NAMES), (count,), generator=noise))
        places.append(torch.full((count,), place))
    targets = Targets(torch.cat(boxes).float(), torch.cat(labels), torch.cat(places))
    return Batch(torch.stack(images), targets, tuple(numbers))


def make_run(
    model: Model, recipe: Recipe, *, images: int = 8, size: tuple[int, int] = SIZE
) -> tuple[TrainState, Trainer]:
    """What the loop needs, set up in the order of a run."""
    model = add_regularization(model, recipe.regularization)
    network = model.network
    ema = EMA(network, recipe.ema) if recipe.ema.decay else None
    precision = {"fp32": "no"}.get(recipe.precision, recipe.precision)
    accelerator = Accelerator(cpu=True, mixed_precision=precision)
    plan = StepPlan(recipe, images, size, network.sizes.step or 1)
    normalise = Normalize(model.spec.input, torch.device("cpu"))
    state = TrainState(network, build_optimizer(network, recipe.optimizer), ema)
    return state, Trainer(plan, loss_for(model, recipe), accelerator, normalise)

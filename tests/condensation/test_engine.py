"""What the loop promises of every method: independence of the classes, of the seed's past, and the budget."""

import pickle
import random
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from cl_condense.common.progress import Progress
from cl_condense.common.rng import Purpose
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import RealTraining
from cl_condense.condensation.sources.trajectories import Trajectories
from cl_condense.condensation.sources.unrolled import Unrolled
from cl_condense.condensation.sources.untrained import RandomNets
from cl_condense.condensation.storage import Partition, Pixels
from cl_condense.data.datasets import load
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import class_independent, condense
from cl_condense.methods.registry import BASES, COMPOSED, MODIFIERS, build
from cl_condense.networks.convnet import ConvNet, MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import score
from cl_condense.training.protocol import Training

SHAPES = [(1, 8, 8), (3, 16, 16)]
CLASSES = (2, 3, 11)
IPC = 3


def networks(name):
    """The kinds of networks that a method looks through."""
    recipe = build(name)
    return [recipe.source, *(term.source for term in recipe.terms if term.source)]


CORESETS = ["random", "herding", "k_center", "forgetting", "reservoir"]
# What only fits a method that has something to take away or to weigh by.
ELSEWHERE = {
    "ce": "dm+queue+ce",
    "meter": "idm+meter",
    "pixels": "idm+pixels",
    "dsa": "dc+dsa",
    "calibration": "dm+pool+calibration",
}
# Learned labels are of classes 0, 1, ...; tests/methods/test_ld.py has theirs.
OPTIMISED = [
    *(name for name in BASES if name not in [*CORESETS, "ld"]),
    *COMPOSED,
    *(ELSEWHERE.get(modifier, f"dm+{modifier}") for modifier in MODIFIERS if modifier != "labels"),
    *("idm+sm", "datadam+sm", "idm+iid", "idm+m3d", "cafe+dsa"),
    *("m3d@steps=2", "idm@ce=0.1,size=2", "dm+partition@factor=2"),
    *("dance+cf", "dance+sm", "dance+icd", "dance+m3d", "dance+cc"),
]
EVERY = [*CORESETS, *OPTIMISED]
# The others look through networks that learn to tell the classes from one another, or at all classes at once,
# or have a rate that depends on their number, as their authors step class by class.
INDEPENDENT = [
    name
    for name in OPTIMISED
    if all(isinstance(nets, RandomNets) for nets in networks(name))
    and not any(term.joint for term in build(name).terms)
    and not build(name).class_steps
]


def problem(shape=SHAPES[0], counts=(9, 9, 9), dtype=torch.uint8, seed=0):
    """Random images around a random picture of each class."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for n in counts:
        parts.append(torch.randn(shape, generator=generator) + torch.randn((n, *shape), generator=generator))
    images, labels = torch.cat(parts), torch.tensor(CLASSES).repeat_interleave(torch.tensor(counts))
    if dtype is torch.uint8:
        images = (images * 40 + 128).clamp(0, 255).to(torch.uint8)
    return ImageSet.of(images, labels, names=[f"class {i}" for i in range(12)])


SHORT = {
    ModelQueue: {"train_steps": 2, "batch": 32},
    TrainedPool: {"size": 3, "epochs": 3},
    BlendedPool: {"size": 3, "epochs": 2, "batch": 16},
    RealTraining: {"images": 64},
    Trajectories: {"size": 2, "epochs": 3, "starts": 2, "ahead": 2},
}
"""Networks that train do so for a moment: what the loop promises holds however much they learn."""


def method(name, iterations=2):
    made = replace(build(name), iterations=iterations)
    if not isinstance(made, Recipe):
        return made
    terms = tuple(replace(term, source=short(term.source)) for term in made.terms)
    return replace(made, source=short(made.source), terms=terms)


def short(source):
    if isinstance(source, Unrolled):
        return replace(source, source=short(source.source), unroll=3)
    return replace(source, **SHORT.get(type(source), {})) if source else None


def run(name, real, **options):
    return condense(real, method(name), ipc=IPC, network=MakeConvNet(real.shape, width=8), **options)


def partition():
    return replace(method("ddm"), name="partition", synthetic=Partition(2))


def generators():
    return [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]


class Seen(NamedTuple):
    """A condensation, what it reported, and the global generators before it and after."""

    result: CondensedSet
    reported: list[Progress]
    before: list
    after: list


@cache
def seen(name):
    """One condensation of each method, that several tests look at: seed 5, all classes in one forward pass."""
    reported, before = [], generators()
    result = run(name, problem(), seed=5, chunk=len(CLASSES), on_iteration=reported.append)
    return Seen(result, reported, before, generators())


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "counts"), [(SHAPES[0], (9, 9, 9)), (SHAPES[1], (4, 13, 7))], ids=["balanced", "unbalanced"]
)
@pytest.mark.parametrize("name", ["random", *INDEPENDENT])
def test_the_images_of_a_class_do_not_depend_on_the_other_classes(name, shape, counts):
    real = problem(shape, counts)
    together = run(name, real)
    for c in CLASSES:
        close(together.only([c]).pixels, run(name, real.only([c])).pixels)


@pytest.mark.parametrize("name", OPTIMISED)
def test_the_images_do_not_depend_on_the_classes_of_a_forward_pass(name):
    """Two classes in the first, one in the second."""
    close(run(name, problem(), seed=5, chunk=2).pixels, seen(name).result.pixels)


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_gives_the_same_images_whatever_the_global_generators(name):
    first = seen(name).result.pixels
    torch.manual_seed(torch.initial_seed() + 1)
    again, other = (run(name, problem(), seed=seed, chunk=len(CLASSES)).pixels for seed in (5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", EVERY)
def test_the_global_generators_are_left_alone(name):
    assert seen(name).before == seen(name).after


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("name", [*EVERY, "partition"])
def test_what_is_stored_is_the_budget_and_nothing_else(name, dtype):
    real = problem(dtype=dtype)
    kept = real.images.clone()
    made = method(name) if name != "partition" else partition()
    result = condense(real, made, ipc=IPC, network=MakeConvNet(real.shape, width=8), seed=4)
    assert result.class_ids == CLASSES
    assert result.counts == (IPC,) * 3
    assert result.labels.tolist() == [c for c in CLASSES for _ in range(IPC)]
    assert result.names == ("class 2", "class 3", "class 11")
    assert (result.mean, result.std, result.seed) == (real.mean, real.std, 4)
    assert result.recipe == (made.settled(IPC) if isinstance(made, Recipe) else made).settings()
    assert result.pixels.shape == (9, *real.shape)
    assert (result.pixels.dtype, result.pixels.device.type) == (torch.float32, "cpu")
    assert not result.pixels.requires_grad
    assert result.pixels.untyped_storage().nbytes() == 9 * 64 * 4 == result.nbytes - 3 * 16
    assert result.pixels.untyped_storage().data_ptr() != real.images.untyped_storage().data_ptr()
    assert len(pickle.dumps(result)) < result.nbytes + 2048
    factor = made.synthetic.factor if isinstance(made, Recipe) else 1
    assert len(result.decode()[0]) == 9 * factor**2
    assert torch.equal(real.images, kept)


@pytest.mark.parametrize("name", CORESETS)
def test_a_coreset_has_images_of_its_class_as_they_are(name):
    real = problem()
    result = run(name, real)
    for c in CLASSES:
        own = real.only([c])
        choices = own.take(torch.arange(len(own)))
        for image in result.only([c]).pixels:
            assert (choices == image).flatten(1).all(1).any()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("ipc", "words"), [(0, ["0"]), (-1, ["-1"]), (6, ["6", "class 3", "5"])])
def test_a_budget_that_does_not_fit_is_an_error(name, ipc, words):
    real = problem(counts=(9, 5, 9))
    with pytest.raises(ValueError, match="images per class") as error:
        condense(real, method(name), ipc=ipc, network=MakeConvNet(real.shape, width=8))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_every_image_of_the_smallest_class_fits():
    real = problem(counts=(9, 5, 9))
    assert build("random")(real, ipc=5, network=MakeConvNet(real.shape, width=8)).counts == (5, 5, 5)


# Pixels that are kept between black and white cannot run away.
@pytest.mark.parametrize("name", [name for name in OPTIMISED if build(name).space == "normalised"])
def test_divergence_is_an_error_that_names_the_method(name):
    real = problem()
    wild = replace(method(name, iterations=3), lr=1e30)
    with pytest.raises(ValueError, match="diverged") as error:
        condense(real, wild, ipc=IPC, network=MakeConvNet(real.shape, width=8))
    assert str(error.value).startswith(f"{name} ")
    assert "1e+30" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["dm", "herding"])
def test_a_network_without_features_is_an_error(name):
    with pytest.raises(ValueError, match="Sequential has no features"):
        condense(
            problem(), method(name), ipc=1, network=lambda k: nn.Sequential(nn.Flatten(), nn.Linear(64, k))
        )


@pytest.mark.parametrize("name", OPTIMISED)
def test_every_iteration_is_reported_with_its_loss(name):
    reported = [p for p in seen(name).reported if p.stage == "condensing"]
    assert [(p.done, p.total) for p in reported] == [(1, 2), (2, 2)]
    assert all(p.loss.shape == () and torch.isfinite(p.loss) for p in reported)


def test_the_reported_loss_is_that_of_all_classes():
    real, losses = problem(), []
    for chunk in (1, 3):
        options = {"ipc": IPC, "network": MakeConvNet(real.shape, width=8), "chunk": chunk}
        told = []
        condense(real, method("ddm"), on_iteration=told.append, **options)
        losses += [float(p.loss) for p in told if p.loss is not None]
    assert losses[:2] == pytest.approx(losses[2:], rel=1e-4)


def interruptible(name):
    options = {"ipc": IPC, "network": MakeConvNet(SHAPES[0], width=8), "seed": 3}
    return Condensation(problem(), replace(method(name, iterations=6), lr=1e-3), **options)


def to_the_end(job):
    while job.iteration < job.iterations:
        job.step()
    return job.result().pixels


@pytest.mark.parametrize("name", OPTIMISED)
def test_an_interrupted_condensation_goes_on_and_ends_bit_equal(name):
    """Interrupted after one iteration and, having gone on, after four: some networks change with the sixth."""
    expected, job = to_the_end(interruptible(name)), interruptible(name)
    for at in (1, 4):
        while job.iteration < at:
            job.step()
        state = {key: value.clone() for key, value in job.state().items()}
        job = interruptible(name)
        job.restore(state)
        assert job.iteration == at
    assert torch.equal(to_the_end(job), expected)


@pytest.mark.parametrize(("name", "ipc"), [("dm", 1), ("dm", 4), ("idm", 3)])
def test_the_state_of_another_condensation_is_refused(name, ipc):
    real, network = problem(), MakeConvNet(SHAPES[0], width=8)
    state = Condensation(real, method("dm"), ipc=ipc, network=network).state()
    with pytest.raises(ValueError, match="another condensation") as error:
        Condensation(real, method("idm" if name == "idm" else "dm"), ipc=3, network=network).restore(state)
    assert "\n" not in str(error.value)


def class_mean_distance(real, images, seed):
    """Squared distance of class means under networks that condensation has not seen."""
    nets = RandomNets().start(SourceContext(real, MakeConvNet(real.shape, width=8), DSA(), seed))
    apart = 0.0
    for i in range(10):
        net = nets.at(i).net
        for c, part in zip(real.class_ids, images, strict=True):
            own = real.only([c])
            want = net.features(own.take(torch.arange(len(own)))).embedding.mean(0)
            apart += float((net.features(part).embedding.mean(0) - want).square().sum())
    return apart


@pytest.mark.parametrize("synthetic", [Pixels(), Pixels("noise"), Partition(2)], ids=str)
def test_the_images_come_to_match_their_class_better_than_they_started(synthetic):
    real = problem(counts=(40, 40, 40))
    recipe = replace(build("dm"), synthetic=synthetic, iterations=30)
    work = Condensation(real, recipe, ipc=2, network=MakeConvNet(real.shape, width=8))
    start = work.result()
    assert torch.equal(synthetic.start(real, 2, 0).flatten(0, 1), start.pixels)
    to_the_end(work)
    means = [
        class_mean_distance(real, [made.only([c]).decode()[0] for c in CLASSES], seed=999)
        for made in (start, work.result())
    ]
    assert means[1] < 0.8 * means[0]


def reference_dm(real, ipc, network, seed, recipe):
    """DM as its authors' code goes: class by class, one joint step of torch's SGD."""
    syn = real.take(real.draw(ipc, Purpose.START, seed)).flatten(0, 1).requires_grad_()
    optimizer = torch.optim.SGD([syn], lr=1.0, momentum=0.5)
    dsa = DSA("color_crop_cutout_flip_scale_rotate")
    for iteration in range(recipe.iterations):
        net, loss = network(len(real.class_ids)), torch.tensor(0.0)
        Initialiser(net)(seed, iteration // recipe.source.steps)
        for i, c in enumerate(real.class_ids):
            index = real.draw(recipe.real_per_class, Purpose.REAL_BATCH, seed, iteration // recipe.reuse)[i]
            warp = dsa.draw([c], seed, iteration // recipe.reuse)
            a = dsa(real.take(index)[None], warp)[0]
            b = dsa(syn[i * ipc : (i + 1) * ipc][None], warp)[0]
            with torch.no_grad():
                target = net.features(a).embedding.mean(0)
            loss = loss + torch.sum((target - net.features(b).embedding.mean(0)) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return syn.detach()


@pytest.mark.parametrize(("steps", "reuse"), [(1, 1), (2, 1), (3, 3), (4, 2)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dm_is_its_plain_loop(shape, steps, reuse):
    real, network = problem(shape, counts=(12, 15, 20)), MakeConvNet(shape, width=8)
    recipe = build("dm", iterations=5, real_per_class=6, source=RandomNets(steps), reuse=reuse)
    assert isinstance(recipe, Recipe)
    got = condense(real, recipe, ipc=IPC, network=network, seed=7)
    want = reference_dm(real, IPC, network, 7, recipe)
    torch.testing.assert_close(got.pixels, want, rtol=0, atol=1e-5)
    assert not torch.allclose(got.pixels, real.take(real.draw(IPC, Purpose.START, 7)).flatten(0, 1), atol=1e-3)


def cells(pixels):
    """``[k, ipc * 4, ...]`` of stored images in 2 x 2 parts."""
    rows = [part.split(4, -1) for part in pixels.split(4, -2)]
    return torch.cat([cell for row in rows for cell in row], 1).flatten(2)


def test_a_step_looks_at_some_of_the_decoded_images_and_others_the_next_time():
    real, moved = problem(), []
    recipe = replace(method("dm"), synthetic=Partition(2), syn_per_class=5, momentum=0.0, iterations=21)
    job = Condensation(real, recipe, ipc=IPC, network=MakeConvNet(real.shape, width=8))
    for _ in range(20):
        before = job.state()["pixels"].clone()
        job.step()
        moved.append((cells(job.state()["pixels"]) != cells(before)).any(2))
    moved = torch.stack(moved)
    assert (moved.sum(2) == 5).all()
    assert moved.any(0).all(), "in time all of them"
    assert len({tuple(row.tolist()) for row in moved.flatten(0, 1)}) > 50, "classes and iterations differ"


def test_the_images_that_a_step_looks_at_do_not_depend_on_the_other_classes():
    real = problem()
    recipe = replace(method("dm", 4), synthetic=Partition(2), syn_per_class=5)
    options = {"ipc": IPC, "network": MakeConvNet(real.shape, width=8)}
    together = condense(real, recipe, **options)
    for c in CLASSES:
        close(together.only([c]).pixels, condense(real.only([c]), recipe, **options).pixels)
    close(condense(real, recipe, **options, chunk=1).pixels, together.pixels)


def test_where_a_class_has_no_more_images_all_are_looked_at():
    real = problem()
    pixels = [
        condense(
            real,
            replace(method("ddm"), synthetic=Partition(2), syn_per_class=most),
            ipc=IPC,
            network=MakeConvNet(real.shape, width=8),
        ).pixels
        for most in (None, 12, 11)
    ]
    assert torch.equal(pixels[0], pixels[1])
    assert not torch.allclose(pixels[0], pixels[2], atol=1e-3)


@pytest.mark.parametrize("most", [0, -3])
def test_a_step_that_looks_at_no_images_is_refused(most):
    with pytest.raises(ValueError, match=f"syn_per_class {most}: give a whole number from 1"):
        build("dm", syn_per_class=most)


class Counting(ConvNet):
    """Counts the images of one forward pass after another."""

    seen = ()

    def features(self, x, taps=frozenset()):
        Counting.seen = (*Counting.seen, len(x))
        return super().features(x, taps)


def test_real_images_are_looked_at_once_for_all_iterations_that_share_them(monkeypatch):
    monkeypatch.setattr(Counting, "seen", ())
    recipe = method("ddm", iterations=7).reusing(3)
    assert (recipe.source, recipe.reuse) == (RandomNets(3), 3)
    condense(problem(), recipe, ipc=IPC, network=lambda classes: Counting(SHAPES[0], classes, width=4))
    assert Counting.seen == ((27, 9, 9, 9) * 3)[:10]


@pytest.mark.parametrize("at", [1, 3, 5])
def test_iterations_that_share_real_images_go_on_bit_equal_after_an_interruption(at):
    options = {"ipc": IPC, "network": MakeConvNet(SHAPES[0], width=8)}
    jobs = [Condensation(problem(), method("m3d", iterations=7).reusing(2), **options) for _ in range(2)]
    for _ in range(at):
        jobs[0].step()
    jobs[1].restore({key: value.clone() for key, value in jobs[0].state().items()})
    assert torch.equal(*map(to_the_end, jobs))


@pytest.mark.parametrize(
    ("name", "reuse", "words"), [("idc", 5, "change sooner"), ("dm", 0, "reuse 0: give a whole number from 1")]
)
def test_networks_that_train_or_no_iterations_cannot_be_reused(name, reuse, words):
    with pytest.raises(ValueError, match=words) as error:
        build(name).reusing(reuse)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="change sooner"):
        replace(build("dm"), source=RandomNets(5), reuse=3)
    assert build("m3d").reusing(2).source == RandomNets(10)


@pytest.mark.parametrize("name", ["idm", "dm+iid", "idm+cc", "m3d"])
def test_networks_that_stay_are_kept_in_terms_too_and_as_an_expression_says(name):
    made = build(name).reusing(4)
    assert {nets.steps for nets in made.sources()} == {4 * (5 if name == "m3d" else 1)}
    with pytest.raises(ValueError, match="change sooner"):
        build(f"{name}@source.steps=3").reusing(4)


def test_a_term_that_does_nothing_for_so_few_images_is_left_out_with_its_networks():
    real, network = problem(), MakeConvNet(SHAPES[0], width=8)
    one, two = (Condensation(real, method("dm+iid"), ipc=n, network=network) for n in (1, 2))
    assert [len(job.recipe.terms) for job in (one, two)] == [1, 3]
    assert not [name for name in one.state() if name.startswith("networks.1")]
    assert torch.equal(to_the_end(one), to_the_end(Condensation(real, method("dm"), ipc=1, network=network)))
    mosaic = method("idm+iid").settled(1)
    assert len(mosaic.terms) == 4
    assert len(replace(mosaic, syn_per_class=1).settled(1).terms) == 2
    alone = replace(method("dm"), terms=method("dm+cov").terms[1:])
    assert alone.settled(1).terms == alone.settled(2).terms


@pytest.mark.parametrize(("setting", "value"), [("precision", "float16"), ("space", "log")])
def test_a_setting_outside_its_choices_is_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} '{value}': use ") as error:
        build("dm", **{setting: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "iterations"), [("dm", 20), ("ddm", 20), ("idm+pixels", 10)])
def test_reduced_precision_condenses_images_that_train_as_well(name, iterations):
    train, test = (part.only(range(5)) for part in load("digits"))
    network = MakeConvNet(train.shape, width=16, depth=2)
    accuracies, sets = [], []
    for precision in ("float32", "bfloat16"):
        recipe = build(name, "digits", iterations=iterations, real_per_class=16, precision=precision)
        sets.append(condense(train, recipe, ipc=2, network=network))
        training = Training(epochs=60, augment=DSA("color_crop_cutout_scale_rotate"))
        options = {"network": network, "training": training, "networks": 2, "keys": (0,)}
        accuracies.append(score(*sets[-1].decode(), test, **options).mean().item())
    assert not torch.equal(sets[0].pixels, sets[1].pixels)
    assert sets[1].pixels.dtype == torch.float32
    assert accuracies[0] > 0.75
    assert abs(accuracies[0] - accuracies[1]) < 0.05


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_batch_norm_sees_all_classes_together(chunk):
    """The images are those of a loop with one pass over all real images, and one over all synthetic ones."""
    real = problem(counts=(9, 9, 9))
    network = MakeConvNet(real.shape, width=4, norm="batch")
    recipe = replace(build("dm"), iterations=3, augment=DSA("none"))
    made = condense(real, recipe, ipc=IPC, network=network, seed=5, chunk=chunk)
    close(made.pixels, reference_together(real, recipe, network, seed=5))


def reference_together(real, recipe, network, seed):
    pixels = recipe.synthetic.start(real, IPC, seed).requires_grad_()
    sgd = torch.optim.SGD([pixels], 1.0, 0.5)
    net = network(3).train()
    draw = Initialiser(net)
    for iteration in range(recipe.iterations):
        draw(seed, iteration)
        index = real.draw(9, Purpose.REAL_BATCH, seed, iteration)
        means = []
        for x in (real.take(index), pixels):
            embedding = net.features(x.flatten(0, 1)).embedding
            means.append(embedding.unflatten(0, x.shape[:2]).mean(1))
        sgd.zero_grad()
        (means[0].detach() - means[1]).square().sum().backward()
        sgd.step()
    return pixels.detach().flatten(0, 1)


@pytest.mark.parametrize(
    ("name", "norm", "independent"),
    [
        ("dm", "instance", True),
        ("ddm", "instance", True),
        ("m3d", "instance", False),
        ("random", "instance", True),
        ("dm+cf", "instance", True),
        ("dm+pool", "instance", False),
        ("dm", "batch", False),
        ("idm", "instance", False),
        ("iid", "instance", False),
        ("dsa", "instance", False),
        ("cafe", "instance", False),
        ("herding", "instance", False),
    ],
)
def test_which_methods_make_a_class_without_the_others(name, norm, independent):
    assert class_independent(build(name), MakeConvNet((1, 8, 8), width=4, norm=norm)) is independent


def test_a_first_iteration_tells_its_chunks_and_what_is_told_changes_nothing():
    """The pace is known before an iteration is over."""
    real, told, made = problem(), [], []
    for on_iteration in (told.append, None):
        network = MakeConvNet(real.shape, width=8)
        job = Condensation(real, method("dm"), ipc=IPC, network=network, chunk=1)
        made.append(job.run(on_iteration).pixels)
    assert torch.equal(*made)
    assert [progress.done for progress in told] == pytest.approx([1 / 3, 2 / 3, 1, 2])
    assert [progress.loss is None for progress in told] == [True, True, False, False]
    assert told[-1].picture().size > (8, 8)

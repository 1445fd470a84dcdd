"""IID's and DANCE's pools: which networks, how they train and are drawn, their files, and interruptions."""

import json
import shutil
import struct
from collections import Counter
from dataclasses import replace

import pytest
import torch
from sources import weights

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.rng import Purpose, uniform
from cl_condense.condensation.paper_settings import tuned
from cl_condense.condensation.sources import pooled
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import ConvNet, MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.networks.resnet import MakeResNet, ResNet
from cl_condense.training.augment import DSA

SHAPE, CLASSES, SEED = (1, 8, 8), (2, 3, 11), 5
MAKE = MakeConvNet(SHAPE, width=8, depth=1)
KINDS = {"trained": TrainedPool(3, 2), "blended": BlendedPool(3, 2, 16)}
POOLS = pytest.mark.parametrize("kind", KINDS)


class Stop(BaseException):
    pass


def problem(counts=(16, 29, 17), shape=SHAPE, noise=0.5):
    """A picture of each class, with some noise."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(len(counts), *shape, generator=generator)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    images = pictures[labels] + noise * torch.randn(len(labels), *shape, generator=generator)
    return ImageSet.of(images, torch.tensor(CLASSES)[labels])


def context(real=None, seed=SEED, network=MAKE, pools=None):
    return SourceContext(real or problem(), network, DSA(), seed, pools=pools)


@pytest.fixture
def trainings(monkeypatch):
    """What was trained."""
    seen = []

    class Watched(pooled.Together):
        def __init__(self, jobs, training):
            seen.append((*jobs, training))
            super().__init__(jobs, training)

    monkeypatch.setattr(pooled, "Together", Watched)
    return seen


# Which networks ---------------------------------------------------------------------------------------------


@POOLS
def test_all_networks_are_trained_before_the_first_is_looked_through_and_stay(kind, trainings):
    source, told = KINDS[kind].start(context()), []
    assert trainings == []
    source.prepare(told.append)
    assert len(source.members) == 3
    assert (told[-1].done, told[-1].total, told[-1].stage) == (2, 2, "training a pool of networks")
    assert [p.done for p in told] == sorted(p.done for p in told)
    kept, times = [weights(net) for net in source.members], Counter()
    for iteration in range(300):
        look = source.at(iteration)
        assert (look.accuracy, look.net.training) == (None, True)
        assert not any(p.requires_grad for net in (look.net, look.trained) for p in net.parameters())
        times[source.members.index(look.trained)] += 1
        source.advance(iteration, lambda: pytest.fail("the synthetic images are not looked at"))
    assert len(trainings) == 1
    assert all(torch.equal(weights(net), own) for net, own in zip(source.members, kept, strict=True))
    assert len({tuple(own.tolist()) for own in kept}) == 3
    assert sum((n - 100) ** 2 / 100 for n in times.values()) < 13.8  # chi-square of 2, once in 1,000


def test_the_protocols_are_those_of_the_authors_scripts(trainings):
    real = problem(noise=1.0)
    for pool in (TrainedPool(2), replace(BlendedPool(2), epochs=1)):
        source = pool.start(context(real))
        source.prepare(lambda progress: None)
    (job, iid), (_, dance) = trainings
    x = real.take(torch.arange(len(real)))
    assert torch.equal(job.images.take(torch.arange(len(real))), x)
    assert torch.equal(job.labels, real.targets)
    assert (iid.epochs, iid.lr, iid.momentum, iid.decay) == (40, 0.01, 0.9, 1.0)
    assert (iid.batch_size, iid.weight_decay, iid.augment, iid.cutmix) == (256, 5e-4, None, 0)
    assert (dance.lr, dance.momentum, dance.weight_decay, dance.batch_size) == (0.01, 0.9, 5e-4, 64)
    assert (dance.augment, dance.cutmix, dance.decay) == (DSA("color_crop", every=True), 0.5, 0.2)
    assert [float(share) for share in dance.milestones] == pytest.approx([2 / 3, 5 / 6])
    for net in job.nets:
        assert float((net(x).argmax(1) == real.targets).float().mean()) > 0.9


def test_training_is_in_the_precision_of_the_context(trainings):
    KINDS["blended"].start(context()._replace(precision="bfloat16")).prepare(lambda progress: None)
    assert trainings[0][1].precision == "bfloat16"


def test_each_iteration_looks_at_a_place_of_its_own_between_the_two_ends():
    source, blank, shares = KINDS["blended"].start(context()), MAKE(3), []
    for iteration in range(200):
        look = source.at(iteration)
        Initialiser(blank)(Purpose.POOL, 0, source.members.index(look.trained))
        share = float(uniform(Purpose.POOL, SEED, iteration, 1))
        want = (1 - share) * weights(look.trained) + share * weights(blank)
        torch.testing.assert_close(weights(look.net), want, rtol=0, atol=1e-6)
        shares.append(share)
    assert min(shares) < 0.05
    assert max(shares) > 0.95
    assert abs(sum(shares) / 200 - 0.5) < 0.1  # 5 errors


@POOLS
def test_iterations_that_share_a_network_take_the_turn_of_one(kind):
    each, shared = (replace(KINDS[kind], steps=n).start(context()) for n in (1, 4))
    for iteration in range(20):
        want, look = each.at(iteration // 4), shared.at(iteration)
        assert look.age == iteration % 4
        assert torch.equal(weights(look.net), weights(want.net))


@POOLS
def test_networks_of_small_images_are_the_callers(kind):
    net = KINDS[kind].start(context()).at(0).net
    assert type(net) is ConvNet
    assert (net.convs[0].out_channels, net.classifier.out_features) == (8, 3)


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 18, 17)])
def test_iids_networks_of_larger_images_are_resnets_of_half_the_width(shape):
    real = problem((3, 2, 2), shape)
    net = TrainedPool(2, 1).start(context(real, network=MakeConvNet(shape, width=6, depth=1))).at(0).net
    assert type(net) is ResNet
    assert (net.stem[0].out_channels, net.stem[0].in_channels) == (3, shape[0])
    assert (net.classifier.in_features, net.classifier.out_features) == (24, 3)
    assert [len(stage) for stage in net.stages] == [2, 2, 2, 2]


def test_the_width_of_iids_networks_without_a_convnet_and_beside_a_narrow_one():
    real = problem((2, 2, 2), (1, 32, 32))
    own = lambda classes: ConvNet((1, 32, 32), classes)  # noqa: E731
    for network, width in ((own, 64), (MakeConvNet((1, 32, 32)), 64), (MakeConvNet((1, 32, 32), 1), 1)):
        made = TrainedPool().network(context(real, network=network))
        assert made == MakeResNet((1, 32, 32), width)
    for shape in ((1, 15, 32), (1, 32, 15)):
        assert TrainedPool().network(context(problem((2, 2, 2), shape), network=own)) is own


@POOLS
def test_seeds_of_condensation_share_the_pool_and_draw_their_own_from_it(kind):
    pools, drawn = {seed: KINDS[kind].start(context(seed=seed)) for seed in (SEED, SEED + 1)}, {}
    for seed, source in pools.items():
        source.prepare(lambda progress: None)
        drawn[seed] = [source.members.index(source.at(i).trained) for i in range(20)]
    assert drawn[SEED] != drawn[SEED + 1]
    one, other = (torch.stack([weights(net) for net in source.members]) for source in pools.values())
    assert torch.equal(one, other)
    another = replace(KINDS[kind], seed=1).start(context())
    another.at(0)
    assert not {tuple(weights(net).tolist()) for net in another.members} & {tuple(w.tolist()) for w in one}


@POOLS
def test_the_global_generators_are_left_alone(kind):
    before = torch.get_rng_state()
    KINDS[kind].start(context()).at(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_numbers_that_are_not_settled_are_an_error():
    (some,) = tuned({("cifar10", 1): (2,)})
    for pool in (TrainedPool(some), BlendedPool(2, some)):
        with pytest.raises(ValueError, match="settle it"):
            pool.start(context()).at(0)


def test_a_blend_stays_for_the_iterations_that_share_a_real_batch():
    source = build("dance", "digits").with_settings(source=KINDS["blended"], reuse=3).source
    assert source == replace(KINDS["blended"], steps=3)
    running = source.start(context())
    looks = [(weights(look.net), look.age) for look in map(running.at, range(6))]
    assert [age for _, age in looks] == [0, 1, 2] * 2
    assert all(torch.equal(looks[3 * (i // 3)][0], net) for i, (net, _) in enumerate(looks))
    assert not torch.equal(looks[0][0], looks[3][0])


def test_iterations_that_share_a_blend_look_at_their_real_images_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(ImageSet, "draw", lambda *a, own=ImageSet.draw, **k: drawn.append(a) or own(*a, **k))
    recipe = build("dance", "digits").with_settings(source=KINDS["blended"], iterations=6, real_per_class=4)
    for reuse, looks in ((1, 6), (3, 2)):
        drawn.clear()
        condense(problem(), recipe.with_settings(reuse=reuse), ipc=1, network=MAKE)
        assert sum(Purpose.REAL_BATCH in a for a in drawn) == looks


# Files ------------------------------------------------------------------------------------------------------


def method(kind, **changes):
    made = build("dance" if kind == "blended" else "dm+cc", iterations=4, real_per_class=8, lr=0.01, **changes)
    if kind == "blended":
        return replace(made, source=KINDS[kind])
    return replace(made, terms=tuple(replace(t, source=t.source and KINDS[kind]) for t in made.terms))


def run(kind, real=None, network=MAKE, **options):
    real = real or problem()
    return condense(real, method(kind), ipc=2, network=network, seed=SEED, **options).pixels


@POOLS
def test_a_pool_that_is_there_is_not_trained_again_and_gives_the_same_images(kind, trainings, tmp_path):
    want = run(kind)
    folder = tmp_path / "new" / "pools"
    assert torch.equal(run(kind, pools=folder), want)
    assert len(trainings) == 2
    assert [path.suffix for path in folder.iterdir()] == [".pool"]
    assert torch.equal(run(kind, pools=str(folder)), want)
    for seed, ipc, base in ((7, 2, "dance+cf"), (SEED, 3, "dance"), (SEED, 2, "dm+pool")):
        if kind == "blended":  # other seeds, budgets and methods
            made = build(base, iterations=1, real_per_class=8, source=KINDS[kind])
            condense(problem(), made, ipc=ipc, network=MAKE, seed=seed, pools=folder)
    assert len(trainings) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"real": problem(noise=0.4)},
        {"real": replace(problem(), mean=(0.4,))},
        {"network": MakeConvNet(SHAPE, width=7, depth=1)},
        {"network": MakeConvNet(SHAPE, width=8, depth=1, activation="swish")},
        {"pool": BlendedPool(3, 3, 16)},
        {"pool": BlendedPool(3, 2, 17)},
        {"pool": BlendedPool(3, 2, 16, cutmix=0.4)},
        {"pool": BlendedPool(4, 2, 16)},
        {"pool": BlendedPool(3, 2, 16, seed=1)},
        {"pool": TrainedPool(3, 2)},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_what_decides_the_networks_decides_the_file(other, trainings, tmp_path):
    KINDS["blended"].start(context(pools=tmp_path)).at(0)
    pool, changes = other.pop("pool", KINDS["blended"]), dict(other)
    pool.start(context(pools=tmp_path)._replace(**changes)).at(0)
    assert len(trainings) == len([*tmp_path.iterdir()]) == 2


def test_more_cpu_threads_may_round_otherwise(trainings, tmp_path, monkeypatch):
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        KINDS["blended"].start(context(pools=tmp_path)).at(0)
    assert len(trainings) == 2


def test_networks_that_only_their_code_describes_are_not_kept(trainings, tmp_path):
    def own(classes):
        return MAKE(classes)

    for _ in range(2):
        KINDS["blended"].start(context(network=own, pools=tmp_path)).at(0)
    assert len(trainings) == 2
    assert list(tmp_path.iterdir()) == []


def half(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]


def other_identity(data):
    """The file of another pool under this one's name, with a right checksum or none."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    own = json.loads(header["__metadata__"]["identity"])
    header["__metadata__"] |= {"identity": json.dumps(own | {"seed": 1})}
    header["__metadata__"].pop("checksum")
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + data[8 + size :]


@pytest.mark.parametrize("damage", [half, flipped, other_identity, lambda data: b"", lambda data: b"x" * 99])
def test_a_file_that_is_damaged_or_of_another_pool_is_made_anew(damage, trainings, tmp_path):
    want = run("blended", pools=tmp_path)
    (path,) = tmp_path.iterdir()
    right = path.read_bytes()
    path.write_bytes(damage(right))
    assert torch.equal(run("blended", pools=tmp_path), want)
    assert len(trainings) == 2
    assert path.stat().st_size == len(right)
    assert torch.equal(run("blended", pools=tmp_path), want)
    assert len(trainings) == 2


def test_where_no_file_can_be_written_one_line_says_so(tmp_path):
    run("blended", pools=tmp_path / "a")
    (path,) = (tmp_path / "a").iterdir()
    path.unlink()
    path.mkdir()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "a", tmp_path / "file"):
        with pytest.raises(ValueError, match=r"name a file|cannot be written|not a folder") as error:
            run("blended", pools=folder)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("pools", ["", 3, "a\0b"])
def test_what_is_no_folder_is_refused_before_any_work(pools, trainings):
    with pytest.raises(ValueError, match="pools"):
        run("blended", pools=pools)
    assert trainings == []


# Interruptions ----------------------------------------------------------------------------------------------


def ended(kind, path, at, pools=None):
    """A condensation that is ended after so many things told; what was told of."""
    told = []

    def stop(progress):
        told.append(progress.stage)
        if len(told) == at:
            raise Stop

    with pytest.raises(Stop):
        run(kind, on_iteration=stop, checkpoint=Checkpoint(path, {}), pools=pools)
    return told


@POOLS
@pytest.mark.parametrize("kept", [False, True])
def test_an_interruption_in_the_midst_of_training_or_after_it_loses_nothing(kind, kept, tmp_path):
    want, all_told = run(kind), []
    run(kind, on_iteration=all_told.append)
    training = len(all_told) - 4
    for at in {1, training // 2, training, training + 1, training + 3}:
        pools = tmp_path / f"pools{at}" if kept else None
        path = tmp_path / f"{at}.checkpoint"
        told, rest = ended(kind, path, at, pools), []
        checkpoint = Checkpoint(path, {})
        got = run(kind, on_iteration=lambda p: rest.append(p.stage), checkpoint=checkpoint, pools=pools)  # noqa: B023
        assert torch.equal(got, want)
        assert [*told, *rest] == [p.stage for p in all_told]


@POOLS
def test_one_that_is_killed_over_and_over_comes_to_its_end(kind, tmp_path, monkeypatch):
    """A process that is gone after two states, each written after a mini-batch or an iteration."""
    monkeypatch.setattr("cl_condense.common.checkpoint.EVERY", 0.0)
    want, path, lives, write = run(kind), tmp_path / "a.checkpoint", 0, Checkpoint.write

    def dying(self, state):
        self.left = getattr(self, "left", 2) - 1
        if self.left < 0:
            raise Stop
        write(self, state)

    monkeypatch.setattr(Checkpoint, "write", dying)
    while True:
        lives += 1
        try:
            got = run(kind, checkpoint=Checkpoint(path, {}))
            break
        except Stop:
            assert lives < 50
    assert lives > 3
    assert torch.equal(got, want)


def test_a_pool_that_another_has_trained_in_between_is_taken(trainings, tmp_path):
    want = run("blended")
    ended("blended", tmp_path / "a.checkpoint", 3, tmp_path / "pools")
    run("blended", pools=tmp_path / "pools")
    told = []
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", {})
    got = run("blended", on_iteration=told.append, checkpoint=checkpoint, pools=tmp_path / "pools")
    assert torch.equal(got, want)
    assert {p.stage for p in told} == {"condensing"}


def test_a_pool_whose_file_is_lost_in_between_is_trained_again(tmp_path):
    want, all_told = run("blended"), []
    run("blended", on_iteration=all_told.append)
    ended("blended", tmp_path / "a.checkpoint", len(all_told) - 2, tmp_path / "pools")
    shutil.rmtree(tmp_path / "pools")
    for pools in (None, tmp_path / "pools"):
        checkpoint = Checkpoint(tmp_path / "a.checkpoint", {})
        assert torch.equal(run("blended", checkpoint=checkpoint, pools=pools), want)


def test_a_state_without_its_networks_is_refused(tmp_path):
    ended("blended", tmp_path / "a.checkpoint", 12)
    found = Checkpoint(tmp_path / "a.checkpoint", {})
    name = next(key for key in found.state if key.startswith("networks.0.") and "conv" in key)
    del found.state[name]
    with pytest.raises(ValueError, match="a checkpoint") as error:
        run("blended", checkpoint=found)
    assert "\n" not in str(error.value)

"""Condensed images and real ones in one memory: each part by its own rules, both in one budget."""

import pytest
import torch
from memories import NETWORK, class_memory, counts, equal, message, noise

from cl_condense.memory.choosing import ShareChoice
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.memory.replay import ReplayMemory
from cl_condense.methods.hybrid import Hybrid, made_of
from cl_condense.training.protocol import Training


def parts(made=(14,), real=(6,), **options):
    return (
        class_memory(*made, method="dm", **options),
        class_memory(*real, method="random", **options),
    )


def test_each_part_is_what_it_would_be_alone_and_both_are_replayed():
    memory, (made, real) = HybridMemory(*parts()), parts()
    assert memory.budget.max_size == 20
    for experience in (noise(0, 1, seed=1), noise(2, seed=2), noise(0, seed=3)):
        for each in (memory, made, real):
            each.update(experience)
        assert len(memory.condensed) == len(made.condensed) + len(real.condensed)
        for c in made.condensed.class_ids:
            own = memory.condensed.only([c]).pixels
            assert own.equal(torch.cat([each.condensed.only([c]).pixels for each in (made, real)]))
    assert counts(memory.condensed) == {0: 7, 1: 7, 2: 6}
    assert memory.nbytes == 20 * 68 + 3 * 16
    assert len(ReplayMemory(memory).sample(100)[0]) == 20
    assert memory.experiences == 3


def test_saved_it_goes_on_and_a_class_memory_does_not_take_it_for_one(tmp_path):
    whole, halves = HybridMemory(*parts()), HybridMemory(*parts())
    for memory in (whole, halves):
        memory.update(noise(0, 1))
    halves.save(tmp_path / "memory.safetensors", note=1)
    halves = HybridMemory(*parts())
    assert halves.load(tmp_path / "memory.safetensors") == {"note": 1}
    for memory in (whole, halves):
        memory.update(noise(2, 1, seed=5))
    assert whole.condensed.pixels.equal(halves.condensed.pixels)
    plain = class_memory(14, method="dm")
    plain.update(noise(0))
    plain.save(tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="no real images") as error:
        HybridMemory(*parts()).load(tmp_path / "plain.safetensors")
    assert "load it into a ClassMemory" in message(error)
    with pytest.raises(ValueError, match="real images beside") as error:
        class_memory(14, method="dm").load(tmp_path / "memory.safetensors")
    assert "load it into a HybridMemory" in message(error)


def test_after_an_error_and_when_resized_both_parts_agree():
    memory = HybridMemory(*parts((6,), (3,)))
    memory.update(noise(0, 1, 2))
    before = memory.condensed
    with pytest.raises(ValueError, match="cannot hold 4 classes"):
        memory.update(noise(3))
    assert memory.condensed is before
    with pytest.raises(ValueError, match="cannot hold 3 classes"):
        memory.resize(4)
    assert (memory.condensed, memory.budget.max_size) == (before, 9)
    memory.made.network = NETWORK
    memory.resize(12)
    assert (memory.made.max_size, memory.real.max_size) == (8, 4)


def test_a_smaller_one_that_loads_it_shrinks_both_parts_or_stays_as_it_is(tmp_path):
    full, small = HybridMemory(*parts((9,), (9,))), HybridMemory(*parts((6,), (3,)))
    full.update(noise(0, 1, 2))
    full.save(tmp_path / "memory.safetensors")
    small.load(tmp_path / "memory.safetensors")
    assert [sum(each.condensed.counts) for each in (small.made, small.real)] == [6, 3]
    for sizes in ((6,), (2,)), ((2,), (6,)):
        memory = HybridMemory(*parts(*sizes))
        with pytest.raises(ValueError, match="a memory of 2 images cannot hold 3 classes"):
            memory.load(tmp_path / "memory.safetensors")
        for each in (memory.made, memory.real):
            assert (each.condensed, each.seen, each.experiences) == (None, {}, 0)


def test_online_it_stays_within_its_bytes_and_goes_on_from_a_file(tmp_path):
    def online():
        return OnlineMemory(HybridMemory(*parts((), (), max_bytes=900)), staging=0.25, enough=12)

    whole, halves = online(), online()
    batches = [torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(12)]
    for i, x in enumerate(batches):
        for memory in (whole, halves):
            memory.observe(x, torch.arange(6) % 2 + i // 6 * 2)
        assert whole.nbytes <= 1800
        if i == 7:
            halves.save(tmp_path / "memory.safetensors")
            halves = online()
            halves.load(tmp_path / "memory.safetensors")
    assert whole.condensed.pixels.equal(halves.condensed.pixels)
    assert set(whole.decode()[1].tolist()) == {0, 1, 2, 3}


def test_names_of_hybrids():
    assert Hybrid.of("dm") is None
    assert Hybrid.of("dm:herding") == ("dm", "herding", 0.5)
    assert Hybrid.of("dm:herding:auto") == ("dm", "herding", None)
    assert Hybrid.of("dm+sm:random:0.25") == ("dm+sm", "random", 0.25)
    assert (made_of("dm:random"), made_of("random")) == ("dm", "random")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Hybrid.of("dm:dm"), "dm:dm: what condenses comes first, then a coreset; give METHOD:CORESET"),
        (lambda: Hybrid.of("random:dm"), "random:dm: what condenses comes first"),
        (lambda: Hybrid.of("dm:herding:1"), "dm:herding:1: give METHOD:CORESET:SHARE"),
        (lambda: Hybrid.of("dm:herding:x"), "with a share above 0 and below 1"),
        (lambda: Hybrid.of("dm:herding:0.5:2"), "dm:herding:0.5:2: give METHOD:CORESET:SHARE"),
        (lambda: Hybrid.of("dm:herdin"), "unknown method 'herdin': did you mean 'herding'"),
        (
            lambda: HybridMemory(*parts()[::-1]),
            "random and dm: give a memory that condenses",
        ),
        (lambda: HybridMemory(ClassMemory(9, method="idm"), parts()[1]), "idm stores several images in one"),
        (
            lambda: HybridMemory(parts()[0], ClassMemory(max_bytes=9, method="random")),
            "max_size and one in max_b",
        ),
        (
            lambda: HybridMemory(parts()[0], ClassMemory(9, method="random", codec="float16")),
            "codecs uint8 and float16: give both memories one",
        ),
        (lambda: HybridMemory(parts()[0], 9), "real 9: give a ClassMemory, such as ClassMemory(100)"),
    ],
)
def test_what_does_not_go_together_gets_a_line(make, said):
    with pytest.raises(ValueError, match=":") as error:
        make()
    assert said in message(error)


def choosing(*sizes, **options):
    """A hybrid memory that chooses its share."""
    choose = ShareChoice(NETWORK, Training(epochs=2, augment=None), networks=2, **options)
    return HybridMemory(*parts(*((n,) for n in sizes), codec="float32"), choose)


def test_a_share_is_the_best_on_images_that_no_memory_has_seen(monkeypatch):
    """Each share that parts the budget differently is tried; the memory is made of all images then."""
    real, memory, trials = noise(0, 1, n=20), choosing(6, 6, shares=(0.1, 0.3, 0.35, 0.5), held=0.25), []

    def score(images, ids, test, **options):
        trials.append((sum(any(x.equal(y) for y in real.images) for x in images), test))
        assert not any(x.equal(y) for x in test.images for y in images)
        return torch.tensor([0.5, 1 / trials[-1][0]])

    monkeypatch.setattr("cl_condense.memory.choosing.score", score)
    memory.update(real)
    assert memory.seconds > memory.made.seconds + memory.real.seconds
    assert [of_real for of_real, _ in trials] == [4, 6]
    assert all(test.counts == (5, 5) for _, test in trials)
    tried = [
        {"share": 0.3, "accuracies": [0.5, 0.25]},
        {"share": 0.5, "accuracies": [0.5, pytest.approx(1 / 6)]},
    ]
    assert memory.chosen == {"share": 0.3, "held_out": 5, "tried": tried}
    plain = HybridMemory(*parts((8,), (4,), codec="float32"))
    plain.update(real)
    equal(memory.condensed, plain.condensed)
    memory.update(noise(2, seed=4))
    assert (len(trials), memory.budget.max_size, memory.real.max_size) == (2, 12, 4)


def test_a_chosen_share_comes_back_from_the_file(tmp_path):
    whole = choosing(8, 4)
    whole.update(noise(0, 1))
    whole.save(tmp_path / "memory.safetensors", note=1)
    halves = HybridMemory(*parts((6,), (6,), codec="float32"))
    assert halves.load(tmp_path / "memory.safetensors") == {"note": 1}
    assert halves.chosen == whole.chosen
    assert all(0 <= n <= 1 for each in whole.chosen["tried"] for n in each["accuracies"])
    for memory in (whole, halves):
        memory.update(noise(2, seed=5))
    equal(whole.condensed, halves.condensed)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: choosing(6, 6).update(noise(0)), "show 2 or more at first"),
        (
            lambda: choosing(6, 6).update(noise(0, (1, 1))),
            "held-out images, and a class has 1",
        ),
        (
            lambda: choosing(6, 6, classes=9).update(noise(0, 1)),
            "an image of all 9 classes",
        ),
        (lambda: choosing(6, 6, shares=(0.5, 1)), "share 1: give a finite number above 0 and below 1"),
        (lambda: HybridMemory(*parts(), choose=0.5), "choose 0.5: give a ShareChoice, or None"),
    ],
)
def test_where_no_share_can_be_chosen_a_line_says_so(make, said):
    with pytest.raises(ValueError, match=":") as error:
        make()
    assert said in message(error)

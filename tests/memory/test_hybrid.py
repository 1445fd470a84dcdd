"""Condensed images and real ones in one memory: each part by its own rules, both in one budget."""

import pytest
import torch
from memories import NETWORK, class_memory, counts, message, noise

from cl_condense.memory.class_memory import ClassMemory
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.memory.replay import ReplayMemory
from cl_condense.methods.hybrid import Hybrid, made_of


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

"""What a memory begins and cannot end, whoever or whatever ends it, leaves it as it was."""

import pytest
from memories import class_memory, random_images

from cl_condense.data.imageset import ImageSet
from cl_condense.memory.hybrid import HybridMemory
from cl_condense.memory.online import OnlineMemory
from cl_condense.memory.saved import Saved

MAKE = {
    "class": lambda n: class_memory(n, method="dm", device="cpu"),
    "hybrid": lambda n: HybridMemory(MAKE["class"](n), class_memory(n, method="random", device="cpu")),
    "online": lambda n: OnlineMemory(MAKE["class"](n), staging=0.5, enough=5),
    "online hybrid": lambda n: OnlineMemory(MAKE["hybrid"](n // 2), staging=0.5, enough=5),
}


def take(memory, seed):
    """Three classes, one of them new."""
    images, labels = random_images(0, 1, 2 + seed, n=3, seed=seed)
    if isinstance(memory, OnlineMemory):
        memory.observe(images, labels)
    else:
        memory.update(ImageSet.of(images, labels))


def filled(kind, size, batches):
    memory = MAKE[kind](size)
    for seed in range(batches):
        take(memory, seed)
    return memory


def state(memory, folder):
    """All that tells a memory from another."""
    memory.save(folder / "state.safetensors")
    saved = Saved.read(folder / "state.safetensors")
    held = saved.condensed
    stored = {name: each.tolist() for name, each in held.stored.items()}
    return saved._replace(condensed=None), stored, held.class_ids, held.counts, memory.budget


def interrupting(memory, at):
    """Has it interrupted when it tells of its work for the ``at``-th time, from 0; gives what it told."""
    told = []

    def tell(progress):
        told.append(progress)
        if len(told) > at:
            raise KeyboardInterrupt

    inner = getattr(memory, "memory", memory)
    for part in getattr(inner, "parts", (inner,)):
        part.on_iteration = tell
    return told


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("act", ["take", "resize", "load"])
def test_a_memory_that_is_interrupted_is_what_it_was(kind, act, tmp_path):
    larger = filled(kind, 60, 4)
    larger.save(tmp_path / "larger.safetensors")
    acts = {
        "take": lambda memory: take(memory, 3),
        "resize": lambda memory: memory.resize(20),
        "load": lambda memory: memory.load(tmp_path / "larger.safetensors"),
    }
    whole = filled(kind, 30, 3)
    told = interrupting(whole, 1000)
    acts[act](whole)
    assert told, "there is something to interrupt"
    for at in range(len(told)):
        memory = filled(kind, 30, 3)
        before = state(memory, tmp_path)
        interrupting(memory, at)
        with pytest.raises(KeyboardInterrupt):
            acts[act](memory)
        assert state(memory, tmp_path) == before
        interrupting(memory, 1000)
        acts[act](memory)
        assert state(memory, tmp_path) == state(whole, tmp_path), "begun again, it ends as if it had not been"


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, ValueError])
def test_so_it_is_after_an_error(error, tmp_path):
    memory = filled("online", 16, 2)
    before = state(memory, tmp_path)

    def fail(progress):
        raise error("no room left")

    memory.memory.on_iteration = fail
    with pytest.raises(error):
        memory.condense()
    assert state(memory, tmp_path) == before

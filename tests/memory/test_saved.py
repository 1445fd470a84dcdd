"""A memory as a file."""

from dataclasses import replace

import pytest
import torch
from memories import METHODS, class_memory, counts, equal, message, noise

from cl_condense.condensation.condensed_set import CondensedSet


@pytest.mark.parametrize("shrink", ["recondense", "prefix"])
@pytest.mark.parametrize("method", METHODS)
def test_a_saved_memory_goes_on_alike(tmp_path, method, shrink):
    whole = class_memory(13, method=method, shrink=shrink)
    whole.update(noise(5, 3, n=40))
    whole.update(noise(0, n=40, seed=1))
    whole.save(tmp_path / "memory.safetensors", order=[5, 3, 0])
    resumed = class_memory(13, method=method, shrink=shrink)
    assert resumed.load(tmp_path / "memory.safetensors") == {"order": [5, 3, 0]}
    equal(whole.condensed, resumed.condensed)
    for exp in (noise(2, n=40, seed=2), noise(5, 4, n=40, seed=3)):
        for memory in (whole, resumed):
            memory.update(exp)
        equal(whole.condensed, resumed.condensed)


def test_what_cannot_be_saved_or_loaded_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="empty"):
        class_memory(5).save(tmp_path / "a.safetensors")
    CondensedSet(torch.zeros(1, 1, 8, 8), (0,), (1,), (0.0,), (1.0,)).save(tmp_path / "a.safetensors")
    memory = class_memory(5)
    with pytest.raises(ValueError, match="not a saved memory") as error:
        memory.load(tmp_path / "a.safetensors")
    assert str(tmp_path / "a.safetensors") in message(error)
    assert memory.condensed is None


@pytest.mark.parametrize("method", METHODS)
def test_a_smaller_memory_that_loads_it_shrinks_it_or_stays_as_it_is(tmp_path, method):
    full = class_memory(12, method=method)
    full.update(noise(5, 3, n=40))
    full.save(tmp_path / "memory.safetensors")
    small, none = class_memory(5, method=method), class_memory(1, method=method)
    small.load(tmp_path / "memory.safetensors")
    full.resize(5)
    equal(small.condensed, full.condensed)
    with pytest.raises(ValueError, match="a memory of 1 images cannot hold 2 classes"):
        none.load(tmp_path / "memory.safetensors")
    assert (none.condensed, none.seen, none.experiences) == (None, {}, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_set_is_taken_up_as_if_it_were_of_the_memory(method):
    """So that what comes next, new classes and ones that return, is to the bit what it would have been."""
    whole, begun = class_memory(12, method=method), class_memory(12, method=method)
    whole.update(noise(5, 3, n=40))
    begun.take_up(whole.condensed, 40)
    for experience in (noise(0, n=40, seed=1), noise(5, n=40, seed=2)):
        for memory in (whole, begun):
            memory.update(experience)
        equal(whole.condensed, begun.condensed)
    assert begun.seen == {3: 40, 5: 80, 0: 40}


def test_a_larger_set_shrinks_to_the_budget_in_its_codec():
    full = class_memory(12)
    full.update(noise(5, 3, n=40))
    memory = class_memory(5, codec="float16")
    memory.take_up(full.condensed.coded("float32"), {5: 40, 3: 6})
    assert (counts(memory.condensed), memory.condensed.codec) == ({3: 3, 5: 2}, "float16")


@pytest.mark.parametrize(
    ("size", "seen", "said"),
    [
        (12, 5, "images seen of class 3 5: give a whole number from 6"),
        (12, {3: 9}, "class 5 is not in both the set and the images seen"),
        (1, 40, "a memory of 1 images cannot hold 2 classes"),
    ],
)
def test_a_set_that_does_not_fit_leaves_the_memory_empty(size, seen, said):
    full, memory = class_memory(12), class_memory(size)
    full.update(noise(5, 3, n=40))
    with pytest.raises(ValueError, match=":") as error:
        memory.take_up(full.condensed, seen)
    assert said in message(error)
    assert (memory.condensed, memory.experiences) == (None, 0)
    with pytest.raises(ValueError, match="the memory is not empty"):
        full.take_up(full.condensed, 40)
    with pytest.raises(ValueError, match="4 images in one does not join those of random, with 1"):
        class_memory(12).take_up(replace(full.condensed, factor=2), 40)

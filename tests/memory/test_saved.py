"""A memory as a file."""

import pytest
import torch
from memories import METHODS, class_memory, equal, message, noise

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

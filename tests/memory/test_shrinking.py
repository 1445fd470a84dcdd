"""How a class's images become fewer where a budget is shared."""

from dataclasses import replace

import pytest
import torch
from memories import class_memory, counts, mean_distance, noise

from cl_condense.condensation.storage import Partition
from cl_condense.methods.registry import build


@pytest.mark.parametrize("synthetic", [None, Partition(2)], ids=str)
def test_shrinking_recondenses_or_keeps_the_first(synthetic):
    method = replace(build("dm"), **({"synthetic": synthetic} if synthetic else {}))
    kept = {}
    for shrink in ("recondense", "prefix"):
        memory = class_memory(24, method=method, shrink=shrink, iterations=40)
        memory.update(noise(0, 1, n=48))
        before = memory.condensed
        memory.update(noise(2, n=48, seed=1))
        assert counts(memory.condensed) == {0: 8, 1: 8, 2: 8}
        kept[shrink] = memory.condensed
    assert torch.equal(kept["prefix"].only([0, 1]).pixels, before.first({0: 8, 1: 8}).pixels)
    assert torch.equal(kept["prefix"].only([2]).pixels, kept["recondense"].only([2]).pixels)
    x = before.decode()[0]
    apart = [mean_distance(x, kept[shrink].only([0, 1]).decode()[0]) for shrink in ("recondense", "prefix")]
    assert apart[0] < 0.5 * apart[1]


def test_a_coreset_keeps_its_first_images_however_it_shrinks():
    memory = class_memory(24)
    memory.update(noise(0, 1))
    before = memory.condensed
    memory.update(noise(2))
    assert torch.equal(memory.condensed.only([0, 1]).pixels, before.first({0: 8, 1: 8}).pixels)

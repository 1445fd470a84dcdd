"""Training that is interrupted: the next experience is taken into the memory, and none is taken twice."""

import pickle

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import ER_ACE, Naive
from avalanche.training.plugins import GDumbPlugin
from memories import NETWORK
from streams import buffer, ci, counts, nc, strategy_of

from cl_condense.strategies import CondensedGDumb
from cl_condense.training.protocol import Training
from cl_condense.training.trainers import TRAINERS


class Stop(SupervisedPlugin):
    """Somebody who interrupts the first epoch, once."""

    def __init__(self):
        super().__init__()
        self.due = False

    def before_training_epoch(self, strategy, **kwargs):
        due, self.due = self.due, False
        if due:
            raise KeyboardInterrupt


def er_ace(memory, common):
    strategy = ER_ACE(**common, plugins=[Stop()], mem_size=20, batch_size_mem=10)
    strategy.storage_policy = memory
    return strategy


def gdumb(memory, common):
    plugin = GDumbPlugin(20)
    plugin.storage_policy = memory
    return Naive(**common, plugins=[plugin, Stop()])


@pytest.mark.parametrize("benchmark", [nc, ci])
@pytest.mark.parametrize("make", [er_ace, gdumb])
@pytest.mark.parametrize("pickled", [False, True])
def test_what_comes_after_an_interrupted_experience_is_taken(pickled, make, benchmark, digits):
    stream, memory = benchmark(*digits).train_stream, buffer(20)
    strategy = strategy_of(make, memory)
    strategy.train(stream[0])
    stop = next(plugin for plugin in strategy.plugins if isinstance(plugin, Stop))
    stop.due = True
    with pytest.raises(KeyboardInterrupt):
        strategy.train(stream[1])
    assert memory.experiences == 2, "they take an experience before they train on it"
    if pickled:
        memory = pickle.loads(pickle.dumps(memory))
        (strategy if make is er_ace else strategy.plugins[0]).storage_policy = memory
    else:
        strategy.train(stream[1])
        assert memory.experiences == 2, "begun again, it is there already"
        stop.due = True
        with pytest.raises(KeyboardInterrupt):
            strategy.train(stream[2])
        stop.due = True
        with pytest.raises(KeyboardInterrupt):
            strategy.train(stream[3])
    strategy.train(stream[4])
    shown = {int(y) for number in ([0, 1, 4] if pickled else range(5)) for y in stream[number].dataset.targets}
    assert memory.seen_classes == set(counts(memory)) == shown


def test_an_experience_that_is_trained_on_again_is_taken_again(digits):
    memory = buffer(20)
    strategy_of(er_ace, memory).train([nc(*digits).train_stream[0]] * 3)
    assert memory.experiences == 3


@pytest.mark.parametrize("trainer", TRAINERS)
def test_gdumb_whose_training_is_interrupted_begins_again_with_the_networks_it_had(trainer, digits):
    def interrupt(progress):
        if left and not left.pop():
            raise KeyboardInterrupt

    def made(told=None):
        few = Training(epochs=3, lr=0.05)
        return CondensedGDumb(
            model=NETWORK(10), buffer=buffer(20), training=few, networks=2, trainer=trainer, on_progress=told
        )

    stream, left, whole = nc(*digits).train_stream, [], made()
    cut = made(interrupt)
    for number, exp in enumerate(stream):
        whole.train(exp)
        if number % 2:
            left, before = [0, 1, 1], cut.networks
            with pytest.raises(KeyboardInterrupt):
                cut.train(exp)
            assert cut.networks is before
        cut.train(exp)
    assert cut.buffer.experiences == whole.buffer.experiences == len(stream)
    for a, b in zip(cut.networks, whole.networks, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))

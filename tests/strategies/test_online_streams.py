"""Avalanche's online streams, of ten images an experience, with and without boundaries, neat and blurred."""

import pytest
import torch
from avalanche.benchmarks import (
    CLStream,
    OnlineCLExperience,
    OnlineCLScenario,
    split_continuous_linear_decay_stream,
    split_online_stream,
)
from avalanche.models import MTSimpleMLP
from avalanche.training import ER_ACE, Naive
from avalanche.training.plugins import ReplayPlugin
from memories import NETWORK, message
from streams import buffer, digits, nc, noise, replay, strategy_of

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.parts import label_and_domain
from cl_condense.strategies import CondensedGDumb
from cl_condense.strategies.outputs import going_on
from cl_condense.strategies.tensors import class_id
from cl_condense.training.protocol import Training

BUDGET = 1600
"""Bytes: 23 images of 8 x 8 in uint8, less the labels."""


@pytest.fixture(scope="module")
def data():
    return digits()


def er_ace(memory, common):
    strategy = ER_ACE(**common, mem_size=20, batch_size_mem=10)
    strategy.storage_policy = memory
    return strategy


def known(stream):
    return split_online_stream(stream, experience_size=10, access_task_boundaries=True, seed=0)


def unknown(stream):
    return split_online_stream(stream, experience_size=10, seed=0)


def blurred(stream):
    return split_continuous_linear_decay_stream(stream, 10, iters_per_virtual_epoch=5, beta=3, shuffle=True)


def scenario(stream):
    with pytest.warns(UserWarning, match="Deprecated"):
        made = OnlineCLScenario([*stream.benchmark.streams.values()], experience_size=10)
    return made.streams["train_online"]


@pytest.mark.parametrize("online", [known, unknown, blurred, scenario])
@pytest.mark.parametrize("strategy", [replay, er_ace])
@pytest.mark.filterwarnings("ignore:Num workers")
def test_replay_and_er_ace_train_within_the_budget_at_every_mini_batch(online, strategy, data):
    memory = buffer(method="dm", max_bytes=BUDGET, staging=0.3, enough=15)
    made, shown = strategy_of(strategy, memory), set()
    torch.manual_seed(0)
    for number, exp in enumerate(online(nc(*data).train_stream)):
        made.train(exp)
        shown |= {int(y) for _, y, *_ in exp.dataset}
        assert memory.memory.nbytes <= BUDGET
        assert {int(y) for _, y, *_ in memory.buffer} == memory.seen_classes == shown
        if number == 25:
            break
    assert memory.experiences >= 3
    assert len(shown) >= 6


@pytest.mark.filterwarnings("ignore:Num workers")
def test_tasks_have_classes_of_their_own_and_heads_get_their_images(data):
    memory = buffer(method="dm", max_bytes=BUDGET, staging=0.3, enough=15)

    def multi_head(memory, common):
        model = MTSimpleMLP(64, 16)
        own = common | {"model": model, "optimizer": torch.optim.SGD(model.parameters(), 0.02)}
        return Naive(**own, plugins=[ReplayPlugin(0, storage_policy=memory)])

    made = strategy_of(multi_head, memory)
    tasks = nc(*data, task_labels=True, class_ids_from_zero_in_each_exp=True)
    for number, exp in enumerate(known(tasks.train_stream)):
        exp.task_labels = exp.origin_experience.task_labels  # which an online experience has not by itself
        made.train(exp)
        assert memory.memory.nbytes <= BUDGET
        if number == 20:
            break
    held = {(int(y), int(t)) for _, y, t in memory.buffer}
    assert held == {(y, t) for t in range(4) for y in (0, 1)}
    assert set(memory.memory.class_ids) == {class_id(y, t) for y, t in held}
    made.eval(tasks.test_stream[:4])


@pytest.mark.filterwarnings("ignore:Num workers")
def test_classes_are_named_by_their_tasks_while_they_wait_and_after(data, tmp_path):
    memory, again = (buffer(20, method="dm", staging=0.3, enough=15) for _ in range(2))
    for exp in known(nc(*data, task_labels=True).train_stream):
        memory.post_adapt(None, exp)
        pairs = [label_and_domain(c)[::-1] for c in memory.memory.class_ids]
        if any(task for task, _ in pairs):
            assert memory.memory.names == tuple(map(str, pairs))
    assert len(pairs) == 10
    memory.save(tmp_path / "memory.safetensors")
    again.load(tmp_path / "memory.safetensors")
    assert again.memory.names == memory.memory.names
    assert CondensedSet.load(tmp_path / "memory.safetensors").names == memory.memory.names


def mini_batches():
    for seed in range(3):
        yield OnlineCLExperience(dataset=noise((5, 1), (3, 3), seed=seed).dataset, origin_experience=None)


def test_networks_go_on_while_classes_wait_and_are_condensed_in_another_order(data, monkeypatch):
    seen = []

    def going(*args, **options):
        seen.append((options["before"], options["seen"]))
        return going_on(*args, **options)

    monkeypatch.setattr("cl_condense.strategies.gdumb.going_on", going)
    memory = buffer(20, method="dm", staging=0.3, enough=6)
    strategy = CondensedGDumb(
        model=NETWORK(10), buffer=memory, training=Training(epochs=1), trainer="idc", evaluator=None
    )
    for number, exp in enumerate(CLStream("online", mini_batches())):
        strategy.train(exp)
        assert memory.experiences == (number > 0), "class 3 has shown enough at the second batch"
    assert [*memory.held.seen] == [3, 5]
    assert seen == [((), (5, 3)), ((5, 3), (5, 3)), ((5, 3), (5, 3))]


def test_boundaries_that_are_known_are_where_it_condenses(data):
    def condensed(online):
        memory = buffer(20, method="dm", staging=0.3, enough=1000)
        for exp in list(online(nc(*data).train_stream))[:7]:
            memory.post_adapt(None, exp)
        return memory.experiences

    assert (condensed(known), condensed(unknown)) == (1, 0), "the first class pair has 60 images"


def test_a_saved_buffer_goes_on(data, tmp_path):
    whole, halves = (buffer(20, method="dm", staging=0.3, enough=15) for _ in range(2))
    for number, exp in enumerate(list(unknown(nc(*data).train_stream))[:9]):
        whole.post_adapt(None, exp)
        halves.post_adapt(None, exp)
        if number == 4:
            halves.save(tmp_path / "memory.safetensors")
            halves = buffer(20, method="dm", staging=0.3, enough=15)
            halves.load(tmp_path / "memory.safetensors")
    assert whole.memory.pixels.equal(halves.memory.pixels)
    with pytest.raises(ValueError, match="wait") as error:
        buffer(20, method="dm").load(tmp_path / "memory.safetensors")
    assert "load it into an OnlineMemory" in message(error)

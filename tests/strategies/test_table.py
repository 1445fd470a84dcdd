"""The table of docs/site/avalanche.md: what takes a condensed memory as it says, and what is refused."""

import importlib.util
import re
import warnings
from pathlib import Path

import pytest
import torch
from avalanche.models import MTSimpleMLP, NCMClassifier, SCRModel, TrainEvalModel
from avalanche.training import ER_ACE, MER, Naive
from avalanche.training.plugins import (
    CoPEPlugin,
    EWCPlugin,
    GDumbPlugin,
    GEMPlugin,
    LwFPlugin,
    MIRPlugin,
    RARPlugin,
    ReplayPlugin,
)
from avalanche.training.plugins.update_ncm import MemoryNCMUpdate
from avalanche.training.supervised import DER, ER_AML, SCR
from avalanche.training.supervised.feature_replay import FeatureReplay
from memories import message
from streams import buffer, ci, counts, nc, strategy_of
from torch import nn

from cl_condense.strategies import CondensedAGEMPlugin, CondensedGDumb, CondensedGEMPlugin
from cl_condense.training.protocol import Training

PAGE = Path(__file__).parents[2] / "docs" / "site" / "avalanche.md"


def plugged(*make):
    """Naive with plugins that get the memory as their storage policy."""
    return lambda memory, common: Naive(**common, plugins=[one(memory) for one in make])


def overwritten(make, **arguments):
    """Naive with a plugin that has a policy of its own, which is overwritten."""

    def strategy(memory, common):
        plugin = make(mem_size=memory.max_size, **arguments)
        plugin.storage_policy = memory
        return Naive(**common, plugins=[plugin])

    return strategy


def replayed(memory):
    return ReplayPlugin(memory.max_size, storage_policy=memory)


def with_model(model, common):
    return common | {"model": model, "optimizer": torch.optim.SGD(model.parameters(), 0.01)}


def features():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())


def cope(memory, common):
    common = with_model(nn.Sequential(nn.Flatten(), nn.Linear(64, 16)), common)
    return overwritten(CoPEPlugin, n_classes=10, p_size=16)(memory, common)


def rar(memory, common):
    plugin = RARPlugin(8, memory.max_size, name_ext_layer="1", storage_policy=memory)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    return Naive(**with_model(model, common), plugins=[plugin])


def er_ace(memory, common):
    strategy = ER_ACE(**common, mem_size=memory.max_size, batch_size_mem=8)
    strategy.storage_policy = memory
    return strategy


def er_aml(memory, common):
    inner = features()
    common = with_model(nn.Sequential(inner, nn.Linear(16, 10)), common) | {"train_mb_size": 2}
    strategy = ER_AML(**common, feature_extractor=inner, mem_size=memory.max_size, batch_size_mem=8)
    strategy.storage_policy = memory
    return strategy


def scr(memory, common):
    common = with_model(SCRModel(features(), nn.Linear(16, 8)), common)
    strategy = SCR(**common, augmentations=nn.Identity(), mem_size=memory.max_size, batch_size_mem=8)
    strategy.replay_plugin.storage_policy = memory
    return strategy


def mer(memory, common):
    strategy = MER(**common | {"train_mb_size": 100}, mem_size=memory.max_size, n_inner_steps=1)
    strategy.buffer.storage_policy = memory
    return strategy


def nearest_means(memory, common):
    """What iCaRL does, put together: replay, distillation, means of the memory's features."""
    model = TrainEvalModel(features(), nn.Linear(16, 10), NCMClassifier(normalize=True))
    plugins = [replayed(memory), LwFPlugin(1, 2), MemoryNCMUpdate(storage_policy=memory)]
    return Naive(**with_model(model, common), plugins=plugins)


def condensed_gdumb(memory, common):
    return CondensedGDumb(
        model=common["model"], buffer=memory, networks=2, training=Training(epochs=2), evaluator=None
    )


ROWS = {
    "ReplayPlugin": plugged(replayed),
    "LwFPlugin": plugged(replayed, lambda memory: LwFPlugin(1, 2)),
    "EWCPlugin": plugged(replayed, lambda memory: EWCPlugin(1)),
    "GDumbPlugin": overwritten(GDumbPlugin),
    "CondensedGDumb": condensed_gdumb,
    "MIRPlugin": overwritten(MIRPlugin, batch_size_mem=4, subsample=8),
    "CoPEPlugin": cope,
    "RARPlugin": rar,
    "ER_ACE": er_ace,
    "ER_AML": er_aml,
    "SCR": scr,
    "MER": mer,
    "MemoryNCMUpdate": nearest_means,
    "AGEMPlugin": plugged(lambda memory: CondensedAGEMPlugin(memory, 8)),
    "GEMPlugin": plugged(lambda memory: CondensedGEMPlugin(memory, 0.5)),
}
REFUSED = {"DER", "FeatureReplay"}
ELSEWHERE = {"split_online_stream"}
"""Tested in test_online_streams.py."""

NO_POLICY = {"ICaRL", "GSS_greedy", "GenerativeReplay"}
NOT_TESTED = {"BiCPlugin"}


def test_the_page_has_these_rows():
    rows = re.findall(r"^\| ([^|]*`[^|]*) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    said = {name: last for names, _, last in rows for name in re.findall(r"`(\w+)`", names)}
    tested = {name for name, last in said.items() if last.startswith("tested")}
    refused = {name for name, last in said.items() if last.startswith("refused")}
    assert (tested, refused) == (set(ROWS) | ELSEWHERE, REFUSED)
    assert said.keys() - tested - refused == NO_POLICY | NOT_TESTED


class Counting:
    """An augmentation that counts how often it is asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        return image


WANT_TASKS = {"LwFPlugin", "MER", "ER_AML", "SCR", "MemoryNCMUpdate"}
"""Strategies of Avalanche that ask the stream for task labels, whatever memory they have."""


@pytest.mark.parametrize("benchmark", ["plain", "tensor labels", "tasks"])
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.filterwarnings("ignore:Num workers")
def test_it_trains_on_the_memory_and_renews_it(name, benchmark, digits, monkeypatch):
    if benchmark == "tensor labels" and name in WANT_TASKS:
        pytest.skip("Avalanche's own: wants task labels")
    if importlib.util.find_spec("quadprog") is None:
        monkeypatch.setattr(GEMPlugin, "solve_quadprog", lambda plugin, gradient: gradient)
    streams = {"plain": nc, "tensor labels": ci, "tasks": lambda *data: nc(*data, task_labels=True)}
    stream, augment = streams[benchmark](*digits), Counting()
    memory = buffer(20, transform=augment)
    strategy = strategy_of(ROWS[name], memory)
    for number, exp in enumerate(stream.train_stream[:3], 1):
        strategy.train(exp)
        assert len(memory) == 20
        assert memory.experiences == number, "once for an experience, however many plugins share it"
        each, rest = divmod(20, 2 * number)
        assert sorted(counts(memory).values()) == [each] * (2 * number - rest) + [each + 1] * rest
    assert augment.calls > 0 or name == "CondensedGDumb"
    strategy.eval(stream.test_stream[:3])
    if benchmark == "tasks":
        shown = [(t, y) for t, exp in enumerate(stream.train_stream[:3]) for y in exp.dataset.targets.uniques]
        assert memory.memory.names == tuple(map(str, sorted(shown)))


def test_an_experience_without_images_constrains_no_gradient(digits, monkeypatch):
    made, solved = [], []
    monkeypatch.setattr(GEMPlugin, "solve_quadprog", lambda plugin, g: solved.append(len(plugin.G)) or g)

    def gem(memory, common):
        made.append(CondensedGEMPlugin(memory, 0.5))
        return Naive(**common, plugins=made)

    memory = buffer(5, method="reservoir")
    strategy, shown = strategy_of(gem, memory), []
    for exp in nc(*digits).train_stream:
        left = set(memory.memory.class_ids if shown else ())
        held = {number for number, classes in enumerate(shown) if classes & left}
        assert made[0].memory_x.keys() == held
        strategy.train(exp)
        assert len(made[0].G) == len(held)
        assert made[0].G.isfinite().all()
        shown.append(set(exp.dataset.targets.uniques))
    assert len(held) < len(shown) - 1, "some experience has no image left"
    assert solved


def test_constraints_are_those_of_avalanche_where_all_have_images(digits, monkeypatch):
    monkeypatch.setattr(GEMPlugin, "solve_quadprog", lambda plugin, gradient: gradient)
    memory = buffer(20)
    strategy = strategy_of(ROWS["GEMPlugin"], memory)
    for exp in nc(*digits).train_stream[:3]:
        strategy.train(exp)
    plugin, own = strategy.plugins[0], []
    for kind in (CondensedGEMPlugin, GEMPlugin):
        kind.before_training_iteration(plugin, strategy)
        own.append(plugin.G)
    assert own[0].shape[0] == 3
    assert torch.equal(*own)


def test_logits_are_refused_before_anything_is_condensed(digits):
    def der(memory, common):
        strategy = DER(**common, mem_size=memory.max_size)
        strategy.storage_policy = memory
        return strategy

    memory = buffer(20)
    with pytest.raises(ValueError, match=r"DER wants the logits .* or use ER_ACE or a ReplayPlugin") as error:
        strategy_of(der, memory).train(nc(*digits).train_stream[0])
    message(error)
    assert memory.memory is None


def test_features_are_refused(digits):
    def replay_of_features(memory, common):
        model = nn.Sequential()
        model.add_module("inner", features())
        model.add_module("last", nn.Linear(16, 10))
        strategy = FeatureReplay(
            **with_model(model, common), mem_size=memory.max_size, batch_size_mem=4, last_layer_name="last"
        )
        strategy.storage_policy = memory
        return strategy

    memory = buffer(20)
    # one of its losses warns, after Avalanche has set the filters anew
    with (
        warnings.catch_warnings(record=True),
        pytest.raises(ValueError, match="type FeatureDataset: give an AvalancheDataset of images") as error,
    ):
        strategy_of(replay_of_features, memory).train(nc(*digits).train_stream[0])
    message(error)


def test_a_model_with_a_head_for_each_task_is_replayed_by_the_tasks_of_the_images(digits):
    """Its heads differ, so that an image at another task's head would be told apart wrongly."""
    asked = []

    class Heads(MTSimpleMLP):
        def forward(self, x, task_labels):
            asked.append(task_labels.tolist())
            return super().forward(x, task_labels)

    stream, memory = nc(*digits, task_labels=True, class_ids_from_zero_in_each_exp=True), buffer(12)
    strategy = strategy_of(
        lambda memory, common: ROWS["ReplayPlugin"](memory, with_model(Heads(input_size=64), common)), memory
    )
    for number, exp in enumerate(stream.train_stream[:3], 1):
        asked.clear()
        strategy.train(exp)
        assert {task for batch in asked for task in batch} == set(range(number))
    assert memory.memory.names == ("(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)", "(2, 0)", "(2, 1)")

"""The memory where Avalanche takes one: its strategies, items, data sets and checkpoints."""

import warnings
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from avalanche.benchmarks import nc_benchmark, split_online_stream
from avalanche.checkpointing import maybe_load_checkpoint, save_checkpoint
from avalanche.training import ER_ACE, Naive
from avalanche.training.plugins import GDumbPlugin, LwFPlugin, ReplayPlugin
from memories import METHODS, message
from PIL import Image
from streams import buffer, ci, counts, equal, experience, nc, noise, replay, strategy_of
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, Normalize, RandomCrop, ToTensor

from cl_condense.networks.convnet import MakeConvNet
from cl_condense.strategies import CondensedGDumb
from cl_condense.training.protocol import Training

# in Avalanche's strategies


def gdumb(memory, common):
    plugin = GDumbPlugin(memory.max_size)
    plugin.storage_policy = memory
    return Naive(**common, plugins=[plugin])


def er_ace(memory, common):
    strategy = ER_ACE(**common, mem_size=memory.max_size, batch_size_mem=10)
    strategy.storage_policy = memory
    return strategy


def condensed_gdumb(memory, common):
    return CondensedGDumb(
        model=common["model"], buffer=memory, networks=2, training=Training(epochs=3), evaluator=None
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [replay, gdumb, er_ace, condensed_gdumb], ids=lambda make: make.__name__)
@pytest.mark.parametrize("benchmark", [nc, ci], ids=lambda benchmark: benchmark.__name__)
def test_every_strategy_keeps_a_balanced_memory_within_the_budget(digits, benchmark, make, method):
    stream, memory = benchmark(*digits), buffer(23, method=method)
    strategy, seen = strategy_of(make, memory), []
    for exp, wanted in zip(
        stream.train_stream, ["cb", "6665", "444443", "33333332", "3332222222"], strict=True
    ):
        seen += sorted(exp.dataset.targets.uniques)
        strategy.train(exp)
        assert counts(memory) == {c: int(n, 16) for c, n in zip(seen, wanted, strict=True)}
        assert Counter(memory.buffer.targets) == counts(memory)
        assert len(memory.buffer) == 23
    strategy.eval(stream.test_stream)


@pytest.mark.parametrize("method", METHODS)
def test_a_replayed_memory_lessens_forgetting(digits, method):
    right = []
    for make in (replay, lambda _, common: Naive(**common)):
        strategy = strategy_of(make, buffer(100, method=method))
        for exp in nc(*digits).train_stream:
            strategy.train([exp] * 4)
        x, y = digits[1].tensors
        right.append(float((strategy.model.eval()(x).argmax(1) == y).double().mean()))
    assert right[0] > right[1] + 0.2


def test_updating_warns_of_nothing():
    memory, filters = buffer(10), list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside = list(warnings.filters)
        memory.update(SimpleNamespace(experience=noise(0, 1)))
        assert warnings.filters == inside
    assert caught == []
    assert warnings.filters == filters
    assert counts(memory) == {0: 5, 1: 5}


def lwf(memory, common):
    """Replay and distillation, memory images augmented at random."""
    memory.transform = RandomCrop(8, padding=1)
    return Naive(**common, plugins=[ReplayPlugin(memory.max_size, storage_policy=memory), LwFPlugin(1, 2)])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [replay, lwf, gdumb, er_ace, condensed_gdumb], ids=lambda make: make.__name__)
def test_a_checkpoint_of_avalanche_goes_on_alike(digits, make, method, tmp_path):
    stream = nc(*digits)
    whole = strategy_of(make, buffer(24, method=method))
    for exp in stream.train_stream[:2]:
        whole.train(exp)
    save_checkpoint(whole, tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint").stat().st_size < 1_000_000
    for exp in stream.train_stream[2:4]:
        whole.train(exp)
    resumed, number = maybe_load_checkpoint(strategy_of(make, buffer(24), seed=1), tmp_path / "checkpoint")
    assert number == 2
    for exp in stream.train_stream[2:4]:
        resumed.train(exp)
    memories = [policy_of(strategy) for strategy in (whole, resumed)]
    assert memories[0] is not memories[1]
    assert len(memories[0]) == 24
    equal(*memories)
    weights = [strategy.model.state_dict() for strategy in (whole, resumed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def policy_of(strategy):
    """The memory, wherever the strategy has it."""
    if isinstance(strategy, CondensedGDumb):
        return strategy.buffer
    return next(one.storage_policy for one in [strategy, *strategy.plugins] if hasattr(one, "storage_policy"))


# what an item looks like


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("benchmark", "length", "kind"), [(nc, 3, int), (ci, 2, torch.Tensor)])
def test_an_item_of_the_memory_looks_like_one_of_the_stream(digits, benchmark, length, kind, method):
    exp = benchmark(*digits).train_stream[0]
    memory = buffer(20, method=method)
    memory.post_adapt(None, exp)
    ours, theirs = memory.buffer[0], exp.dataset[0]
    assert len(ours) == len(theirs) == length
    assert isinstance(ours[1], kind)
    assert isinstance(theirs[1], kind)
    assert (ours[0].shape, ours[0].dtype) == (theirs[0].shape, theirs[0].dtype)
    mixed = exp.dataset.concat(memory.buffer)
    loader = DataLoader(mixed, batch_size=80, collate_fn=exp.dataset.collate_fn)
    (batch,) = loader
    assert len(batch) == length
    assert batch[1].tolist() == [*exp.dataset.targets, *memory.memory.labels.tolist()]
    assert torch.equal(batch[0][60:], memory.memory.pixels)


@pytest.mark.parametrize("task_labels", [True, False])
@pytest.mark.parametrize("benchmark", [nc, ci])
def test_items_have_a_task_where_one_is_asked_for(digits, benchmark, task_labels):
    memory = buffer(20, task_labels=task_labels)
    memory.post_adapt(None, benchmark(*digits).train_stream[0])
    assert len(memory.buffer[0]) == 2 + task_labels
    assert list(memory.buffer[0][2:]) == [0] * task_labels


def test_augmentation_is_for_training_alone():
    memory = buffer(4, transform=lambda x: x + 100)
    memory.post_adapt(None, noise(0, 1))
    for i, x in enumerate(memory.memory.pixels):
        assert torch.equal(memory.buffer.train()[i][0], x + 100)
        assert torch.equal(memory.buffer.eval()[i][0], x)


def blackened(x):
    return x.zero_()


def test_what_augmentation_does_in_place_is_not_done_to_the_memory(digits):
    memory = buffer(4, transform=blackened)
    memory.post_adapt(None, noise(0, 1))
    before = memory.memory.pixels.clone()
    assert not any(x.any() for x, *_ in memory.buffer.train())
    for one in (memory.buffer.eval(), *(group.eval() for group in memory.buffer_datasets)):
        assert all(x.any() for x, *_ in one)
    assert torch.equal(torch.stack([x for x, *_ in memory.buffer.eval()]), before)
    assert torch.equal(memory.memory.pixels, before)


# pictures, and what is refused


class Pictures(Dataset):
    """PIL images, as torchvision's data sets give them."""

    def __init__(self, sizes, classes=10):
        generator = torch.Generator().manual_seed(0)
        self.pixels = [torch.randint(0, 256, (s, s, 3), dtype=torch.uint8, generator=generator) for s in sizes]
        self.targets = [i % classes for i in range(len(sizes))]

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return Image.fromarray(self.pixels[index].numpy()), self.targets[index]


def normalise(image):
    return Compose([ToTensor(), Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))])(image)


@pytest.mark.parametrize("method", METHODS)
def test_pictures_are_remembered_by_the_evaluation_transform(method):
    data, made = Pictures([12] * 100), []
    transforms = {"train_transform": Compose([RandomCrop(12, 4), normalise]), "eval_transform": normalise}
    for seed in (0, 1):
        memory = buffer(20, method=method, network=MakeConvNet((3, 12, 12), width=8), codec="float32")
        torch.manual_seed(seed)
        common = {"model": MakeConvNet((3, 12, 12), width=8)(10), "train_mb_size": 16, "evaluator": None}
        common["optimizer"] = torch.optim.SGD(common["model"].parameters(), 0.01)
        strategy = replay(memory, common)
        for exp in nc(data, data, **transforms).train_stream:
            strategy.train(exp)
        made.append(memory)
    equal(*made)
    if method == "random":
        real = torch.stack([normalise(x) for x, _ in data])
        for x, y, _ in made[0].buffer:
            same = (real == x).flatten(1).all(1)
            assert [data.targets[i] for i in same.nonzero().flatten()] == [y]


def test_the_stated_normalisation_gives_the_pictures_back():
    data = Pictures([12] * 20)
    normalisation = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    memory = buffer(20, normalisation=normalisation)
    memory.post_adapt(None, nc(data, data, eval_transform=normalise).train_stream[0])
    shown = {bytes(x.permute(1, 2, 0).contiguous().numpy()) for x in memory.memory.to_pixels()}
    assert len(shown) == 4
    assert shown <= {bytes(x.numpy()) for x in data.pixels}


def raw(x):
    return (x * 100).to(torch.uint8)


@pytest.mark.parametrize(
    ("sizes", "transform", "words"),
    [
        ([12] * 20, None, ["Image", "eval_transform", "ToTensor"]),
        ([12] * 20, lambda x: raw(ToTensor()(x)), ["uint8", "eval_transform"]),
        ([12, 12, 9, 9] * 5, ToTensor(), ["3x12x12", "3x9x9", "resize", "eval_transform"]),
        ([12] * 600 + [9] * 600, ToTensor(), ["3x12x12", "3x9x9", "resize"]),
    ],
    ids=["pictures", "integers", "sizes", "sizes of batches"],
)
def test_images_that_do_not_fit_are_refused_with_the_remedy(sizes, transform, words):
    data = Pictures(sizes, classes=2)
    memory = buffer(20)
    exp = nc_benchmark(
        data, data, 1, False, seed=0, shuffle=False, train_transform=ToTensor(), eval_transform=transform
    )
    with pytest.raises(ValueError, match=words[0]) as error:
        memory.post_adapt(None, exp.train_stream[0])
    for word in words:
        assert word in message(error)
    assert memory.memory is None


def test_an_online_experience_is_refused_with_the_remedy(digits):
    stream = split_online_stream(nc(*digits).train_stream, experience_size=10)
    memory = buffer(20)
    with pytest.raises(ValueError, match="online") as error:
        memory.post_adapt(None, next(iter(stream)))
    assert "such as staging=0.25" in message(error)


def test_images_of_another_size_do_not_join_the_memory():
    memory = buffer(20)
    memory.post_adapt(None, noise(0))
    with pytest.raises(ValueError, match="condense them alike"):
        memory.post_adapt(None, experience(torch.zeros(5, 1, 4, 4), [1] * 5))
    assert counts(memory) == {0: 12}

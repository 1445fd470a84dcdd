"""A run gives what the buffer and the strategy give inside Avalanche: the same images, the same accuracies."""

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from memories import equal
from torch.utils.data import TensorDataset

from cl_condense.common.rng import subseed
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet
from cl_condense.runs.build import method_for, network_for, training_for
from cl_condense.runs.incremental import Run
from cl_condense.runs.records import Unit
from cl_condense.runs.run_config import RunConfig
from cl_condense.strategies import CondensedBuffer, CondensedGDumb

SETTINGS = RunConfig.of(
    "digits",
    steps=3,
    orders=2,
    networks=2,
    iterations=3,
    real_per_class=8,
    epochs=4,
    width=8,
    depth=2,
    augment="color_crop_cutout_scale_rotate",
    device="cpu",
    seed=5,
)


@pytest.fixture(scope="module")
def data(digits_pair):
    """Seven digits, forty images of each to train on."""
    train, test = (part.only(range(7)) for part in digits_pair)
    index = train.draw(40, 0).flatten()
    few = ImageSet.of(
        train.images[index], train.labels[index], names=list("0123456"), normalisation=(train.mean, train.std)
    )
    return few, test


def dataset(images):
    found = TensorDataset(images.take(torch.arange(len(images))), images.labels)
    found.targets = images.labels.tolist()
    return found


def in_avalanche(s, method, order, train, test):
    """Accuracies and memory after each step."""
    drawn = np.random.RandomState(s.seed + order).permutation(7).tolist()
    benchmark = nc_benchmark(
        dataset(train),
        dataset(test),
        3,
        task_labels=False,
        fixed_class_order=drawn,
        per_exp_classes={0: 3, 1: 2, 2: 2},
    )
    network = network_for(s.train, train.shape)
    buffer = CondensedBuffer(
        s.stream.budget,
        per_class=s.main.ipc,
        max_bytes=s.stream.max_bytes,
        method=method_for(s.of_method(method)),
        dataset=s.dataset,
        network=network,
        seed=subseed(s.seed, order),
        normalisation=(train.mean, train.std),
    )
    strategy = CondensedGDumb(
        model=network(7),
        buffer=buffer,
        training=training_for(s.train),
        networks=s.train.networks,
        seed=subseed(s.seed, order),
        evaluator=None,
    )
    for step, experience in enumerate(benchmark.train_stream, 1):
        strategy.train(experience)
        strategy.eval(benchmark.test_stream[:step])
        yield strategy.accuracies, buffer.memory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("methods", "changes"),
    [
        (("random", "ddm"), {"ipc": 2}),
        (("random", "idm"), {"ipc": None, "budget": 20}),
        (("dm",), {"ipc": None, "max_bytes": 1600, "network": "convnet_bn"}),
    ],
    ids=["per class", "in all", "bytes"],
)
def test_both_paths_give_equal_memories_and_accuracies(methods, changes, data, tmp_path):
    s = SETTINGS.changed(methods=methods, **changes)
    run = Run(s, *data, tmp_path)
    kept = {}

    def keep(event):
        if event.record:
            kept[event.unit] = event.record, CondensedSet.load(run.memory_file(event.unit))

    run(keep)
    assert len(kept) == 2 * len(methods) * 3
    for method in methods:
        for order in range(2):
            for step, (accuracies, memory) in enumerate(in_avalanche(s, method, order, *data), 1):
                record, file = kept[Unit(order, method, step)]
                assert record["accuracies"] == accuracies
                assert record["recipe"] == memory.recipe
                equal(file, memory)

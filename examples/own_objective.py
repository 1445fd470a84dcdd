"""Write an objective, add it to a method, and use it in a class-incremental memory.

    python examples/own_objective.py

An objective takes the real and the synthetic view of the same classes and returns a sum over classes of
something averaged within each class.
"""

import torch
from avalanche.benchmarks import nc_benchmark
from torch import Tensor
from torch.utils.data import TensorDataset

from cl_condense import (
    DSA,
    CondensedBuffer,
    CondensedGDumb,
    MakeConvNet,
    Recipe,
    Term,
    Training,
    View,
    adding,
    build,
    load,
)


def variance_matching(real: View, syn: View) -> Tensor:
    """Squared distance of the class variances in embedding space (m images: unbiased, 0 for a single one)."""
    if syn.embedding.shape[1] == 1:
        return syn.embedding.sum() * 0.0
    return (real.embedding.var(1) - syn.embedding.var(1)).square().sum()


def main() -> None:
    train, test = load("digits")
    network = MakeConvNet(train.shape, width=32, depth=2)
    augment = DSA("color_crop_cutout_scale_rotate")
    base = build("dm", iterations=50, real_per_class=32, augment=augment)
    assert isinstance(base, Recipe)
    methods = {"dm": base, "dm+variance": adding(Term(variance_matching, weight=0.1))(base)}

    sets = []
    for images in (train, test):
        sets.append(TensorDataset(images.take(torch.arange(len(images))), images.labels))
        sets[-1].targets = images.labels.tolist()
    for name, method in methods.items():
        strategy = CondensedGDumb(
            model=network(10),
            buffer=CondensedBuffer(per_class=2, method=method, network=network),
            training=Training(epochs=60, augment=augment),
            networks=3,
            evaluator=None,
        )
        benchmark = nc_benchmark(*sets, 5, task_labels=False, seed=0)
        for experience in benchmark.train_stream:
            strategy.train(experience)
        strategy.eval(benchmark.test_stream)
        print(name, " ".join(f"{accuracy:.3f}" for accuracy in strategy.accuracies))


if __name__ == "__main__":
    main()

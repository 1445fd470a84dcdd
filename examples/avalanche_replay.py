"""Swap an Avalanche experiment's replay memory for a condensed one of the same size.

    python examples/avalanche_replay.py

Trains a small ConvNet on five experiences of scikit-learn's digits with 20 stored images: once with
Avalanche's class-balanced memory, once with CondensedBuffer. Everything else is the same.
"""

import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.storage_policy import ClassBalancedBuffer
from torch.utils.data import TensorDataset

from cl_condense import CondensedBuffer, ConvNet, ImageSet, MakeConvNet, ProgressBar, load

MEMORY = 20


def as_dataset(images: ImageSet) -> TensorDataset:
    dataset = TensorDataset(images.take(torch.arange(len(images))), images.labels)
    dataset.targets = images.labels.tolist()
    return dataset


def main() -> None:
    train, test = load("digits")
    memories = {
        "ClassBalancedBuffer": ClassBalancedBuffer(MEMORY),
        "CondensedBuffer": CondensedBuffer(
            MEMORY,
            method="dm",
            network=MakeConvNet(train.shape, width=32, depth=2),
            iterations=100,
            on_iteration=ProgressBar(),
        ),
    }
    for name, memory in memories.items():
        benchmark = nc_benchmark(as_dataset(train), as_dataset(test), 5, task_labels=False, seed=0)
        torch.manual_seed(0)
        model = ConvNet(train.shape, 10, width=32, depth=2)
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
            train_mb_size=16,
            train_epochs=4,
            eval_mb_size=256,
            plugins=[ReplayPlugin(mem_size=MEMORY, storage_policy=memory)],
            evaluator=EvaluationPlugin(accuracy_metrics(stream=True), forgetting_metrics(stream=True)),
        )
        for experience in benchmark.train_stream:
            strategy.train(experience)
            result = strategy.eval(benchmark.test_stream)
        accuracy = result["Top1_Acc_Stream/eval_phase/test_stream/Task000"]
        forgetting = result["StreamForgetting/eval_phase/test_stream"]
        print(f"{name}: accuracy {accuracy:.3f}, forgetting {forgetting:.3f}, {len(memory.buffer)} images")


if __name__ == "__main__":
    main()

"""Trainings that are ended in the midst of it and go on: networks to the bit, and what they got right."""

import copy

import pytest
import torch
from torch import nn

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.networks.convnet import ConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.augment import DSA
from cl_condense.training.protocol import Training
from cl_condense.training.train import TrainJob, at_rest, train_together

SHAPE, CLASSES = (2, 8, 8), 3
MADE = {
    "joined": lambda: ConvNet(SHAPE, CLASSES, width=3, depth=2),
    "batch norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(128, 6), nn.BatchNorm1d(6), nn.Linear(6, CLASSES)
    ),
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(128, CLASSES)),
}
FALLING = {
    "once": Training(4, lr=0.1, batch_size=4),
    "at milestones": Training(4, lr=0.1, batch_size=4, milestones=(0.5, 0.75), augment=DSA("color_crop")),
    "mixed": Training(4, lr=0.1, batch_size=4, cutmix=1.0),
    "without momentum": Training(4, lr=0.1, batch_size=4, momentum=0.0, decay=1.0),
}


class Stop(BaseException):
    pass


def jobs(make, sizes=(11, 11), momenta=False):
    """Two networks on each of two sets of images."""
    found = []
    for number, n in enumerate(sizes):
        generator = torch.Generator().manual_seed(number)
        x = torch.randn(n, *SHAPE, generator=generator)
        y = torch.randint(0, CLASSES, (n,), generator=generator)
        nets = [MADE[make]().train() for _ in range(2)]
        for i, net in enumerate(nets):
            Initialiser(net)(number, i)
        found.append(TrainJob(nets, x, y, (7, number), [at_rest(net) for net in nets] if momenta else ()))
    return found


def values(made):
    """Weights, buffers and momenta of networks of jobs."""
    states = [v for job in made for net in job.nets for v in net.state_dict().values()]
    return states + [m for job in made for momentum in job.momenta for m in momentum]


def ending(told, at):
    """What ends a training after the ``at``-th mini-batch."""

    def stop(progress):
        told.append(progress.done)
        if len(told) == at:
            raise Stop

    return stop


@pytest.mark.parametrize("training", FALLING)
@pytest.mark.parametrize("make", MADE)
def test_a_training_that_was_ended_goes_on_to_the_bit(make, training, tmp_path):
    training, whole = FALLING[training], jobs(make)
    want = train_together(whole, training)
    batches = 4 * 3 * (1 if make == "joined" else 2)  # three an epoch; joined, both sets at once
    for at in (1, 3, 8, batches - 1, batches):
        path, told = tmp_path / f"{at}.checkpoint", []
        with pytest.raises(Stop):
            train_together(jobs(make), training, ending(told, at), Checkpoint(path, {}))
        again = jobs(make)
        rest = []
        right = train_together(again, training, lambda p, rest=rest: rest.append(p.done), Checkpoint(path, {}))
        assert len(told) + len(rest) == batches
        assert torch.equal(torch.stack(right), torch.stack(want))
        assert all(torch.equal(a, b) for a, b in zip(values(again), values(whole), strict=True))


def test_momentum_of_a_job_goes_on_where_the_job_has_it(tmp_path):
    training, whole = FALLING["once"], jobs("batch norm", momenta=True)
    train_together(whole, training)
    first, checkpoint = jobs("batch norm", momenta=True), Checkpoint(tmp_path / "a", {})
    with pytest.raises(Stop):
        train_together(first, training, ending([], 5), checkpoint)
    again = jobs("batch norm", momenta=True)
    train_together(again, training, checkpoint=Checkpoint(tmp_path / "a", {}))
    assert all(torch.equal(a, b) for a, b in zip(values(again), values(whole), strict=True))


def test_a_training_leaves_states_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("cl_condense.common.checkpoint.EVERY", 0.0)
    checkpoint, seen = Checkpoint(tmp_path / "a", {}), []

    def on_progress(progress):
        seen.append(checkpoint.path.exists() and int(Checkpoint(tmp_path / "a", {}).state["0.done"]))

    job = jobs("dropout")[:1]
    train_together(job, FALLING["once"], on_progress, checkpoint)
    assert seen == [False, *range(1, 12)]  # before it is written again
    last = Checkpoint(tmp_path / "a", {})
    done = copy.deepcopy(jobs("dropout")[:1])
    assert train_together(done, FALLING["once"], lambda _: pytest.fail("all is done"), last)
    assert all(torch.equal(a, b) for a, b in zip(values(done), values(job), strict=True))


def test_epochs_are_told_batch_by_batch():
    told = []
    train_together(jobs("dropout")[:1], FALLING["once"], told.append)
    assert [p.done for p in told] == pytest.approx([i / 3 for i in range(1, 13)])
    assert {(p.stage, p.total) for p in told} == {("training", 4)}
    assert [p.done for p in told if p.done == int(p.done)] == [1, 2, 3, 4]

"""Trainers: what a step's networks begin with, and what they learn beside the labels."""

import copy

import pytest
import torch
import torch.nn.functional as F

from cl_condense.data.imageset import ImageSet
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.registry import architecture
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import count_right
from cl_condense.training.protocol import Training
from cl_condense.training.train import train_together
from cl_condense.training.trainers import TRAINERS, lesson

IDC = TRAINERS["idc"]
STEP = Training(1, lr=1.0, momentum=0.0, weight_decay=0.0, batch_size=64, augment=None)


def images(n, size, seed=0):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def second_step(size, networks=2, name="convnet"):
    """A job of the second step: classes 7 and 3, then 5; with the networks of the first."""
    make = MakeConvNet((3, size, size), 4, 1) if name == "convnet" else architecture(name, (3, size, size))
    x, y = images(9, size), torch.tensor([7, 3, 5] * 3)
    options = {"make": make, "networks": networks}
    old = y != 5
    first = lesson(IDC, x[old], y[old], IDC.outputs((3, 5, 7), (7, 3)), **options, keys=(0, 0))
    train_together([first], Training(2, lr=0.1, augment=None))
    before = copy.deepcopy(first.nets)
    outputs = IDC.outputs((3, 5, 7), (7, 3, 5))
    return before, lesson(IDC, x, y, outputs, **options, keys=(0, 1), before=first.nets)


def apart(job):
    """With teachers that answer otherwise: a network begins with its own teacher's."""
    for teacher in job.teachers:
        teacher.classifier.weight.mul_(3)
    return job


@pytest.mark.parametrize("name", ["convnet", "mlp", "resnet10"])
def test_networks_go_on_and_their_head_grows(name):
    before, job = second_step(8, name=name)
    x = images(3, 8, seed=1)
    for net, old, teacher in zip(job.nets, before, job.teachers, strict=True):
        net.eval(), old.eval()
        with torch.no_grad():
            assert net(x).shape == (3, 3)
            torch.testing.assert_close(net(x)[:, :2], old(x))
            torch.testing.assert_close(teacher(x), old(x), rtol=0, atol=0)
        assert not any(p.requires_grad for p in teacher.parameters())
        assert all(p.requires_grad for p in net.parameters())


def test_new_rows_are_those_of_a_fresh_network():
    _, job = second_step(8)
    fresh = lesson(
        IDC,
        job.images,
        torch.tensor([7, 3, 5] * 3),
        (7, 3, 5),
        make=MakeConvNet((3, 8, 8), 4, 1),
        networks=2,
        keys=(0, 1),
    )
    for net, other in zip(job.nets, fresh.nets, strict=True):
        assert torch.equal(net.classifier.weight[2], other.classifier.weight[2])
        assert not torch.equal(net.classifier.weight[0], other.classifier.weight[0])


def test_labels_are_positions_in_order_of_arrival():
    _, job = second_step(8)
    assert job.labels.tolist() == [0, 1, 2] * 3
    assert TRAINERS["gdumb"].outputs((3, 5, 7), (7, 3)) == (3, 5, 7)


@pytest.mark.parametrize("size", [8, 20])  # networks joined into one, and one after another
def test_a_step_is_that_of_cross_entropy_and_idcs_distillation(size):
    job = apart(second_step(size)[1])
    expected = []
    for net, teacher in zip(copy.deepcopy(job.nets), job.teachers, strict=True):
        logits, (old, t) = net(job.images), (2, 2.0)
        soft = F.softmax(teacher(job.images) / t, 1)
        # as their code has it: a mean over elements, times the number of old classes and T^2
        kd = F.kl_div(F.log_softmax(logits[:, :old] / t, 1), soft, reduction="none").mean() * t**2 * old
        loss = F.cross_entropy(logits, job.labels) + kd
        assert float(kd.detach()) > 1e-4
        grads = torch.autograd.grad(loss, [*net.parameters()])
        expected.append([p.detach() - g for p, g in zip(net.parameters(), grads, strict=True)])
    train_together([job], STEP)
    for net, own in zip(job.nets, expected, strict=True):
        torch.testing.assert_close([*net.parameters()], own, rtol=1e-4, atol=1e-5)


def test_without_teachers_nothing_is_distilled():
    job = apart(second_step(8)[1])
    other = job._replace(nets=copy.deepcopy(job.nets), teachers=())
    train_together([job], STEP)
    train_together([other], STEP)
    assert not torch.allclose(job.nets[0].classifier.weight, other.nets[0].classifier.weight)


def test_what_is_right_is_counted_by_the_class_of_each_output():
    test = ImageSet.of(images(6, 8), torch.tensor([3, 3, 5, 5, 7, 7]))
    net = MakeConvNet((3, 8, 8), 4, 1)(3)
    with torch.no_grad():
        net.classifier.weight.zero_()
        net.classifier.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))  # it always answers the third output
    rows = torch.arange(6)
    assert count_right([net], test, rows[2:4], outputs=(7, 3, 5)).tolist() == [2]
    assert count_right([net], test, rows, outputs=(7, 3, 5)).tolist() == [2]
    assert count_right([net], test, rows[4:]).tolist() == [2]


def test_idc_trains_by_its_own_protocol():
    own = IDC.training(Training(50, augment=DSA("color_crop")), "color_crop_cutout_flip_scale_rotate")
    assert (own.epochs, own.batch_size, own.lr, own.cutmix, own.decay) == (50, 64, 0.01, 0.5, 0.2)
    assert [float(share) for share in own.milestones] == [0.6, 0.8]
    assert own.augment == DSA("color_crop_flip_scale_rotate", every=True)
    assert TRAINERS["gdumb"].training(STEP, "crop") is STEP

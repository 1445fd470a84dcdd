import copy
from dataclasses import replace
from fractions import Fraction

import pytest
import reference
import torch
import torch.nn.functional as F
from torch import nn

from cl_condense.common.rng import Purpose, permutation
from cl_condense.data.datasets import load
from cl_condense.networks.convnet import ConvNet, MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training import train as training_module
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import predict
from cl_condense.training.protocol import Training, mixed_training
from cl_condense.training.train import TrainJob, at_rest, train, train_together

SHAPE, CLASSES, N = (2, 8, 8), 3, 11
KEYS = (4, 2)


def convnet():
    return ConvNet(SHAPE, CLASSES, width=3, depth=2)


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(128, 6), nn.ReLU(), nn.Linear(6, CLASSES))


def dropout():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(128, CLASSES))


def data(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, *SHAPE, generator=generator).to(dtype)
    return x, torch.randint(0, CLASSES, (N,), generator=generator)


def networks(make, *seeds, dtype=torch.float64):
    nets = []
    for seed in seeds:
        net = make()
        Initialiser(net)(seed)
        nets.append(net.to(dtype))
    return nets


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def trained(nets, training, keys=KEYS, **options):
    nets = copy.deepcopy(nets)
    train(nets, *data(next(nets[0].parameters()).dtype), training, keys=keys, **options)
    return [weights(net) for net in nets]


@pytest.mark.parametrize("make", [convnet, mlp])
@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 4), (2, 11), (3, 4), (6, 4), (5, 256)])
def test_training_side_by_side_equals_the_plain_loop_for_each_network(make, epochs, batch_size):
    training = Training(epochs, lr=0.1, momentum=0.8, weight_decay=0.02, batch_size=batch_size, augment=None)
    nets = networks(make, 0, 1, 1)
    got = trained(nets, training)
    for i, net in enumerate(nets):
        start = weights(net).clone()
        orders = [permutation(N, Purpose.SHUFFLE, *KEYS, epoch, i) for epoch in range(epochs)]
        reference.train(net, *data(), training, orders)
        torch.testing.assert_close(got[i], weights(net), rtol=1e-8, atol=1e-10)
        assert float((got[i] - start).abs().max()) > 1e-3
    if batch_size < N:  # each has its own order
        assert float((got[1] - got[2]).abs().max()) > 1e-6


def test_single_precision_follows_the_plain_loop_closely():
    training = Training(4, batch_size=4, augment=None)
    nets = networks(convnet, 0, 1, dtype=torch.float32)
    got = trained(nets, training)
    for i, net in enumerate(nets):
        orders = [permutation(N, Purpose.SHUFFLE, *KEYS, epoch, i) for epoch in range(4)]
        reference.train(net.double(), *data(), training, orders)
        torch.testing.assert_close(got[i].double(), weights(net), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [convnet, mlp])
@pytest.mark.parametrize("augment", [None, DSA()])
def test_networks_do_not_influence_one_another(make, augment):
    training = Training(3, lr=0.1, batch_size=4, augment=augment)
    first, second = (trained(networks(make, *seeds), training) for seeds in ((0, 1, 2), (7, 1, 8)))
    torch.testing.assert_close(first[1], second[1], rtol=1e-9, atol=1e-11)
    shorter = trained(networks(make, 7, 1), training)
    torch.testing.assert_close(first[1], shorter[1], rtol=1e-9, atol=1e-11)
    assert float((first[0] - second[0]).abs().max()) > 1e-3


@pytest.mark.parametrize("make", [convnet, mlp, dropout])
def test_the_keys_alone_decide_what_training_gives(make):
    training = Training(2, lr=0.1, batch_size=4)
    nets = networks(make, 0, 1)
    first = trained(nets, training)
    torch.manual_seed(123)
    again = trained(nets, training)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for keys in ((2, 4), (4,), (4, 3)):
        other = trained(nets, training, keys)
        assert all(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_augmentation_changes_the_images_of_each_network_in_its_own_way():
    nets = networks(convnet, 1, 1)
    plain, warped = (trained(nets, Training(1, lr=0.1, augment=augment)) for augment in (None, DSA()))
    torch.testing.assert_close(plain[0], plain[1])  # one batch: its order does not matter
    assert float((warped[0] - warped[1]).abs().max()) > 1e-4
    assert float((plain[0] - warped[0]).abs().max()) > 1e-4


def by_hand(nets, training, rates):
    """Torch's SGD on each network; a new one where ``rates[epoch]`` differs from the last epoch's."""
    x, y = data()
    optimizers = [None] * len(nets)
    for epoch in range(training.epochs):
        if epoch == 0 or rates[epoch] != rates[epoch - 1]:
            optimizers = [
                torch.optim.SGD(net.parameters(), rates[epoch], training.momentum, 0, training.weight_decay)
                for net in nets
            ]
        orders = torch.stack([permutation(N, Purpose.SHUFFLE, *KEYS, epoch, i) for i in range(len(nets))])
        right = torch.zeros(len(nets))
        for number, batch in enumerate(orders.split(training.batch_size, dim=1)):
            part, partner, share = x[batch], torch.zeros_like(batch), torch.ones(len(nets))
            if training.augment:
                draw = training.augment.draw(range(len(nets)), *KEYS, epoch, number, images=batch.shape[1])
                part = training.augment(part, draw)
            if training.cutmix:
                part, partner, share = reference.mixed_with(part, training.cutmix, *KEYS, epoch, number)
            for i, net in enumerate(nets):
                logits, target = net(part[i]), y[batch[i]]
                right[i] += sum(int(row.argmax() == label) for row, label in zip(logits, target, strict=True))
                loss = share[i] * F.cross_entropy(logits, target)
                loss = loss + (1 - share[i]) * F.cross_entropy(logits, target[partner[i]])
                optimizers[i].zero_grad()
                loss.backward()
                optimizers[i].step()
    return right / N


@pytest.mark.parametrize(
    ("decay", "rates"),
    [(1, [0.07] * 6), (0.5, [0.07] * 4 + [0.035] * 2), (0.1, [0.07] * 4 + [0.07 / 10] * 2)],
)
def test_the_rate_falls_by_the_decay_and_stays_with_one(decay, rates):
    training = Training(6, lr=0.07, batch_size=4, augment=None, decay=decay)
    (net,) = networks(convnet, 3)
    (got,) = trained([net], training)
    by_hand([net], training, rates)
    assert torch.equal(got, weights(net))


def test_the_decay_of_the_papers_and_no_mixing_are_the_defaults():
    nets = networks(convnet, 0, 1)
    plain = trained(nets, Training(4, lr=0.07, batch_size=4))
    named = trained(nets, Training(4, lr=0.07, batch_size=4, cutmix=0.0, decay=0.1))
    assert all(torch.equal(a, b) for a, b in zip(plain, named, strict=True))


@pytest.mark.parametrize("make", [convnet, mlp])
@pytest.mark.parametrize(("probability", "augment"), [(0.5, None), (1.0, DSA(every=True))])
def test_mixed_training_equals_the_plain_loop_for_each_network(make, probability, augment):
    training = Training(5, lr=0.1, batch_size=4, augment=augment, cutmix=probability)
    nets = networks(make, 0, 1, 1)
    mixed, unmixed = (trained(nets, t) for t in (training, Training(5, 0.1, batch_size=4, augment=augment)))
    by_hand(nets, training, [0.1] * 3 + [0.01] * 2)
    for got, net, other in zip(mixed, nets, unmixed, strict=True):
        torch.testing.assert_close(got, weights(net), rtol=1e-8, atol=1e-10)
        assert float((got - other).abs().max()) > 1e-4


@pytest.mark.parametrize("epochs", [2, 6, 7])
def test_milestones_are_those_of_torchs_schedule(epochs):
    """With a momentum that goes on, as in IDC's loop."""
    shares = (Fraction(2, 3), Fraction(5, 6))
    training = Training(epochs, lr=0.07, batch_size=4, augment=None, decay=0.2, milestones=shares)
    (net,) = networks(convnet, 3)
    (got,) = trained([net], training)
    optimizer = torch.optim.SGD(net.parameters(), 0.07, 0.9, 0, 5e-4)
    falls = [2 * epochs // 3, 5 * epochs // 6]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, falls, gamma=0.2)
    x, y = data()
    for epoch in range(epochs):
        order = permutation(N, Purpose.SHUFFLE, *KEYS, epoch, 0)
        for batch in order.split(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
        schedule.step()
    torch.testing.assert_close(got, weights(net), rtol=1e-12, atol=1e-14)


def test_mixed_training_is_the_protocol_of_idc():
    t = mixed_training()
    assert (t.epochs, t.lr, t.momentum, t.weight_decay, t.batch_size) == (1000, 0.01, 0.9, 5e-4, 64)
    assert (t.cutmix, t.decay, t.augment.every) == (0.5, 0.2, True)
    assert [int(share * t.epochs) for share in t.milestones] == [666, 833]
    assert t.augment.groups == ("color", "crop", "flip", "scale", "rotate")
    assert mixed_training(7, "color_crop_cutout").augment.groups == ("color", "crop")
    assert mixed_training(7, "cutout").augment.groups == ("none",)


@pytest.mark.parametrize("make", [convnet, mlp])
def test_the_protocol_of_idc_equals_the_plain_loop_for_each_network(make):
    """Up to the first fall of the rate, after which the plain loop would start the momentum afresh."""
    training = replace(mixed_training(6), epochs=4, milestones=(1.0,), batch_size=4, lr=0.1)
    nets = networks(make, 0, 1, 1)
    mixed = trained(nets, training)
    by_hand(nets, training, [0.1] * 4)
    for got, net in zip(mixed, nets, strict=True):
        torch.testing.assert_close(got, weights(net), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize(("augment", "cut"), [(None, 0.0), (DSA(every=True), 0.0), (DSA(), 1.0)])
@pytest.mark.parametrize("lr", [0.0, 0.02])
def test_the_accuracy_that_is_returned_is_that_of_the_last_epoch(epochs, augment, cut, lr):
    training = Training(epochs, lr, batch_size=4, augment=augment, cutmix=cut)
    nets = networks(convnet, *range(6))
    got = train(copy.deepcopy(nets), *data(), training, keys=KEYS)
    assert (got.shape, got.dtype, got.requires_grad) == ((6,), torch.float32, False)
    if lr == 0 and not (augment or cut):
        assert torch.equal(got, (predict(nets, data()[0]).argmax(2) == data()[1]).float().mean(1))
    assert torch.equal(got, by_hand(nets, training, [lr] * epochs))
    assert len(set(got.tolist())) > 1


def test_nothing_waits_for_the_device():
    """A meta tensor has no values: to look at one is an error."""
    x, y = (v.to("meta") for v in data())
    training = Training(3, batch_size=4, augment=DSA(every=True), cutmix=0.5)
    assert train([net.to("meta") for net in networks(mlp, 0, 1)], x, y, training, keys=KEYS).shape == (2,)


def test_dropout_leaves_the_global_generator_alone():
    nets = networks(dropout, 0)
    before = torch.get_rng_state()
    trained(nets, Training(1, batch_size=4))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_mini_batch_is_reported_once():
    calls = []
    trained(networks(mlp, 0), Training(3, batch_size=4), on_progress=calls.append)
    assert [p[:3] for p in calls] == [("training", i / 3, 3) for i in range(1, 10)]
    assert all(0 < float(p.loss) < 10 for p in calls)


def test_frozen_parameters_stay_as_they_are():
    (net,) = networks(mlp, 0)
    net[1].weight.requires_grad_(False)
    before = net[1].weight.clone(), net[1].bias.clone()
    train([net], *data(), Training(2, lr=0.1), keys=KEYS)
    assert torch.equal(net[1].weight, before[0])
    assert not torch.equal(net[1].bias, before[1])


@pytest.mark.parametrize("setting", [{"epochs": 0}, {"epochs": -1}, {"batch_size": 0}])
def test_no_epochs_or_empty_batches_are_refused(setting):
    with pytest.raises(ValueError, match=str(next(iter(setting.values())))):
        Training(**setting)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        *(
            ({"cutmix": p}, f"cutmix {p}: give a finite number of at least 0 and at most 1")
            for p in (-0.1, 1.5, float("nan"))
        ),
        *(({"decay": d}, f"decay {d}: give a finite number above 0 and at most 1") for d in (0, -1, 1.1)),
        ({"precision": "float16"}, "precision 'float16': use float32 or bfloat16"),
        *(
            ({"milestones": (0.5, m)}, f"milestones {m}: give a finite number of at least 0 and at most 1")
            for m in (-0.1, 1.5)
        ),
    ],
)
def test_refuses_numbers_out_of_range(setting, said):
    with pytest.raises(ValueError, match=said) as error:
        Training(**setting)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [8, 32])
def test_reduced_precision_trains_float32_weights_that_do_as_well(size):
    """Joined at 8 pixels, one after another at 32."""
    fit, test = (part.only([0, 1, 2, 3]) for part in load("digits"))
    index = fit.draw(10, 0)
    x, y = fit.take(index).flatten(0, 1), torch.arange(4).repeat_interleave(10)
    seen, want = test.take(torch.arange(len(test))), test.targets
    x, seen = (F.interpolate(each, size=size) for each in (x, seen))
    accuracies, weights = [], []
    for precision in ("float32", "bfloat16"):
        nets = [MakeConvNet((1, size, size), width=8)(4) for _ in range(3)]
        for i, net in enumerate(nets):
            Initialiser(net)(0, i)
        train(nets, x, y, Training(15, lr=0.05, augment=None, precision=precision), keys=(0,))
        accuracies.append((predict(nets, seen).argmax(2) == want).double().mean().item())
        weights.append(nets[0].classifier.weight)
    assert weights[1].dtype == torch.float32
    assert not torch.equal(*weights)
    assert min(accuracies) > 0.8
    assert abs(accuracies[0] - accuracies[1]) < 0.02


def test_the_defaults_are_the_protocol_of_the_papers():
    t = Training()
    assert (t.epochs, t.lr, t.momentum, t.weight_decay, t.batch_size) == (1000, 0.01, 0.9, 5e-4, 256)
    assert t.augment == DSA()


def test_predictions_are_the_logits_of_every_network_for_the_same_images():
    nets = networks(convnet, 0, 1, 2)
    x, _ = data()
    got = predict(nets, x)
    assert (got.shape, got.requires_grad) == ((3, N, CLASSES), False)
    for net, logits in zip(nets, got, strict=True):
        torch.testing.assert_close(logits, reference.convnet(net, x)[1].detach(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("cut", [0.0, 1.0])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_mini_batch_goes_through_in_parts_unless_its_images_depend_on_one_another(monkeypatch, cut, norm):
    images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels, found = torch.arange(40) % 4, []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(training_module, "at_once", lambda net, x, training: len(x))
        nets, sizes = [MakeConvNet((3, 32, 32), width=4, norm=norm)(4).double() for _ in range(2)], []
        for i, net in enumerate(nets):
            Initialiser(net)(0, i)
            net.register_forward_hook(lambda net, given, out, sizes=sizes: sizes.append(len(out)))
        accuracy = train(nets, images, labels, Training(2, batch_size=35, cutmix=cut), keys=(1,))
        found.append([accuracy, *(p for net in nets for p in net.parameters())])
        # Of 35 images the second part has 17 and is filled up to the size of the first.
        assert sizes == ([18] * 4 + [5] * 2 if norm == "instance" and not whole else [35, 35, 5, 5]) * 2
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("make", [convnet, mlp])
def test_jobs_together_give_what_each_gives_alone(make):
    """Two of them have equally many images, and only ConvNets are joined."""
    protocol = Training(4, lr=0.1, batch_size=4, augment=DSA(), cutmix=0.5)
    x, y = data()
    jobs = [
        TrainJob(networks(make, *numbers), x[:n] + shift, y[:n], (2**62 + shift, 1))
        for n, numbers, shift in ((N, (0, 1), 0), (N, (5,), 1), (N - 3, (0,), 2))
    ]
    alone = copy.deepcopy(jobs)
    want = [train(each.nets, each.images, each.labels, protocol, keys=each.keys) for each in alone]
    calls = []
    got = train_together(jobs, protocol, calls.append)
    total = 8 if make is convnet else 12
    told = [p[:3] for p in calls if p.done == int(p.done)]
    assert told == [("training", i + 1, total) for i in range(total)]
    torch.testing.assert_close(got, want)
    for one, other in zip(jobs, alone, strict=True):
        for a, b in zip(one.nets, other.nets, strict=True):
            torch.testing.assert_close([*a.parameters()], [*b.parameters()], rtol=1e-9, atol=1e-11)


STEP = Training(1, lr=0.1, batch_size=N, augment=None, decay=1.0)  # a full batch, in whatever order


@pytest.mark.parametrize("make", [convnet, mlp])
def test_momentum_that_is_kept_makes_one_training_of_many_calls(make):
    nets, (x, y) = networks(make, 0, 1), data()
    want, afresh = copy.deepcopy(nets), copy.deepcopy(nets)
    momenta = [at_rest(net) for net in nets]
    for call in range(3):
        train(nets, x, y, STEP, keys=(call,), momenta=momenta)
        train(afresh, x, y, STEP, keys=(call,))
    for net, other, mine, momentum in zip(nets, afresh, want, momenta, strict=True):
        sgd = torch.optim.SGD(mine.parameters(), 0.1, 0.9, weight_decay=5e-4)
        for _ in range(3):
            sgd.zero_grad()
            F.cross_entropy(mine(x), y).backward()
            sgd.step()
        torch.testing.assert_close(weights(net), weights(mine), rtol=1e-9, atol=1e-11)
        kept = [sgd.state[p]["momentum_buffer"] for p in mine.parameters()]
        torch.testing.assert_close(momentum, kept, rtol=1e-9, atol=1e-11)
        assert not any(m.requires_grad for m in momentum)
        assert float((weights(net) - weights(other)).abs().max()) > 1e-2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("make", [convnet, mlp])
def test_training_from_rest_is_training_without_momentum_to_go_on_from(make, precision):
    """Bit for bit, over the fall of the rate too, where the protocol drops the momentum."""
    protocol = Training(5, batch_size=4, precision=precision)
    nets = networks(make, 0, 1, dtype=torch.float32)
    want = trained(nets, protocol)
    assert all(map(torch.equal, trained(nets, protocol, momenta=[at_rest(net) for net in nets]), want))
    moving = [[torch.ones_like(m) for m in at_rest(net)] for net in nets]
    assert not any(map(torch.equal, trained(nets, protocol, momenta=moving), want))


@pytest.mark.parametrize("make", [convnet, mlp])
def test_of_jobs_together_each_has_its_own_momentum_or_none(make):
    x, y = data()
    found = []
    for together in (True, False):
        nets = [networks(make, 0, 1), networks(make, 2), networks(make, 3)]
        moved = [[torch.full_like(m, 0.1 * i) for m in at_rest(net)] for i, net in enumerate(nets[0])]
        moving = [moved, [], [at_rest(nets[2][0])]]
        jobs = [TrainJob(n, x, y, (i,), m) for i, (n, m) in enumerate(zip(nets, moving, strict=True))]
        for part in [jobs] if together else [[job] for job in jobs]:
            train_together(part, STEP)
        found.append([*(weights(net) for each in nets for net in each), *(m for n in moved for m in n)])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("momenta", [1, 3])
def test_momenta_of_another_number_of_networks_are_an_error(momenta):
    nets = networks(mlp, 0, 1)
    with pytest.raises(ValueError, match="zip"):
        train(nets, *data(), STEP, keys=KEYS, momenta=[at_rest(nets[0])] * momenta)

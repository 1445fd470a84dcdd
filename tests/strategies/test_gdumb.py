"""GDumb on a condensed memory: its networks, its metrics, and what it refuses."""

import io
import pickle

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import TextLogger
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training.plugins import EvaluationPlugin
from memories import NETWORK, message
from streams import buffer, ci, nc
from torch import nn

from cl_condense.strategies import CondensedGDumb
from cl_condense.training.protocol import Training
from cl_condense.training.train import train_together


def gdumb_on(digits, model=None, memory=None, **options):
    options = {
        "networks": 3,
        "training": Training(epochs=5, lr=0.05),
        "evaluator": None,
        "eval_mb_size": 7,
    } | options
    return CondensedGDumb(model=model or NETWORK(10), buffer=memory or buffer(40), **options)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("benchmark", [nc, ci])
def test_metrics_are_means_over_the_networks(digits, benchmark):
    stream, text = benchmark(*digits), io.StringIO()
    metrics = accuracy_metrics(stream=True, experience=True)
    strategy = gdumb_on(digits, evaluator=EvaluationPlugin(metrics, loggers=[TextLogger(text)]))
    for exp in stream.train_stream:
        strategy.train(exp)
    told = strategy.eval(stream.test_stream)
    assert len(strategy.accuracies) == len(strategy.networks) == 3
    assert strategy.model is strategy.networks[0]
    x, y = digits[1].tensors
    own = [float((net(x).argmax(1) == y).double().mean()) for net in strategy.networks]
    assert strategy.accuracies == pytest.approx(own)
    assert len(set(own)) > 1
    assert max(own) > 0.3
    assert sum(own) / 3 == pytest.approx(next(v for k, v in told.items() if k.startswith("Top1_Acc_Stream")))
    for i, exp in enumerate(stream.test_stream):
        mine = torch.isin(y, torch.tensor(list(exp.dataset.targets.uniques)))
        part = [float((net(x[mine]).argmax(1) == y[mine]).double().mean()) for net in strategy.networks]
        assert sum(part) / 3 == pytest.approx(next(v for k, v in told.items() if k.endswith(f"Exp00{i}")))
    assert "Top1_Acc_Stream" in text.getvalue()
    assert strategy.train_seconds > 0


def test_each_experience_starts_from_new_weights(digits):
    stream = nc(*digits)
    one = gdumb_on(digits)
    drawn = gdumb_on(digits, training=Training(epochs=1, lr=0.0))
    starts = []
    for exp in stream.train_stream[:2]:
        memory = pickle.loads(pickle.dumps(one.buffer))
        one.train(exp)
        drawn.train(exp)
        starts += [weights(net) for net in drawn.networks]
        # Neither the given model nor what an earlier experience taught leaves a trace.
        torch.manual_seed(5)
        other = gdumb_on(digits, memory=memory)
        other.train(exp)
        for a, b in zip(one.networks, other.networks, strict=True):
            assert torch.equal(weights(a), weights(b))
    assert all(not torch.equal(starts[i], starts[j]) for i in range(6) for j in range(i))
    other = gdumb_on(digits, seed=1, training=Training(epochs=1, lr=0.0))
    other.train(stream.train_stream[0])
    assert not torch.equal(weights(other.model), starts[0])


def test_the_first_network_does_not_depend_on_how_many_there_are(digits):
    exp = nc(*digits).train_stream[0]
    trained = []
    for networks in (1, 3):
        strategy = gdumb_on(digits, networks=networks, training=Training(epochs=3))
        strategy.train(exp)
        trained.append(weights(strategy.model))
    torch.testing.assert_close(*trained, rtol=1e-3, atol=1e-4)


def test_experiences_call_their_plugins(digits):
    calls = []

    class Spy:
        def before_training_exp(self, strategy, **kwargs):
            calls.append((len(strategy.buffer.buffer), len(strategy.adapted_dataset)))

        def after_training_exp(self, strategy, **kwargs):
            calls.append("after")

    strategy = gdumb_on(digits, plugins=[Spy()])
    strategy.train(nc(*digits).train_stream[:2])
    assert calls == [(40, 40), "after"] * 2


@pytest.mark.parametrize("networks", [1, 3])
def test_a_head_that_grows_is_trained_and_evaluated(digits, networks):
    body = [nn.Flatten(), nn.Linear(64, 16), nn.ReLU()]
    strategy = gdumb_on(digits, nn.Sequential(*body, IncrementalClassifier(16, 2)), networks=networks)
    stream = nc(*digits)
    for exp in stream.train_stream:
        strategy.train(exp)
        strategy.eval(stream.test_stream)
        assert len(strategy.accuracies) == networks


def test_an_untrained_strategy_is_evaluated(digits):
    strategy = gdumb_on(digits)
    strategy.eval(nc(*digits).test_stream)
    assert len(strategy.accuracies) == 1
    assert 0 <= strategy.accuracies[0] < 0.5


def test_periodic_evaluation_works(digits):
    stream, metrics = nc(*digits), EvaluationPlugin(accuracy_metrics(stream=True))
    strategy = gdumb_on(digits, evaluator=metrics, eval_every=0)
    for exp in stream.train_stream[:2]:
        strategy.train(exp, eval_streams=[stream.test_stream])
        assert len(strategy.accuracies) == 3


def test_what_gdumb_cannot_train_is_refused(digits):
    with pytest.raises(ValueError, match="MTSimpleMLP has a head for each task") as error:
        gdumb_on(digits, MTSimpleMLP(64))
    assert "single head" in message(error)
    with pytest.raises(ValueError, match="networks 0"):
        gdumb_on(digits, networks=0)


@pytest.mark.parametrize("growing", [False, True])
def test_networks_go_on_and_are_their_own_teachers(growing, digits, monkeypatch):
    jobs, seen = [], []

    def learn(made, training, told):
        (job,) = made
        with torch.no_grad():
            own = [net(job.images) for net in job.nets]
            theirs = [teacher.eval()(job.images) for teacher in job.teachers]
        jobs.append((own, theirs, job.labels, training))
        seen.append([weights(net) for net in strategy.networks])
        return train_together(made, training, told)

    monkeypatch.setattr("cl_condense.strategies.gdumb.train_together", learn)
    model = nn.Sequential(nn.Flatten(), IncrementalClassifier(64)) if growing else NETWORK(10)
    stream, strategy = nc(*digits), gdumb_on(digits, model=model, trainer="idc", networks=2)
    trained = []
    for exp in stream.train_stream:
        strategy.train(exp)
        trained.append([weights(net) for net in strategy.networks])
    classes = [len(exp.classes_in_this_experience) for exp in stream.train_stream]
    for step, (own, theirs, labels, training) in enumerate(jobs):
        old, now = sum(classes[:step]), sum(classes[: step + 1])
        assert labels.unique().tolist() == [*range(now)]
        assert (training.cutmix, training.epochs, training.augment.every) == (0.5, 5, True)
        assert [tuple(x.shape[1:]) for x in own] == [(now,)] * 2
        assert len(theirs) == (2 if step else 0)
        for logits, taught in zip(own, theirs, strict=False):
            torch.testing.assert_close(logits[:, :old], taught)
        if step and not growing:
            assert all(map(torch.equal, seen[step], trained[step - 1]))  # they go on
    strategy.eval(stream.test_stream)
    x, y = digits[1].tensors
    own = [float((net(x).argmax(1) == y).double().mean()) for net in strategy.networks]
    assert strategy.accuracies == pytest.approx(own)
    assert not any(map(torch.equal, seen[-1], trained[-1]))


def test_an_unknown_trainer_is_refused(digits):
    with pytest.raises(ValueError, match="gdumb") as error:
        gdumb_on(digits, trainer="gdum")
    assert message(error).startswith("unknown trainer 'gdum'")

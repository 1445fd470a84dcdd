"""Sets of others evaluated: soft labels, whitened values, and beside the whole set and random images."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import few

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.formats.export import export
from cl_condense.data import datasets
from cl_condense.data.imageset import ImageSet
from cl_condense.data.whitening import EPS, Whitening
from cl_condense.runs.baselines import Parts, Real, drawn, hard_label_recovery, improvement_over_random
from cl_condense.runs.config import TrainConfig
from cl_condense.runs.evaluate_sets import _fingerprint_of, evaluate_files, evaluate_set, training_config
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import score
from cl_condense.training.protocol import mixed_training

QUICK = TrainConfig("digits", networks=2, epochs=3, width=8, depth=1, augment="none")


@pytest.fixture(scope="module")
def small(digits_pair):
    train, test = digits_pair
    return few(train, 8), few(test, 4)


def condensed(train, ipc=2):
    return CondensedSet.of(train, train.take(train.draw(ipc, 0)), {"name": "random"}, 0)


def softened(made, certain=0.8):
    k = len(made.class_ids)
    soft = torch.full((len(made), k), (1 - certain) / (k - 1)).scatter_(1, made.labels[:, None], certain)
    return replace(made, stored={**made.stored, "soft": soft})


@pytest.mark.parametrize("width", [8, 70])  # joined, and one after another
def test_one_hot_rows_train_as_hard_labels_do_and_others_do_not(width, small):
    train, test = small
    images, labels = condensed(train).decode()
    training = replace(mixed_training(3, "crop", cutmix=1.0), augment=DSA("crop"), batch_size=8)

    def reached(labels):
        from cl_condense import MakeConvNet

        network = MakeConvNet(test.shape, width, 1)
        return score(images, labels, test, network=network, training=training, networks=2, keys=(0,))

    hard = reached(labels)
    assert torch.equal(reached(torch.eye(10)[labels]), hard)
    assert not torch.equal(reached(torch.full((20, 10), 0.1)), hard)


def test_soft_labels_are_trained_on_declared_and_never_beside_hard_ones(small, tmp_path, monkeypatch):
    train, test = small
    monkeypatch.setattr(datasets, "load", lambda *_, **__: (train, test))
    made = condensed(train)
    export(made, tmp_path / "hard.pt", "pt")
    export(softened(made), tmp_path / "soft.pt", "pt")
    files = [tmp_path / "hard.pt", tmp_path / "soft.pt"]
    given = {"networks": 2, "epochs": 30, "width": 8, "depth": 1, "device": "cpu"}
    hard, soft = evaluate_files(files, "digits", None, False, records=tmp_path / "r.jsonl", **given)
    assert "soft labels" not in hard
    assert "% (n = 2) with soft labels, 20 images" in soft
    first, second = (json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines())
    assert (first["labels"], second["labels"], second["read"]["labels"]) == ("hard", "soft", "soft")
    assert first["accuracies"] != second["accuracies"]


BRIEF = {"networks": 1, "epochs": 2, "width": 4, "depth": 1, "device": "cpu"}


def test_a_set_of_the_same_images_with_other_labels_is_evaluated_anew(small, tmp_path, monkeypatch):
    train, test = small
    monkeypatch.setattr(datasets, "load", lambda *_, **__: (train, test))
    made, path, records = condensed(train), tmp_path / "set.safetensors", tmp_path / "r.jsonl"
    turned = replace(made, stored={**made.stored, "pixels": made.stored["pixels"].roll(2, 0)})
    few_of_first = replace(made, counts=(1, 3, *made.counts[2:]))
    sets = [softened(made), softened(made, 0.4), made, turned, few_of_first, replace(made, mean=(0.9,))]
    for number, other in enumerate(sets, 1):
        other.save(path)
        for known in (False, True):
            (line,) = evaluate_files([path], "digits", None, False, records=records, **BRIEF)
            assert ("has it" in line) == known
            assert len(records.read_text().splitlines()) == number


def test_what_tells_sets_apart_has_all_of_them(small):
    hard = condensed(small[0])
    pale = hard.pixels * torch.linspace(0.5, 1, 20)[:, None, None, None]  # no two of one range
    hard = replace(hard, stored={"pixels": pale}).coded("uint8")
    made = softened(hard)
    others = [replace(made, stored={**made.stored, name: each.flip(0)}) for name, each in made.stored.items()]
    others += [
        hard,
        replace(hard, class_ids=(*range(9), 11)),
        replace(made, counts=(1, 3, *made.counts[2:])),
        replace(made, mean=(0.5,)),
        replace(made, std=(0.5,)),
        replace(made, factor=2),
        made.coded("float32"),
        replace(made, names=tuple("abcdefghij")),
        replace(made, recipe={"name": "dm"}),
        replace(made, seed=1),
    ]
    found = [_fingerprint_of(each) for each in (made, replace(made), *others)]
    assert found[0] == found[1]
    assert len({*found}) == len(found) - 1


@pytest.mark.parametrize("more", [{"baselines": True}, {"space": "whitened"}], ids="baselines whitened".split())
def test_an_evaluation_by_other_training_images_is_another(more, small, tmp_path, monkeypatch):
    (train, test), path, records = small, tmp_path / "images_best.pt", tmp_path / "r.jsonl"
    torch.save(all_of(train), path)
    torch.save(train.labels, tmp_path / "labels_best.pt")

    def evaluated(train):
        monkeypatch.setattr(datasets, "load", lambda *_, **__: (train, test))
        (line,) = evaluate_files([path], "digits", None, False, records=records, **BRIEF, **more)
        return line

    fewer = few(train, 6)
    assert [("has it" in evaluated(real)) for real in (train, train, fewer, fewer)] == [False, True] * 2


def all_of(images):
    """What networks get."""
    return images.take(images.every())


def test_whitening_is_that_of_the_singular_values():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 4, 4), dtype=torch.uint8, generator=generator)
    train = ImageSet.of(pixels, torch.arange(40) % 2)
    x = pixels.flatten(1).double().numpy() / 255
    _, s, v = np.linalg.svd(x - x.mean(0), full_matrices=True)
    s = np.concatenate([s**2 / 39, np.zeros(48 - len(s))])
    expected = (x - x.mean(0)) @ (v.T / np.sqrt(s + EPS)) @ v
    found = Whitening.of(train).of_set(train)
    order = torch.argsort(torch.arange(40) % 2, stable=True).numpy()
    np.testing.assert_allclose(all_of(found).flatten(1).numpy(), expected[order], atol=1e-5)
    floats = train.with_images(all_of(train))
    torch.testing.assert_close(all_of(Whitening.of(train).of_set(floats)), all_of(found), atol=1e-4, rtol=1e-4)


def test_a_whitened_set_is_tested_on_whitened_images_and_says_so(small, tmp_path, monkeypatch):
    train, test = small
    monkeypatch.setattr(datasets, "load", lambda *_, **__: (train, test))
    white = Whitening.of(train)
    images = all_of(white.of_set(train))
    torch.save(images, tmp_path / "images_best.pt")
    torch.save(train.labels, tmp_path / "labels_best.pt")
    own = Real(train, test).seen_as("whitened")
    assert torch.equal(all_of(own.test), all_of(white.of_set(test)))
    given = {"networks": 2, "epochs": 20, "width": 16, "depth": 1, "device": "cpu"}
    reached = {}
    for space in ("whitened", "auto"):
        path = tmp_path / f"{space}.jsonl"
        files = [tmp_path / "images_best.pt"]
        (line,) = evaluate_files(files, "digits", None, False, records=path, space=space, **given)
        said = "values ZCA-whitened, test images whitened as the training images"
        assert (said in line) == (space == "whitened")
        record = json.loads(path.read_text())
        assert record["read"]["space"] == (space if space == "whitened" else "normalised")
        reached[space] = record["accuracies"]
    made = CondensedSet.of(train, images.view(10, 8, *train.shape), {}, 0)
    config = training_config("digits", **{k: v for k, v in given.items() if k != "device"})
    assert reached["whitened"] == evaluate_set(made, white.of_set(test), config, "cpu")["accuracies"]
    assert reached["auto"] == evaluate_set(made, test, config, "cpu")["accuracies"] != reached["whitened"]


def test_both_numbers_of_a_set_are_those_of_their_accuracies(small):
    train, test = small
    real, made = Real(train, test), condensed(train)
    record = evaluate_set(made, test, QUICK, "cpu")
    found = real.beside(made, record["accuracies"], QUICK, "cpu", Parts())
    own, whole, random = (np.mean(each) for each in (record["accuracies"], found["whole"], found["random"]))
    assert found["hlr"] == pytest.approx(whole - own, abs=1e-6)
    assert found["ior"] == pytest.approx(own - random, abs=1e-6)
    assert (len(found["whole"]), len(found["random"]), found["whole_epochs"]) == (2, 2, 3)
    again = Real(train, test).beside(made, record["accuracies"], QUICK, "cpu", Parts())
    assert again == found
    soft = real.beside(softened(made), [1.0, 1.0], QUICK, "cpu", Parts())
    assert soft["hard"] == record["accuracies"]
    assert (soft["hlr"], soft["ior"]) == (found["hlr"], found["ior"])


def test_random_images_are_as_many_as_a_set_stores_and_other_ones_for_each_network(small):
    train, _ = small
    made = condensed(train, 3).first({c: 1 + c % 3 for c in range(10)})
    rows = [drawn(made, train, 0, number) for number in range(4)]
    for each in rows:
        labels = train.labels[each].tolist()
        assert [labels.count(c) for c in range(10)] == [1 + c % 3 for c in range(10)]
        assert len({*each.tolist()}) == len(each)
    assert len({tuple(each.tolist()) for each in rows}) == 4


def test_baselines_go_on_where_they_were_interrupted(small, tmp_path, monkeypatch):
    train, test = small
    monkeypatch.setattr(datasets, "load", lambda *_, **__: (train, test))
    monkeypatch.setattr("cl_condense.common.checkpoint.EVERY", 0.0)
    export(softened(condensed(train)), tmp_path / "set.pt", "pt")
    given = {"networks": 2, "epochs": 2, "width": 4, "depth": 1, "device": "cpu", "baselines": True}

    def evaluated(name, at=None):
        told = []

        def watch(_):
            def on_progress(progress):
                told.append(progress)
                if len(told) == at:
                    raise KeyboardInterrupt

            return on_progress

        records = tmp_path / f"{name}.jsonl"
        lines = [
            *evaluate_files([tmp_path / "set.pt"], "digits", None, False, records=records, watch=watch, **given)
        ]
        return lines, told, json.loads(records.read_text())

    lines, told, whole = evaluated("whole")
    assert "\n  HLR " in lines[0]
    assert "IOR " in lines[0]
    assert "by hard labels" in lines[0]
    for at in (2, len(told) // 2, len(told) - 2):
        with pytest.raises(KeyboardInterrupt):
            evaluated(str(at), at)
        _, rest, found = evaluated(str(at))
        assert (found["accuracies"], found["baselines"]) == (whole["accuracies"], whole["baselines"])
        assert len(rest) < len(told)
    assert not [*tmp_path.glob("*checkpoint*")]


def test_both_numbers_are_those_of_dd_rankings_own_package(small, tmp_path, monkeypatch):
    """Its evaluator on an exported set: HLR and IOR of the accuracies that its own training reaches."""
    ranking = pytest.importorskip("ddranking.metrics.hard_label")
    train, test = small
    made = condensed(train)
    path = export(made, tmp_path / "set", "ddranking")
    images = torch.load(path / "images.pt", weights_only=True)
    parts = [
        [*zip(each.take(torch.arange(len(each))), each.labels.tolist(), strict=True)] for each in (train, test)
    ]
    classes = {i: i for i in range(10)}
    found = (1, (8, 8), train.mean, train.std, 10, parts[0], parts[1], parts[1], classes, classes)
    monkeypatch.setattr(ranking, "get_dataset", lambda *_: found)
    net = lambda **_: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))  # noqa: E731
    monkeypatch.setattr(ranking, "build_model", net)
    monkeypatch.setattr(
        ranking, "save_results", lambda *_: None
    )  # 0.2.0 has every score twice there, and fails
    real = {"optimizer": "sgd", "lr_scheduler": "step", "weight_decay": 0.0, "lr": 0.1, "step_size": 9}
    real |= {"num_epochs": 10, "momentum": 0.9}
    monkeypatch.setitem(ranking.REAL_DATA_TRAINING_CONFIG, "CIFAR10-ConvNet-3", real)
    monkeypatch.chdir(tmp_path)
    score_of = ranking.LabelRobustScoreHard(
        ipc=2, data_aug_func=None, num_eval=2, num_epochs=10, device="cpu", num_workers=0, step_size=9,
        eval_full_data=True, save_path=str(tmp_path / "scores.csv"), im_size=(8, 8),
    )  # fmt: skip
    trained, helper = [], score_of._compute_hard_label_metrics_helper

    def noting(*args, **given):
        trained.append(helper(*args, **given))
        return trained[-1]

    monkeypatch.setattr(score_of, "_compute_hard_label_metrics_helper", noting)
    theirs = score_of.compute_metrics(image_tensor=images)
    own, whole, random = ([accuracy for accuracy, _ in trained[i::3]] for i in range(3))
    assert theirs["hard_label_recovery_mean"] == pytest.approx(hard_label_recovery(whole, own))
    assert theirs["improvement_over_random_mean"] == pytest.approx(improvement_over_random(own, random))
    assert 0 < np.mean(own) < 100

"""A domain-incremental run: the same classes at each step, of other domains, at one budget."""

import json

import pytest
import torch
from small_runs import TINY

from cl_condense.common.rng import subseed
from cl_condense.data.domains import load_domains
from cl_condense.data.parts import label_and_domain
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.runs.incremental import Run

DOMAINS = TINY.changed(
    dataset="rotated_digits",
    scenario="domain",
    methods=("random", "dm", "reservoir"),
    steps=3,
    ipc=None,
    budget=24,
    orders=2,
)


@pytest.fixture(scope="module")
def data():
    """Four digits, in three domains."""
    pair = load_domains("rotated_digits", domains=3)
    return tuple(part.only([c for c in part.class_ids if label_and_domain(c)[0] < 4]) for part in pair)


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("domains") / "run"
    return out, Run(DOMAINS, *data, out)()


def test_classes_stay_and_domains_come_at_one_budget(done, data):
    _, records = done
    assert len(records) == 2 * 3 * 3
    for r in records:
        assert (r["classes_seen"], r["domains_seen"]) == (4, r["step"])
        assert (r["stored_images"], len(r["by_step"])) == (24, r["step"])
    tests = list(data[1].counts)
    for r in [r for r in records if r["step"] == 3]:
        # accuracies are of the test images of all domains seen
        hits = [a * sum(tests) for a in r["accuracies"]]
        assert hits == pytest.approx([round(hit) for hit in hits])


def test_orders_are_of_domains_and_every_part_has_its_share(done):
    out, _ = done
    for order in (0, 1):
        memory = ClassMemory(24, method="random")
        memory.load(out / f"memory/dm-order{order}-step3.safetensors")
        assert set(memory.condensed.counts) == {2}
        assert len(memory.condensed.class_ids) == 12
        assert memory.decode()[1].unique().tolist() == [0, 1, 2, 3]
    first = {order: domains(out, order) for order in (0, 1)}
    assert sorted(first[0]) == sorted(first[1]) == [0, 1, 2]
    assert first[0] != first[1]


def domains(out, order):
    memory = ClassMemory(24, method="random")
    memory.load(out / f"memory/random-order{order}-step3.safetensors")
    return list(dict.fromkeys(label_and_domain(c)[1] for c in memory.seen))


def test_a_domain_is_condensed_from_its_own_images_alone(data, done):
    """The memory of a stream in which the other domains are black is the same, but for these."""
    train = data[0]
    order = domains(done[0], 0)
    parts = [[c for c in train.class_ids if label_and_domain(c)[1] == d] for d in order]
    made = []
    for black in (False, True):
        memory = ClassMemory(24, method="dm", iterations=2, device="cpu", seed=subseed(0, 0))
        for number, own in enumerate(parts[:2]):
            images = train.only(own)
            if black and number == 0:
                images = images.with_images(torch.zeros_like(images.images))
            memory.update(images)
        made.append(memory.condensed.only(parts[1]).pixels)
    assert made[0].equal(made[1])


def test_a_run_goes_on_and_another_scenario_is_another_run(data, done, tmp_path):
    out, records = done
    assert Run(DOMAINS, *data, out)() == records
    assert json.loads((out / "settings.json").read_text())["scenario"] == "domain"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenario": "class"}, "rotated_digits has 3 domains: give scenario domain"),
        ({"scenario": "domains"}, "unknown scenario 'domains': did you mean 'domain'"),
        ({"steps": 2}, "2 steps for 3 domains of rotated_digits: a domain is a step"),
        ({"budget": None, "ipc": 6}, "6 images per class .ipc. with scenario domain: give budget or max_bytes"),
        ({"budget": 11}, "budget 11 is below one image per class of each domain: give 12 to"),
        ({"orders": 1, "class_orders": ((0, 1, 2, 3),)}, "class orders of a stream of domains"),
    ],
)
def test_what_makes_no_sense_gets_a_line(changes, said, data, tmp_path):
    with pytest.raises(ValueError, match=said):
        Run(DOMAINS.changed(**changes), *data, tmp_path / "run")

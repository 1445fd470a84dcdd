"""An online run: mini-batches, with boundaries or blurred, at one budget; it goes on in the midst of a step."""

import pytest
import torch
from small_runs import TINY, few

from cl_condense.data.datasets import load
from cl_condense.data.domains import load_domains
from cl_condense.runs.incremental import Run
from cl_condense.runs.memories import stream_for

ONLINE = TINY.changed(
    scenario="online",
    methods=("dm", "reservoir", "herding"),
    ipc=None,
    budget=12,
    orders=1,
    iterations=1,
    batch=7,
    enough=10,
)


@pytest.fixture(scope="module")
def data():
    train, test = (part.only([0, 1, 2, 3]) for part in load("digits"))
    return few(train, 30), few(test, 20)


def plain(records):
    return [{k: v for k, v in r.items() if not k.endswith(("seconds", "peak_bytes"))} for r in records]


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    return plain(Run(ONLINE, *data, tmp_path_factory.mktemp("online") / "run")())


def test_all_methods_have_one_budget_and_a_record_a_step(done):
    assert [(r["method"], r["step"], r["classes_seen"]) for r in done] == [
        (m, t, 2 * t) for m in ("dm", "reservoir", "herding") for t in (1, 2)
    ]
    for r in done:
        assert 8 <= r["stored_images"] <= 12
        assert len(r["by_step"]) == r["step"]


class Stop(BaseException):
    """Like KeyboardInterrupt, which would end the test session."""


@pytest.mark.parametrize("at", [(1, 0.4), (2, 0.8)])
def test_it_goes_on_in_the_midst_of_a_step(at, data, done, tmp_path):
    def stop(event):
        if event.unit.step == at[0] and event.progress and 2 * event.share >= at[1]:
            raise Stop

    with pytest.raises(Stop):
        Run(ONLINE, *data, tmp_path / "run")(stop)
    assert [*(tmp_path / "run/checkpoints").iterdir()], "the state of the step"
    assert plain(Run(ONLINE, *data, tmp_path / "run")()) == done


def test_without_boundaries_images_wait_across_steps(data, tmp_path):
    s = ONLINE.changed(methods=("dm",), boundaries=False, enough=1000)
    records = Run(s, *data, tmp_path / "run")()
    assert [r["recipe"] for r in records] == [{}, {}], "nothing was condensed"
    assert [r["stored_images"] for r in records] == [12, 12]


def test_blurred_classes_come_in_several_steps_and_all_images_once(data):
    s = ONLINE.changed(blur=0.3)
    stream, neat = stream_for(s, *data, 0), stream_for(ONLINE, *data, 0)
    rows = torch.cat([stream.rows(t) for t in (1, 2)])
    assert rows.sort().values.tolist() == [*range(120)]
    assert {len(neat.experience(t).class_ids) for t in (1, 2)} == {2}
    assert len(stream.experience(1).class_ids) == 4
    assert len(stream.seen(1)) == 4
    assert stream.seen(1)[:2] == neat.seen(1)
    assert not neat.rows(1).equal(neat.rows(1).sort().values), "in an order of their own"
    again = stream_for(s, *data, 0)
    assert again.rows(1).equal(stream.rows(1))
    assert not stream_for(s.changed(seed=1), *data, 0).rows(1).equal(stream.rows(1))


def test_a_class_incremental_stream_blurs_too(data, tmp_path):
    s = TINY.changed(methods=("random",), orders=1, blur=0.3, trainers=("gdumb", "idc"))
    records = Run(s, *data, tmp_path / "run")()
    assert [(r["classes_seen"], r["stored_images"]) for r in records[::2]] == [(2, 7), (4, 8)], (
        "of a class that came early one"
    )


def test_domains_come_online_too(tmp_path):
    train, test = load_domains("rotated_digits", domains=2)
    both = [part.only([c for c in part.class_ids if c % 2**32 < 2]) for part in (train, test)]
    s = ONLINE.changed(dataset="rotated_digits", methods=("random",), batch=50)
    assert [r["domains_seen"] for r in Run(s, *both, tmp_path / "run")()] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": None, "ipc": 2}, "2 images per class .ipc. with scenario online: give budget or max_bytes"),
        ({"batch": 0}, "batch 0: give a whole number from 1"),
        ({"staging": 0}, "staging 0: give a finite number above 0 and below 1"),
        ({"blur": -1}, "blur -1: give a finite number of at least 0"),
        ({"methods": ("idm",)}, "idm stores several images in one, which waiting images are not"),
        ({"budget": 4}, "dm: a part of the memory has room for 3 images of 4 classes: give a larger budget"),
    ],
)
def test_what_makes_no_sense_gets_a_line_before_any_work(changes, said, data, tmp_path):
    with pytest.raises(ValueError, match=said):
        Run(ONLINE.changed(**changes), *data, tmp_path / "run")
    assert not (tmp_path / "run").exists()

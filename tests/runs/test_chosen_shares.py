"""Runs with a hybrid memory that chooses its share of real images, on training images alone."""

import pytest
from small_runs import TINY, few

from cl_condense.data import datasets
from cl_condense.runs.incremental import Run

AUTO = TINY.changed(methods=("dm:random:auto",), orders=1, ipc=4)
VARIES = ("condense_seconds", "train_seconds", "peak_bytes", "date")


@pytest.fixture(scope="module")
def data():
    """Four digits, some images of each."""
    return tuple(few(images.only(range(4)), 20) for images in datasets.load("digits"))


def plain(records):
    return [{k: v for k, v in r.items() if k not in VARIES} for r in records]


class Interruption(Exception):
    pass


def test_a_run_records_what_was_tried_and_goes_on_with_the_share(data, tmp_path):
    train, test = data
    whole = plain(Run(AUTO, train, test, tmp_path / "whole")())
    chosen = whole[0]["real_share"]
    assert [each["share"] for each in chosen["tried"]] == [0.1, 0.5, 0.7]  # 1, 2 and 3 images of 4
    assert [len(each["accuracies"]) for each in chosen["tried"]] == [2, 2, 2]
    assert chosen["share"] == max(chosen["tried"], key=lambda each: sum(each["accuracies"]))["share"]
    assert chosen["held_out"] == 4
    assert [record["real_share"] for record in whole] == [chosen] * 2
    assert [record["stored_images"] for record in whole] == [8, 16]
    for at in (2, 9, 14):
        told = []

        def stop(event, at=at, told=told):
            told.append(event)
            if len(told) == at:
                raise Interruption

        with pytest.raises(Interruption):
            Run(AUTO, train, test, tmp_path / str(at))(stop)
        assert plain(Run(AUTO, train, test, tmp_path / str(at))()) == whole
    other = Run(AUTO, train, test.with_images(255 - test.images), tmp_path / "other")()
    assert [record["real_share"] for record in other] == [chosen] * 2

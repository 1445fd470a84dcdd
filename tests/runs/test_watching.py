from cl_condense.runs.incremental import Event
from cl_condense.runs.records import Unit
from cl_condense.runs.watching import in_units


def test_a_run_counts_units_and_the_share_of_the_one_at_work():
    """Two orders side by side, and then a step of one."""
    told, one, two, last = [], Unit(0, "dm", 1), Unit(1, "dm", 1), Unit(0, "random", 3)
    tell = in_units(3, told.append)
    for event in (
        Event(one, "condense", 0.25),
        Event(two, "condense", 1.0),
        Event(one, "train", 1.5),
        Event(one, "done", 2.0, {"accuracy": 0.5}),
        Event(two, "done", 1.0, {"accuracy": 0.5}),
        Event(last, "train", 0.75),
        Event(last, "done", 1.0, {"accuracy": 0.5}),
    ):
        tell(event)
    assert [progress.done for progress in told] == [0.25, 1.0, 1.5, 2.0, 2.0, 2.75, 3.0]
    assert {(progress.total, progress.loss) for progress in told} == {(3, None)}
    assert [told[i].stage for i in (0, 2, 3, 6)] == [
        "dm, order 1, step 1: condensing",
        "dm, order 1, step 1: training",
        "dm, order 1, step 1: evaluated",
        "random, order 1, step 3: evaluated",
    ]

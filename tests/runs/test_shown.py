"""Records that show themselves as a table, and the verb that makes them of sets."""

import pytest

from cl_condense import MakeConvNet, condense, evaluate
from cl_condense.runs.shown import Records


def record(method, order, step, *accuracies):
    return {
        "method": method,
        "order": order,
        "step": step,
        "classes_seen": 2 * step,
        "accuracies": [*accuracies],
    }


def test_a_run_is_a_row_a_method_and_a_column_a_step():
    found = Records([record("dm", 0, 1, 0.5, 0.7), record("dm", 1, 1, 0.6), record("<x>", 0, 2, 0.25)])
    assert repr(found).splitlines() == [
        "method           2 classes     4 classes",
        "dm      60.0 ± 8.2 (n = 3)             -",
        "<x>                      -  25.0 (n = 1)",
    ]
    assert "<td>&lt;x&gt;</td><td>-</td><td>25.0 (n = 1)</td>" in found._repr_html_()


def test_no_records_are_shown_too():
    assert repr(Records()) == "set  accuracy (%)  time"


@pytest.mark.filterwarnings("ignore:no published settings")
def test_sets_are_evaluated_and_told_by_their_names(digits_pair):
    real, test = digits_pair
    network, told = MakeConvNet(real.shape, width=4, depth=1), []
    made = {name: condense(real, "random", ipc=1, network=network, seed=i) for i, name in enumerate("ab")}
    settings = {"networks": 2, "epochs": 2, "width": 4, "depth": 1}
    found = evaluate(made, test, dataset="digits", on_progress=told.append, device="cpu", **settings)
    assert [r["file"] for r in found] == ["a", "b"]
    assert [len(r["accuracies"]) for r in found] == [2, 2]
    assert {p.of for p in told} == {"a", "b"}
    assert repr(found).splitlines()[1].startswith("a  ")
    (alone,) = evaluate(made["a"], test, dataset="digits", device="cpu", **settings)
    assert alone["accuracies"] == found[0]["accuracies"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"netwroks": 2}, r"unknown setting 'netwroks': did you mean 'networks'\? known are networks, epochs"),
        ({"epochs": 0}, "epochs 0"),
        ({"test": lambda test: test.only([0, 1])}, "set random has class 2, of which there are no test images"),
        ({"sets": [1]}, r"sets \[1\]: give a CondensedSet, or several by their names in a dict"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(change, line, digits_pair):
    real, test = digits_pair
    made = change.pop("sets", None) or condense(real, "random", ipc=1)
    test = change.pop("test", lambda test: test)(test)
    with pytest.raises(ValueError, match=line):
        evaluate(made, test, **change)

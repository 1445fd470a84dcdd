"""``cl-condense methods``."""

import pytest
from commands import call


def test_methods_are_listed_and_explained(capsys):
    assert call("methods") == 0
    listed = capsys.readouterr().out
    for word in ("random", "herding", "dm+sm+icd", "later_sm", "arXiv:2307.09742", "+iid"):
        assert word in listed
    assert call("methods", "dm+sm") == 0
    shown = capsys.readouterr().out
    for word in (
        "1 x mean_matching",
        "10000 x gram_matrices",
        "arXiv:2110.04181",
        "lr: [cifar10 50: 1, 100: 10",
    ):
        assert word in shown
    assert call("methods", "herdin") == 2
    assert "did you mean 'herding'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "economy"),
    [
        ("dm", "a class, reuse 10, the last 400 with 256 real images at 0.1 of the rate"),
        (
            "dm+iid",
            "reuse 10, a pool of 2 ResNet-18s, 0.125 times as wide, of 8 epochs, "
            "the last 400 with 256 real images at 0.1 of the rate; 0.2 x class_centralisation",
        ),
        ("dc", "2,500 iterations, 64 real images a class; no reuse: its networks train between iterations"),
        ("idc", "none: its networks train on real images between iterations"),
    ],
)
def test_a_method_says_what_economy_makes_of_it(method, economy, capsys):
    assert call("methods", method) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("economy: "))
    assert line.endswith(economy)

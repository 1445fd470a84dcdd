"""``cl-condense methods``."""

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

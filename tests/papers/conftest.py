import pytest

from cl_condense.papers.costs import Costs


@pytest.fixture
def quick(monkeypatch):
    """Estimates without timings: a second for each work, and for each piece of one."""
    monkeypatch.setattr(Costs, "condensing", lambda *_, **__: 1.0)
    monkeypatch.setattr(Costs, "training", lambda *_, **__: 1.0)

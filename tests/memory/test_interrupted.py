"""Updates of a memory that are ended in the midst of it and go on: the memory to the bit."""

import pytest
from memories import class_memory, equal, pixels_of

from cl_condense.common.checkpoint import Checkpoints
from cl_condense.methods.registry import build


class Stop(BaseException):
    pass


def experiences():
    """A stream with uneven quotas, whose second experience shrinks what the first one left."""
    return [pixels_of(0, 1, 2, n=12), pixels_of((3, 12), (1, 9), n=12, seed=1)]


def memory(method, **options):
    own = build(method, iterations=4) if method in ("herding", "forgetting") else method
    return class_memory(7, method=own, iterations=2, device="cpu", **options)


def counted(method):
    """The memory after the stream, and how often it told of each experience."""
    made, told = memory(method), []
    for real in experiences():
        calls = []
        made.on_iteration = calls.append
        made.update(real)
        told.append(len(calls))
    return made, told


@pytest.mark.parametrize("method", ["dm", "herding", "forgetting", "random"])
def test_an_update_that_was_ended_goes_on_to_the_bit(method, tmp_path, monkeypatch):
    monkeypatch.setattr("cl_condense.common.checkpoint.EVERY", 0.0)  # what was done of earlier parts is kept
    whole, told = counted(method)
    for at in range(1, sum(told) + 1):
        cut, left = memory(method), [at]
        for number, real in enumerate(experiences()):
            checkpoints = Checkpoints(tmp_path / str(at), f"step{number}", {})

            def stop(progress, left=left):
                left[0] -= 1
                left[1:] = [progress.stage == "selected"]  # which is told again, as nothing comes after it
                if left[0] == 0:
                    raise Stop

            cut.on_iteration = stop
            try:
                cut.update(real, checkpoints)
            except Stop:
                assert cut.experiences == number
                rest = []
                cut.on_iteration = rest.append
                again = Checkpoints(tmp_path / str(at), f"step{number}", {})
                cut.update(real, again)
                left_over = sum(told[: number + 1]) - at + left[1]
                # A draw takes no time: it is made again.
                assert len(rest) == (told[number] if method == "random" else left_over)
                assert again.spent > 0 or method == "random"
            else:
                checkpoints.remove()
        equal(cut.condensed, whole.condensed)


def test_seconds_have_those_before_an_interruption(tmp_path, monkeypatch):
    made = memory("dm")
    checkpoints = Checkpoints(tmp_path, "a", {})
    monkeypatch.setattr(Checkpoints, "part", lambda self, name: setattr(self, "spent", 1e3))
    made.update(experiences()[0], checkpoints)
    assert made.seconds > 1000

"""States in files: when they are written, what is taken up, and what is refused."""

import itertools

import pytest
import torch
from safetensors.torch import save_file

from cl_condense.common import checkpoint
from cl_condense.common.agreement import keeping
from cl_condense.common.checkpoint import Checkpoint, Checkpoints, under
from cl_condense.common.progress import Progress

JOB = {"method": "dm", "ipc": 2, "start": None, "factors": (1, 2)}
STATE = {"pixels": torch.arange(6.0).view(2, 3).t(), "iteration": torch.tensor(4)}


class Stop(BaseException):
    pass


def written(path, **changes):
    made = Checkpoint(path, {**JOB, **changes})
    made.notes["losses"], made.tensors["looks"] = [[1, 0.5]], torch.ones(2, dtype=torch.bool)
    made.write(STATE)
    return made


def test_a_state_is_read_as_it_was_written_with_what_its_owner_added(tmp_path):
    written(tmp_path / "new" / "a.checkpoint")
    found = Checkpoint(tmp_path / "new" / "a.checkpoint", JOB)
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[k], v) for k, v in STATE.items())
    assert found.notes == {"losses": [[1, 0.5]]}
    assert found.tensors["looks"].tolist() == [True, True]
    assert found.threads == torch.get_num_threads()
    assert 0 <= found.spent <= found.seconds


def test_seconds_add_up_over_interruptions(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    first = Checkpoint(tmp_path / "a", JOB)
    now[0] += 7
    first.write(STATE)
    now[0] += 1000
    second = Checkpoint(tmp_path / "a", JOB)
    now[0] += 5
    assert (second.spent, second.seconds) == (7, 12)
    second.write(STATE)
    assert Checkpoint(tmp_path / "a", JOB).spent == 12


def test_what_is_of_another_job_is_refused_or_passed_over(tmp_path):
    path = tmp_path / "a.checkpoint"
    written(path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"a\.checkpoint is of a job with ipc 2, not 3: give its settings"
    ) as error:
        Checkpoint(path, {**JOB, "ipc": 3})
    assert "\n" not in str(error.value)
    anew = Checkpoint(path, {**JOB, "ipc": 3}, strict=False)
    assert (anew.state, anew.notes, anew.spent) == (None, {}, 0.0)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x80\x04cos\nsystem\n", None])
def test_what_is_damaged_is_refused_or_passed_over(content, tmp_path):
    path = tmp_path / "a.checkpoint"
    if content is None:
        save_file({"pixels": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"cannot be read as a checkpoint .* remove it to begin again"
    ) as error:
        Checkpoint(path, JOB)
    assert "\n" not in str(error.value)
    assert Checkpoint(path, JOB, strict=False).state is None


@pytest.mark.parametrize(("cost", "every"), [(0.0, 2.0), (0.2, 10.0), (7.0, 30.0)])
def test_states_are_written_at_most_for_a_fiftieth_of_the_time_and_every_half_minute(
    cost, every, tmp_path, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    kept, made = Checkpoint(tmp_path / "a", JOB), []
    write = checkpoint.tensor_file.write

    def slow(*args, **options):
        now[0] += cost
        return write(*args, **options)

    monkeypatch.setattr(checkpoint.tensor_file, "write", slow)
    kept.write(STATE)
    tell = keeping(kept, lambda: made.append(now[0]) or STATE)
    for done in range(300):
        now[0] += 0.25
        tell(Progress("working", done, 300))
    gaps = [b - a - cost for a, b in itertools.pairwise(made)]
    assert gaps
    assert all(every - 1e-9 <= gap <= every + 0.25 + 1e-9 for gap in gaps)


def test_states_are_written_when_they_are_due_and_where_work_is_ended(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint, "_SOONEST", checkpoint.EVERY)
    kept, told, made = Checkpoint(tmp_path / "a", JOB), [], []

    def state():
        made.append(now[0])
        return STATE

    def on_progress(progress):
        told.append(progress.done)
        if progress.done == 4:
            raise Stop

    tell = keeping(kept, state, on_progress)
    for done in (1, 2, 3):
        now[0] += checkpoint.EVERY * 0.6
        tell(Progress("working", done, 10))
    assert made == [checkpoint.EVERY * 1.2]
    with pytest.raises(Stop):
        tell(Progress("working", 4, 10))
    assert len(made) == 2
    assert told == [1, 2, 3, 4]
    assert Checkpoint(tmp_path / "a", JOB).share == 0.4


def test_a_last_state_is_kept_unless_it_was_a_matter_of_seconds(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    kept = Checkpoint(tmp_path / "a", JOB)
    tell = keeping(kept, lambda: STATE)
    tell.end()
    assert not kept.path.exists()
    now[0] += checkpoint.EVERY / 5
    tell.end()
    assert kept.path.exists()


def test_without_a_checkpoint_it_only_tells():
    told = []
    keeping(None, lambda: pytest.fail("no state is wanted"), told.append)(Progress("working", 1, 2))
    keeping(None, lambda: pytest.fail("no state is wanted"))(Progress("working", 1, 2))
    assert told == [Progress("working", 1, 2)]


def test_parts_of_a_work_are_kept_apart_and_removed_together(tmp_path):
    parts = Checkpoints(tmp_path, "dm+sm[1]", JOB)
    other = Checkpoints(tmp_path, "dm", JOB)
    for name in ("a", "b"):
        parts.part(name).write({"x": torch.tensor(ord(name))})
    other.part("a").write({"x": torch.tensor(0)})
    again = Checkpoints(tmp_path, "dm+sm[1]", JOB)
    assert [int(again.part(name).state["x"]) for name in ("a", "b")] == [97, 98]
    assert again.part("c").state is None
    assert again.spent > 0
    again.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["dm.a.checkpoint"]


def test_entries_under_a_name():
    assert under("a.", {"a.x": 1, "a.b.x": 2, "b.x": 3, "ab": 4}) == {"x": 1, "b.x": 2}

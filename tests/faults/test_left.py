"""What an earlier process left: torn, empty, or of another condensation; read alike by all that read it."""

import json

import pytest
import torch
from memories import NETWORK, pixels_of
from small_runs import TINY

from cl_condense.condensation.engine import Condensation
from cl_condense.methods.registry import build
from cl_condense.papers.bench import Bench
from cl_condense.reports.html import write
from cl_condense.runs import records
from cl_condense.runs.incremental import Run

REAL = pixels_of(1, 3, 10, n=8)
RUN = TINY.changed(methods=("random",), orders=1, networks=1, epochs=1, steps=2)
SCORE = {"work": {"set": "a", "epochs": 3}, "accuracies": [0.5], "seconds": 1.0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The files of a run, by name."""
    folder = tmp_path_factory.mktemp("run")
    Run(RUN, REAL, REAL, folder)()
    return {path: (folder / path).read_bytes() for path in ("settings.json", "records.jsonl")}


@pytest.fixture
def folder(finished, tmp_path):
    (tmp_path / "run").mkdir()
    for name, data in finished.items():
        (tmp_path / "run" / name).write_bytes(data)
    return tmp_path / "run"


def reported(folder):
    """The Markdown of a report."""
    return write(folder, folder.parent / "report.html")[1].read_text()


TORN = [b'{"method": "dm"', b"{", b"\0" * 40, b'{"method": "random", "order": 0}', b"\xff\xfe"]


@pytest.mark.parametrize("rest", TORN)
def test_a_last_line_without_an_end_is_passed_over_by_all_and_mended_by_its_writer(rest, folder):
    path, whole = folder / "records.jsonl", (folder / "records.jsonl").read_bytes()
    before = reported(folder)
    path.write_bytes(whole + rest)
    assert [r["step"] for r in records.read(path)] == [1, 2]
    assert reported(folder) == before
    assert path.read_bytes() == whole + rest  # another process may be in the middle of it
    assert len(Run(RUN, REAL, REAL, folder).records) == 2
    assert path.read_bytes() == whole
    scores = folder.parent / "scores.jsonl"
    scores.write_bytes(json.dumps(SCORE).encode() + b"\n" + rest)
    assert Bench(folder.parent, None, {}).scores() == [SCORE]


def test_a_last_record_that_was_torn_is_made_again(folder):
    path, whole = folder / "records.jsonl", (folder / "records.jsonl").read_bytes()
    path.write_bytes(whole[:-30])
    (again,) = Run(RUN, REAL, REAL, folder).missing()
    assert again.step == 2
    made = Run(RUN, REAL, REAL, folder)()
    assert made[1]["accuracies"] == json.loads(whole.splitlines()[1])["accuracies"]


@pytest.mark.parametrize("name", ["records.jsonl", "settings.json", "scores.jsonl"])
def test_an_empty_file_is_no_record_or_one_line(name, folder):
    (folder / name).write_bytes(b"")
    if name == "settings.json":
        with pytest.raises(
            ValueError, match=r"settings\.json cannot be read as the settings of a run \(no JSON\)"
        ):
            Run(RUN, REAL, REAL, folder)
    else:
        run = Run(RUN, REAL, REAL, folder)
        assert run.missing() == ([] if name == "scores.jsonl" else run.units)
        assert Bench(folder, None, {}).scores() == []
    if name == "scores.jsonl":
        assert "random" in reported(folder)
    else:
        with pytest.raises(ValueError, match=r"holds nothing that can be read \(run") as error:
            reported(folder)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        *({"accuracy": bad} for bad in ("0.5", 1.5, [0.5])),
        *({"condense_seconds": bad} for bad in ("1", -1, None, float("inf"))),
        *({"stored_bytes": bad} for bad in (-1, 1.5, "1", 10**30)),
        *({"method": bad} for bad in (None, 1, ["dm"])),
        *({"classes_seen": bad, "recipe": bad, "versions": bad} for bad in (0, "x", [])),
    ],
    ids=str,
)
def test_a_record_of_other_kinds_of_values_is_named_by_all(change, folder):
    path = folder / "records.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(first + "\n" + json.dumps(json.loads(second) | change) + "\n")
    for reader in (lambda: records.read(path), lambda: Run(RUN, REAL, REAL, folder), lambda: reported(folder)):
        with pytest.raises(ValueError, match=r"records\.jsonl is damaged in line 2 \(") as error:
            reader()
        assert "\n" not in str(error.value)


# states of condensations


@pytest.fixture(scope="module", params=["dm", "idm", "cafe"])
def state(request):
    """What makes a condensation, and the state of one in its middle."""

    def make():
        method = build(request.param).with_settings(iterations=4, real_per_class=4)
        return Condensation(REAL, method, ipc=1, network=NETWORK)

    work = make()
    work.step()
    work.step()
    return make, {name: tensor.clone() for name, tensor in work.state().items()}


def test_a_state_is_taken_over_as_it_is(state):
    make, good = state
    work = make()
    work.restore(good)
    assert all(torch.equal(work.state()[name], tensor) for name, tensor in good.items())


def may_be(name, tensor, odd):
    """Whether another tensor may be in a state: of a diverged network, CAFE's accuracies, numbers of draws."""
    last = name.split(".")[-1]
    if name.startswith("networks.") and odd.is_floating_point() and odd.shape == tensor.shape:
        return odd.dtype == tensor.dtype
    if last in ("number", "age", "count"):
        return odd.dtype == tensor.dtype and odd.shape == tensor.shape
    return last == "accuracies" and odd.dtype == torch.float64 and odd.ndim == 1 and bool(odd.isfinite().all())


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.double() if t.is_floating_point() else t.float(),
        lambda t: t.reshape(-1)[:1].clone() if t.numel() > 1 else t.repeat(2),
        lambda t: t.new_full(t.shape, float("nan")) if t.is_floating_point() else t - 10**15,
        lambda t: None,
    ],
    ids=["type", "shape", "value", "absent"],
)
def test_a_state_that_is_another_in_any_tensor_is_refused(change, state):
    make, good = state
    names = [*good]
    for name in [*names[:4], *names[4::7]]:
        tensor = good[name]
        odd = change(tensor)
        if odd is not None and may_be(name, tensor, odd):
            continue
        with pytest.raises(ValueError, match="does not fit this one") as error:
            make().restore({k: v for k, v in {**good, name: odd}.items() if v is not None})
        assert "\n" not in str(error.value)


def test_a_queue_that_claims_to_be_old_is_refused_and_not_waited_for(state):
    make, good = state
    name = next((name for name in good if name.endswith("pushed")), None)
    if name is None:
        pytest.skip("it has no queue")
    with pytest.raises(ValueError, match="pushed 1000000000000"):
        make().restore({**good, name: torch.tensor(10**12)})

"""Runs and tables on a Ray cluster: the records of the plain ones, whatever becomes of the workers."""

import json
import logging
import os
import signal
import socket
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import made_up
import pytest
from made_up import REDUCED, load_more, stream_cells
from rich.console import Console
from small_runs import TINY

from cl_condense.common.stopping import Limit, Stop
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.papers.bench import Bench
from cl_condense.papers.campaign import Campaign
from cl_condense.papers.published import published
from cl_condense.runs.incremental import Run
from cl_condense.runs.ray import at_work, executor
from cl_condense.runs.ray.address import check_address, quiet
from cl_condense.runs.ray.executor import Ray
from cl_condense.runs.tasks import Task

quiet()
ray = pytest.importorskip("ray")

OWN = ("commit", "date", "seconds", "condense_seconds", "train_seconds", "peak_bytes")
METHODS = "random", "herding", "dm", "ddm"


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine."""
    size = 100 * 2**20
    log = {"log_to_driver": False, "logging_level": logging.CRITICAL, "include_dashboard": False}
    ray.init("local", num_cpus=2, object_store_memory=size, **log)
    yield Ray()
    ray.shutdown()


def plain(value):
    """A record without what differs from one time to the next."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in OWN}
    return [plain(v) for v in value] if isinstance(value, list) else value


def records(folder):
    """All records in a folder, by their file, in an order of their own."""
    found = {}
    for file in folder.rglob("*.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        found[file.relative_to(folder)] = sorted(json.dumps(plain(line), sort_keys=True) for line in lines)
    for file in folder.glob("sets/*.json"):
        found[file.name] = plain(json.loads(file.read_text()))
    return found


def images(folder):
    return {f.name: CondensedSet.load(f).pixels.tolist() for f in folder.rglob("*.safetensors")}


class Killing(Limit):
    """Kills the first worker that is seen at work."""

    killed = 0

    def check(self):
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                name = process.read_bytes()
            except OSError:
                continue
            if not self.killed and name.startswith(b"ray::") and b"image" in name:
                self.killed = int(process.parent.name)
                os.kill(self.killed, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds workers in /proc")
def test_a_table_has_the_records_of_the_plain_one_though_a_worker_is_killed(cluster, quick, tmp_path):
    cells = [cell for ipc in (1, 10) for m in METHODS for cell in published("ddm-1", "cifar10", ipc, m)]
    cells += [c for c in published("iid-3", method="dm") if c.eval_net == "alexnet"]  # on a set of the others
    cells += stream_cells("random", "herding", "dm")
    assert len(cells) == 12
    killing, console = Killing(), Console(quiet=True)
    for name, own, limit in (("plain", {}, Limit()), ("ray", {"executor": cluster}, killing)):
        bench = Bench(tmp_path / name, load_more, REDUCED, orders=2)
        assert Campaign(bench, cells, limit, console=console, **own)() == 0
        assert bench.missing(cells) == []
    assert killing.killed
    assert records(tmp_path / "ray") == records(tmp_path / "plain")
    assert images(tmp_path / "ray") == images(tmp_path / "plain")
    assert not [*(tmp_path / "ray").rglob("*.checkpoint")]


@pytest.fixture(scope="module")
def digits():
    return made_up.load_more("digits")


def test_a_run_on_hosts_that_do_not_see_its_folder_keeps_the_same(cluster, digits, tmp_path, monkeypatch):
    settings = TINY.changed(trainers=("gdumb", "idc"), steps=3)
    Run(settings, *digits, tmp_path / "plain")()

    @contextmanager
    def unmarked(tasks):
        yield "nowhere"

    monkeypatch.setattr(executor, "marked", unmarked)
    events = []
    Run(settings, *digits, tmp_path / "ray", executor=cluster)(events.append)
    assert records(tmp_path / "ray") == records(tmp_path / "plain")
    assert images(tmp_path / "ray") == images(tmp_path / "plain")
    kept = [sorted(f.name for f in (tmp_path / name / "memory").iterdir()) for name in ("ray", "plain")]
    assert kept[0] == kept[1]
    assert {event.progress.of for event in events if event.progress and event.progress.loss is not None}
    assert not (tmp_path / "ray" / "checkpoints").exists()


def test_a_run_that_is_stopped_goes_on_with_ray_or_without(cluster, digits, tmp_path):
    def stop(event):
        if event.phase == "condense" and event.progress.done >= 8:
            raise Stop

    for iterations in (300, 3000, 30000):  # the worker waits for nothing, and may be done before it is stopped
        folder = tmp_path / str(iterations)
        settings = TINY.changed(methods=("dm",), iterations=iterations, orders=1, steps=1)
        with pytest.raises(Stop):
            Run(settings, *digits, folder, executor=cluster)(stop)
        if [*(folder / "checkpoints").iterdir()]:
            break
    else:
        pytest.fail("no run was stopped within its condensation")
    Run(settings, *digits, tmp_path / "plain")()
    seen = []
    Run(settings, *digits, folder)(seen.append)
    assert not [e for e in seen if e.phase == "condense" and e.unit.step == 1 and e.progress.done <= 8]
    assert records(folder) == records(tmp_path / "plain")


def test_a_unit_s_fault_and_the_death_of_all_its_workers_are_one_line(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(at_work, "TRIES", 2)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

    def fails(folder, tell):
        raise ValueError("7 classes: give 10")

    def dies(folder, tell):
        os._exit(1)

    task = partial(Task, "dm, order 1", tmp_path, heard=lambda news: None)
    with pytest.raises(ValueError, match=r"^7 classes: give 10$"):
        cluster([task(lambda: fails)])
    with pytest.raises(ValueError, match=r"dm, order 1: its worker died 2 times .*: the same command goes on$"):
        cluster([task(lambda: dies)])
    assert cluster.where == "Ray (2 CPUs)"
    assert (cluster.device("auto"), cluster.device("cpu")) == ("cpu", "cpu")
    with pytest.raises(ValueError, match="device 'cuda' is not in the cluster: use one of auto, cpu"):
        cluster.device("cuda")
    assert cluster._claim(task(None, device="cuda")) == {"num_cpus": 1, "num_gpus": 1.0}
    assert cluster._claim(task(None, threads=64)) == {"num_cpus": 2}


def test_an_absent_ray_and_an_address_without_a_cluster_are_one_line(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(
        ValueError, match=f"--ray {address}: no Ray cluster is there .*ray start --head, or give auto"
    ):
        check_address(address)
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(ValueError, match="--ray nowhere: no Ray cluster is there"):
        check_address("auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"--ray needs the package ray: pip install 'cl-condense\[ray\]'"):
        check_address("auto")

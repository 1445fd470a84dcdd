"""Tasks on a Ray cluster, or on a local one that is started for them: as many at a time as it takes."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import cached_property

from cl_condense.common.foreign import reason
from cl_condense.runs.ray.address import AUTO, quiet
from cl_condense.runs.ray.at_work import AtWork, mailbox, marked
from cl_condense.runs.ray.stored import Stored
from cl_condense.runs.tasks import Data, Shared, Task


class Ray:
    """An executor on a Ray cluster; it is connected to when it is first asked for anything.

    A unit takes a CPU and computes with one thread, or with as many as the environment variable OMP_NUM_THREADS
    says, or with as many as its work began with, and claims as many CPUs. On a GPU it takes a share of one.

    Where a worker dies, its units are begun again, ``TRIES`` times in all: where they kept their state if the
    workers see the folder of the results, else at the last record.

    Args:
        address: ``auto``, the cluster that runs here, else a local one for as long as this lives; HOST:PORT.
        gpu_share: of a GPU that a unit takes.
    """

    def __init__(self, address: str = AUTO, gpu_share: float = 1.0) -> None:
        self._address, self._gpu_share, self._mine = address, gpu_share, False
        self._shared: list[tuple[Data, Shared]] = []

    @property
    def threads(self) -> int:
        text = os.environ.get("OMP_NUM_THREADS", "1").split(",")[0]
        return max(1, int(text)) if text.isdecimal() else 1

    @property
    def where(self) -> str:
        cpus, gpus = (int(self._resources.get(kind, 0)) for kind in ("CPU", "GPU"))
        found = [f"{n} {kind}{'s' * (n != 1)}" for n, kind in ((cpus, "CPU"), (gpus, "GPU")) if n]
        return f"Ray ({', '.join(found) or 'no CPU yet'})"

    def device(self, name: str) -> str:
        there = ["cpu", *["cuda"] * (self._resources.get("GPU", 0) > 0)]
        if name == "auto":
            return there[-1]
        if name not in there:
            raise ValueError(f"device {name!r} is not in the cluster: use one of auto, {', '.join(there)}")
        return name

    def share(self, data: Data) -> Shared:
        """Puts a data set into the object store, once; units read it there without a copy on their host."""
        known = next((shared for own, shared in self._shared if own[0] is data[0] and own[1] is data[1]), None)
        if known is None:
            self._connect()
            known = Stored.of(data)
            self._shared.append((data, known))
        return known

    def __call__(self, tasks: Sequence[Task], check: Callable[[], None] = lambda: None) -> None:
        if not tasks:
            return
        import ray  # noqa: PLC0415

        self._connect()
        with marked(tasks) as mark, mailbox() as box:
            at_work = AtWork(tasks, mark, box, self._claim, self.threads)
            try:
                at_work(check)
            except (ray.exceptions.RayActorError, ray.exceptions.RaySystemError) as error:
                raise ValueError(
                    f"the Ray cluster was lost ({reason(error)}): the same command goes on"
                ) from None
            except BaseException:
                at_work.leave()
                raise

    def close(self) -> None:
        """Leaves the cluster; a local one ends."""
        if self._mine:
            import ray  # noqa: PLC0415

            ray.shutdown()
            self._mine = False

    def _claim(self, task: Task) -> dict[str, float]:
        """What a task takes of a node; no more CPUs than the largest has."""
        if task.device != "cpu":
            return {"num_cpus": 1, "num_gpus": self._gpu_share}
        return {"num_cpus": min(task.threads or self.threads, max(1, self._most))}

    @cached_property
    def _resources(self) -> dict[str, float]:
        import ray  # noqa: PLC0415

        self._connect()
        return dict(ray.cluster_resources())

    @cached_property
    def _most(self) -> int:
        """CPUs of the largest node."""
        import ray  # noqa: PLC0415

        return int(max(node["Resources"].get("CPU", 0) for node in ray.nodes()))

    def _connect(self) -> None:
        """Connects, unless this process is connected already, and leaves the handling of signals as it is."""
        quiet()
        import ray  # noqa: PLC0415

        if ray.is_initialized():
            return
        before, main = signal.getsignal(signal.SIGTERM), threading.current_thread() is threading.main_thread()
        address = None if self._address == AUTO else self._address
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ValueError(f"--ray {self._address}: Ray does not start ({reason(error)})") from None
        finally:
            if main:
                signal.signal(signal.SIGTERM, before)
        self._mine = True

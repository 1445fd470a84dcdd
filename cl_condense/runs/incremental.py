"""The run over a stream: condense, retrain, evaluate, step by step; one record a step; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cl_condense.common.files import atomic, unused, writing
from cl_condense.common.foreign import read_object, reading, shown
from cl_condense.common.numbers import MOST, whole
from cl_condense.common.plain import Json
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.data.imageset import ImageSet
from cl_condense.runs.chain import Chain, Lost
from cl_condense.runs.checks import check_run, fingerprint
from cl_condense.runs.config import CondenseConfig, digest
from cl_condense.runs.events import Event, OnEvent
from cl_condense.runs.memories import stream_for
from cl_condense.runs.numbers_today import agree, leave
from cl_condense.runs.provenance import commit
from cl_condense.runs.records import Unit, append, mend, read
from cl_condense.runs.run_config import LATER, RunConfig
from cl_condense.runs.run_files import MEMORY, RunFiles
from cl_condense.runs.shown import Records
from cl_condense.runs.single import POOLS
from cl_condense.runs.stream import domains_in, step_sizes, trained_after
from cl_condense.runs.tasks import Errand, Executor, Local, News, Shared, Task
from cl_condense.training.trainers import DEFAULT

_FREE = ("orders", "device")  # settings that may be others where a run goes on
_RECIPES = "recipes.json"


@dataclass
class Run:
    """A run in a folder: ``settings.json``, ``records.jsonl``, ``memory/``, and its ``checkpoints/``.

    ``recipes.json`` has the numbers that each method began with, which the settings may leave to economy.

    All trainers of the settings train on the same memories; a unit is one of them after one step. What does
    not wait for one another, methods and class orders, is done by ``executor``: one after another, or on a
    cluster.

    An interrupted run goes on in the midst of a step, with the CPU threads that it began with.
    The folder's number of orders may be another, since an order depends on no other one: those that are there
    are not computed again, and ``records`` has those that ``settings`` ask for. So may the device, which each
    record says for itself.

    Trained pools of networks, for methods that have one, are shared in ``pools/``, which goes when the run is
    done, or in the folder ``pools``, which stays.

    One process writes in a folder at a time, see ``writing``.

    Of several ``ranks`` the leader calls it, and the others condense with it; it alone trains and evaluates.

    With ``only`` networks train after these steps alone, and after those before them that such networks go on
    from; a call without it does the other steps.

    ``preparation`` is how the images were prepared, in options, for ``settings.json``; the fingerprint in
    ``settings`` is of what came out.

    Raises:
        ValueError: for settings that do not fit the data, a folder with another run's settings, and, when it is
            made and when it is called, a folder that another process writes in; when it is called, for a method
            whose numbers are others than those that the run began with.
    """

    settings: RunConfig
    train: ImageSet
    test: ImageSet
    out: Path
    preparation: Json = field(default_factory=dict)
    pools: Path | None = None
    executor: Executor = field(default_factory=Local)
    ranks: Ranks = ALONE
    only: tuple[int, ...] = ()
    records: Records = field(init=False)

    def __post_init__(self) -> None:
        check_run(self.settings, self.train, self.test)
        self.out, self.only = Path(self.out), trained_after(self.only, self.settings.stream.trainers)
        device = self.executor.device(self.settings.device)
        data = self.settings.main.data or fingerprint(self.train, self.test)
        self.settings = self.settings.changed(device=device, data=data)
        self._files, self._at_work = RunFiles(self.out), dict[str, float]()
        self.records = self._open()
        commit()  # of the code that is loaded now

    @property
    def sizes(self) -> list[int]:
        """Number of classes of each step, in the first order; with domains those of each."""
        if len(domains_in(self.train)) > 1:
            return [len(own) for own in stream_for(self.settings, self.train, self.test, 0).steps]
        return step_sizes(len(self.train.class_ids), self.settings.stream.steps)

    @property
    def units(self) -> list[Unit]:
        """All pieces of work, in the order in which they are done."""
        s = self.settings.stream
        places = ((o, m) for o in range(s.orders) for m in self.settings.methods)
        steps = self.only or range(1, s.steps + 1)
        return [Unit(*place, t, way) for place in places for t in steps for way in s.trainers]

    def name(self) -> str:
        """What it is called where its curves go: the same with more orders or trainers, on any device."""
        own = {k: v for k, v in self.settings.values().items() if k not in ("orders", "trainers", "device")}
        return f"{self.out.resolve().name}-{digest(own)}"

    def missing(self) -> list[Unit]:
        """Pieces of work without a record."""
        done = {Unit.of(record) for record in self.records}
        return [unit for unit in self.units if unit not in done]

    def __call__(
        self, on_event: OnEvent = lambda event: None, check: Callable[[], None] = lambda: None
    ) -> Records:
        """Does what is missing, one record a step, and returns all records, which show themselves as a table.

        Each record is on the disk before the next step starts. Where ``on_event`` raises, the state of what
        is condensed or trained is kept, and likewise where ``check`` does, which a cluster calls while there is
        nothing to tell; after a crash, that of the last half minute is there. A stopped run
        goes on from it and ends with the same records: all that is random has (seed, order, step) as its key.
        """
        with self.opened(on_event) as tasks:
            self.executor(tasks, check)
        return self.records

    @contextmanager
    def opened(self, on_event: OnEvent = lambda event: None) -> Iterator[list[Task]]:
        """What is missing, as tasks for the executor, while this process writes in the folder."""
        with writing(self.out, folder=True):
            self.records = self._open()  # another process may have been here since
            self._at_work.clear()
            missing, data = self._still(self.missing()), self.executor.share((self.train, self.test))
            groups = [(orders, m) for orders in self._side_by_side() for m in self.settings.methods]
            own = [[u for u in missing if u.order in orders and u.method == m] for orders, m in groups]
            yield [self._task(units, data, on_event) for units in own if units]
            # where networks train after the last step first, and after the others by another call
            self._files.sweep(unit for unit in self.units if unit.step == self.settings.stream.steps)

    def _task(self, units: Sequence[Unit], data: Shared, on_event: OnEvent, lost: bool = False) -> Task:
        """The task of a method on class orders that train side by side."""
        name = f"{units[0].method}, order {' and '.join(str(o + 1) for o in {u.order: 0 for u in units})}"

        def begin() -> Errand:
            left = self.missing()
            wanted = tuple(unit for unit in units if lost or unit in left)
            pools = self.pools or self.out / POOLS
            chain = Chain(self.settings, data, wanted, self._threads, self.out, pools, self.ranks, self.only)
            return Lost(chain) if lost else chain

        device, heard = self.settings.device, partial(self._heard, name, on_event)
        return Task(name, self.out, begin, heard, data=data, device=device, threads=self._threads, state=MEMORY)

    def _heard(self, task: str, on_event: OnEvent, news: News) -> None:
        """Keeps a record, and tells an event with the share of all that is at work."""
        assert isinstance(news, Event)
        record = news.record
        if record and Unit.of(record) not in map(Unit.of, self.records):
            append(self.out / "records.jsonl", record)
            self.records.append(record)
        others = sum(share for name, share in self._at_work.items() if name != task)
        self._at_work[task] = news.share - bool(record)
        on_event(news._replace(share=news.share + others))

    def lost(self) -> list[Unit]:
        """Last steps that have a record and whose memory is not there any more."""
        done = [Unit.of(record)._replace(trainer=DEFAULT) for record in self.records]
        last = dict.fromkeys(unit for unit in done if unit.step == self.settings.stream.steps)
        return [unit for unit in last if not self.memory_file(unit).exists()]

    def remake(self, on_event: OnEvent = lambda event: None, check: Callable[[], None] = lambda: None) -> None:
        """Makes lost memories again, equal to what they were; interrupted it goes on as a call does."""
        with writing(self.out, folder=True):
            self._at_work.clear()
            lost, data = self._still(self.lost()), self.executor.share((self.train, self.test))
            tasks = [self._task([unit], data, on_event, lost=True) for unit in lost]
            self.executor(tasks, check)
            self._files.sweep()

    def memory_file(self, unit: Unit) -> Path:
        """Where the memory after a step is kept (until the next one is done)."""
        return self._files.memory(unit)

    def _side_by_side(self) -> list[list[int]]:
        """Class orders whose networks train together: on a GPU all, since ConvNets are joined there.

        Each alone on a cluster, which may have several, and elsewhere: only those for at most 16 pixels are
        joined there, and with one channel accuracies would differ by rounding when a run goes on with more
        orders.
        """
        orders = [*range(self.settings.stream.orders)]
        together = self.settings.train.network == "convnet" and self.settings.device.startswith("cuda")
        return [orders] if together and not self.executor.where else [[order] for order in orders]

    def _open(self) -> Records:
        """Records of the folder, which is made if need be."""
        self._theirs()  # before anything is written in it
        with writing(self.out, folder=True):
            theirs, path = self._theirs(), self.out / "records.jsonl"
            mine = self._mine(theirs)
            self._threads = mine["threads"]
            (self.out / "memory").mkdir(exist_ok=True)
            if any(theirs.get(k) != mine[k] for k in _FREE):
                with atomic(self.out / "settings.json") as temporary:
                    temporary.write_text(json.dumps(mine, indent=2) + "\n")
            if not self._files.begun():
                leave(self.out / _RECIPES, self._condensations(self.settings.methods))
            mend(path)
            return Records(r for r in read(path) if r["order"] < self.settings.stream.orders)

    def _still(self, units: list[Unit]) -> list[Unit]:
        """The units themselves; ValueError where a method of theirs began with other numbers than today's."""
        agree(self.out / _RECIPES, self._condensations(dict.fromkeys(unit.method for unit in units)))
        return units

    def _condensations(self, methods: Iterable[str]) -> list[CondenseConfig]:
        return [self.settings.of_method(name) for name in methods]

    def _mine(self, theirs: Json) -> Json:
        """What ``settings.json`` is to say: no fewer orders than it does, and the device of today."""
        orders = max(self.settings.stream.orders, theirs.get("orders", 0))
        threads = theirs.get("threads", _threads(self.train, self.executor.threads))
        prepared = {"preparation": self.preparation} if self.preparation else {}
        return self.settings.values() | prepared | {"orders": orders, "threads": threads}

    def _theirs(self) -> Json:
        """What ``settings.json`` says; nothing where the folder is fresh.

        Raises:
            ValueError: for the folder of anything else.
        """
        path = self.out / "settings.json"
        if not path.exists():
            if self.out.is_dir() and not unused(self.out):
                raise ValueError(f"{self.out} is not empty and holds no run: give another --out")
            return {}
        what = "the settings of a run", "give another --out"
        theirs = read_object(path, *what)
        with reading(path, *what):
            whole("orders", theirs["orders"], at_most=MOST["orders"])
            whole("threads", theirs.get("threads", 1), at_most=MOST["threads"])
        if "threads" not in theirs:
            raise ValueError(
                f"{self.out} holds a run of a version in which all experiences drew the same random numbers: "
                "give another --out"
            )
        later = {k: usual for k, usual in LATER.items() if k in theirs}
        for k, mine in json.loads(json.dumps(later | self._mine(theirs))).items():
            if k not in _FREE and theirs.get(k, "nothing") != mine:
                raise ValueError(
                    f"{self.out} holds a run with {k} {shown(theirs.get(k))}, not {mine}: "
                    "give another --out, or that run's settings to go on with it"
                )
        return theirs


def _threads(images: ImageSet, usual: int) -> int:
    """CPU threads for images of a size: one for tiny ones.

    Their operations take microseconds, so that threads mostly wait for one another, and for many times as long
    where something else keeps a core busy.
    """
    return 1 if images.shape[1] * images.shape[2] <= 16 * 16 else usual

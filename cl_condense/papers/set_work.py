"""Cells of networks trained on one condensed set of a whole data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.files import writing
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.recorder import Recorder
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet
from cl_condense.data.placing import placed
from cl_condense.papers.costs import Costs
from cl_condense.papers.printed import printed
from cl_condense.papers.published import Cell
from cl_condense.papers.work import Account, Load, Past, Piece, Work
from cl_condense.runs import records
from cl_condense.runs.checks import check_condensing, check_training
from cl_condense.runs.config import CondenseConfig, TrainConfig, digest
from cl_condense.runs.defaults import DEFAULTS, EVALUATIONS
from cl_condense.runs.evaluate_sets import evaluate_set
from cl_condense.runs.moments import checkpoints, iterations_of, path_after, reached
from cl_condense.runs.numbers_today import other_numbers
from cl_condense.runs.records import append, mend
from cl_condense.runs.single import POOLS, Job, Made, absent, make, write
from cl_condense.runs.tasks import Errand, Executor, News, Shared, Task, Tell


@dataclass(frozen=True)
class Scored:
    """The accuracies of a work, as a record."""

    record: Json

    lasts = True

    def plain(self) -> Scored:
        return self


@dataclass(frozen=True)
class SetWork:
    """A condensed set, in ``sets/``, and networks that are trained on it.

    Attributes:
        condense: how it is condensed.
        train: how networks are trained.
        device: where.
        checkpoints: iterations after which the set is kept too.
        after: that of them whose set it is; None: the set of the end.
    """

    condense: CondenseConfig
    train: TrainConfig
    device: str = "cpu"
    checkpoints: tuple[int, ...] = ()
    after: int | None = None

    def __str__(self) -> str:
        c = self.condense
        images = f"{c.ipc} image{'s' * (c.ipc != 1)} per class"
        after = f", after {self.after:,} iterations" if self.after else ""
        return f"{c.dataset}, {images}, {c.method}, {self.train.network}, seed {c.seed}{after}"

    def check(self, train: ImageSet, test: ImageSet) -> None:
        check_condensing(self.condense, train)
        check_training(self.train, train, test)

    def set_name(self) -> str:
        """File name of its set: the same for the same condensation, compiled or not: that is rounding."""
        return path_after(Path(self.makes()), self.after).name if self.after else self.makes()

    def identity(self) -> Json:
        return {"set": self.set_name(), **self.train.identity()}

    def beside(self, others: Sequence[Work]) -> SetWork:
        return self  # they are the same

    def accuracies(self, results: Sequence[Json]) -> list[list[float]]:
        return [r["accuracies"] for r in self._own(results)]

    def account(self, folder: Path, results: Sequence[Json]) -> Account:
        path = folder / "sets" / Path(self.set_name()).with_suffix(".json")
        scored = self._own(results)
        made = records.read_one(path, "take it and its set out") if scored else {}
        origins = [*scored, made] if scored else []
        return Account([made.get("seconds") for _ in scored], origins, [o.get("seconds") for o in origins])

    def kept(self, folder: Path) -> list[Json]:
        return []  # the scores of all sets lie in one file

    @contextmanager
    def opened(
        self,
        folder: Path,
        load: Load,
        executor: Executor,
        on_iteration: OnProgress | None = None,
        recorder: Recorder | None = None,
    ) -> Iterator[list[Task]]:
        data, curves = executor.share(load(self.condense.dataset)), recorder or Recorder()
        job, path = self.job(folder), folder / "sets" / self.set_name()

        def begin() -> Errand:
            if self._made(folder):
                return MakeAndScore(self, data, CondensedSet.load(path))
            absent(job)
            return MakeAndScore(self, data, None)

        def heard(news: News) -> None:
            if isinstance(news, Made):
                if not news.path(job).exists():
                    write(job, news)
            elif isinstance(news, Scored):
                curves.accuracies(self.scoring(), news.record["accuracies"])
                self._keep(folder, news.record)
            elif isinstance(news, Progress):
                curves(news)
                if on_iteration:
                    on_iteration(news)

        with writing(job.path):
            yield [Task(str(self), folder, begin, heard, data=data, device=self.device)]

    def job(self, folder: Path) -> Job:
        """What makes its set in a folder of results."""
        path, kept = folder / "sets" / self.makes(), self.checkpoints
        return Job(self.condense, path, device=self.device, pools=folder / POOLS, checkpoints=kept)

    def scoring(self) -> str:
        """What the training of its networks is called in curves."""
        return f"{Path(self.set_name()).stem}, {self.train.network} {digest(self.train.identity())}"

    def _keep(self, folder: Path, record: Json) -> None:
        mend(folder / "scores.jsonl")
        append(folder / "scores.jsonl", record)
        self.checkpoint(folder).remove()

    def checkpoint(self, folder: Path) -> Checkpoint:
        """Where the training of its networks goes on."""
        own = self.identity()
        return Checkpoint(folder / "checkpoints" / f"{digest(own)}.checkpoint", own, strict=False)

    def makes(self) -> str:
        return _set_name(self.condense, self.checkpoints)

    def pieces(self, folder: Path, costs: Costs) -> list[Piece]:
        job, scoring = self.job(folder), self._scoring(folder, costs)
        if self._made(folder):
            return [scoring]
        done, spent = job.done()
        left = costs.condensing()
        if done:  # by what it took so far, if no pool is in that; its last iterations may cost more
            before = costs.condensing(iterations=done)
            left = left - before if costs.pooled else spent * (left / before - 1)
        return [Piece(left, begun=done > 0), scoring]

    def _made(self, folder: Path) -> bool:
        """Whether its set is there.

        Raises:
            ValueError: where it was condensed by other numbers than it would be today.
        """
        path = folder / "sets" / self.set_name()
        if not path.exists():
            return False
        if other := other_numbers(CondensedSet.load(path).recipe, self.condense):
            raise ValueError(
                f"{path} was condensed by other numbers than {self.condense.method} has today: {other}; "
                "take it and its scores out to condense it anew, or give another --results"
            )
        return True

    def _scoring(self, folder: Path, costs: Costs) -> Piece:
        before = self.checkpoint(folder)
        if not before.share:
            return Piece(0.0, costs.training())
        return Piece(0.0, before.spent * (1 / before.share - 1), begun=True)

    def past(self, folder: Path, results: Sequence[Json], costs: Costs) -> list[Past]:
        found, method = [], self.condense.method
        for score, made in zip(self._own(results), self.account(folder, results).origins[-1:], strict=False):
            if made.get("seconds") and not costs.pooled:
                estimate = costs.condensing(iterations=self.after)
                found.append(Past(method, estimate, made["seconds"], made.get("device", "")))
            if score.get("seconds"):
                own = Past("training", costs.training(), score["seconds"], score.get("device", ""))
                found.append(own)
        return found

    def _own(self, results: Sequence[Json]) -> list[Json]:
        identity = self.identity()
        return [r for r in results if r["work"] == identity]


@dataclass(frozen=True)
class MakeAndScore:
    """A work as data: condenses its set, unless that is ``made``, and trains networks on it."""

    work: SetWork
    data: Shared
    made: CondensedSet | None

    def __call__(self, folder: Path, tell: Tell) -> None:
        """Tells what is Made, and what is Scored."""
        (train, test), work, made = self.data(), self.work, self.made

        def part(of: str) -> OnProgress:
            return lambda progress: tell(progress.part_of(of))

        if made is None:
            sets: dict[int | None, CondensedSet] = {}

            def keep(found: Made) -> None:
                tell(found)
                if found.after == work.after:
                    sets[found.after] = found.set

            job = work.job(folder)
            keep(make(job, placed(train, work.device), part(job.path.stem), keep=keep))
            made = sets[work.after]
        told, checkpoint = part(work.scoring()), work.checkpoint(folder)
        scored = evaluate_set(made, test, work.train, work.device, on_progress=told, checkpoint=checkpoint)
        tell(Scored({"work": work.identity(), **scored}))


@cache
def _set_name(c: CondenseConfig, kept: tuple[int, ...] = ()) -> str:
    own = digest(c.identity() | {"compiled": False} | ({"checkpoints": [*kept]} if kept else {}))
    return f"{c.dataset}-{c.method}-ipc{c.ipc}-seed{c.seed}-{own}.safetensors"


def condensed_once(cell: Cell) -> bool:
    """Whether a cell is an accuracy of a method that we have, on a data set with a budget, condensed anew."""
    return bool(cell.name and cell.ipc and cell.metric == "top1_acc_%" and cell.steps is None)


def set_works(cell: Cell, changes: Json, repetitions: int) -> list[SetWork]:
    """What such a cell needs: sets with seeds from 0, by the papers' protocol but for ``changes``."""
    way, augment = printed(cell), DEFAULTS.get(cell.dataset, {}).get("augment", CondenseConfig.augment)
    usual = {"dataset": cell.dataset, "depth": way.depth, "augment": augment, **changes}
    network = "convnet" if cell.condense_net == "selection" else cell.condense_net
    condense = CondenseConfig.of({"method": cell.name, "ipc": cell.ipc, "network": network, **usual})
    trained = {"networks": 5, "evaluation": way.evaluation, "epochs": EVALUATIONS[way.evaluation]}
    train = TrainConfig.of({**trained, "network": cell.eval_net, **usual})
    seeded = ((replace(condense, seed=i), replace(train, seed=i)) for i in range(repetitions))
    kept = checkpoints(condense, cell.moments) if cell.moments else ()
    after = reached(cell.after, iterations_of(condense)) if cell.after else None
    after = after if after in kept else None
    return [SetWork(*each, changes.get("device", "cpu"), kept, after) for each in seeded]

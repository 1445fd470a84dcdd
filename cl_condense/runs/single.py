"""Condensing a whole data set into files: resumable, with a record of how it was done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch

from cl_condense.common.checkpoint import Checkpoint
from cl_condense.common.devices import using_threads
from cl_condense.common.files import atomic, sweep, writable, writing
from cl_condense.common.foreign import reading
from cl_condense.common.numbers import whole
from cl_condense.common.peaks import peaks
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress, Progress, telling
from cl_condense.common.ranks import ALONE, Ranks
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.paper_settings import warn_borrowed
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.starting import with_kept
from cl_condense.data.imageset import ImageSet
from cl_condense.data.placing import lying
from cl_condense.data.preparation import Note, Preparation, read_as
from cl_condense.methods.condense import condense
from cl_condense.runs import config_file
from cl_condense.runs.beginning import Beginning, beginning, check_keeps
from cl_condense.runs.build import network_for
from cl_condense.runs.config import CondenseConfig, digest
from cl_condense.runs.moments import path_after
from cl_condense.runs.numbers_today import numbers_today, other_numbers
from cl_condense.runs.provenance import commit, origin
from cl_condense.runs.records import read_one

POOLS = "pools"
"""The folder of trained pools of networks, beside what is made with them."""


@dataclass(frozen=True)
class Job:
    """A standalone condensation and the files to write.

    Attributes:
        config: what the images depend on.
        path: of the set, a safetensors file; picture, record, options and checkpoint lie beside it.
        start: a set to go on from, with ``config.iterations`` more: exactly where its state is beside it and
            fits (``Beginning``), else from its images alone, with new random numbers.
        device: where to compute, for the record; the images lie there.
        data: folder of the data set's files, for the options that repeat it.
        preparation: how its images were prepared; the fingerprint in ``config`` is of what came out.
        notes: how its files were read; the record lists those that were skipped.
        pools: folder of trained pools of networks; None: ``pools`` beside the set.
        checkpoints: iterations after which the set is kept too, in files of its own (``path_after``);
            ascending, and before the last.
        only_new: the images of ``start`` stay as they are.
        keep_state: the checkpoint stays beside the set, so that another job goes on exactly.
    """

    config: CondenseConfig
    path: Path
    start: Path | None = None
    device: str = "cpu"
    data: Path | None = None
    preparation: Preparation = field(default_factory=Preparation)
    notes: tuple[Note, ...] = ()
    pools: Path | None = None
    checkpoints: tuple[int, ...] = ()
    only_new: bool = False
    keep_state: bool = False

    def files(self) -> dict[str, Path]:
        """What it writes at its end, by kind, and the checkpoint."""
        suffixes = {"set": "safetensors", "picture": "png", "record": "json", "options": "toml"}
        suffixes["checkpoint"] = "checkpoint"
        return {kind: self.path.with_suffix(f".{suffix}") for kind, suffix in suffixes.items()}

    def done(self) -> tuple[int, float]:
        """The iterations that a checkpoint has, and the seconds that they took.

        Raises:
            ValueError: for a checkpoint of other settings, and a damaged one.
        """
        before = self.checkpoint()
        done = (before.state or {}).get("iteration")  # a selection has none
        return (0, 0.0) if done is None else (int(done), before.spent)

    def checkpoint(self) -> Checkpoint:
        """Where it goes on; errors as ``done``."""
        own = self.identity() | {f"recipe.{k}": v for k, v in numbers_today(self.config).items()}
        found = Checkpoint(self.files()["checkpoint"], own, last=self.keep_state)
        with reading(found.path, "a checkpoint", "remove it to begin again") if found.state else nullcontext():
            losses = [[whole("iteration", i), float(loss)] for i, loss in found.notes.get("losses", [])]
            found.notes["losses"] = losses
        return found

    def finished(self) -> Json | None:
        """The record of the set that this job has made; None where it is still to be done.

        Raises:
            ValueError: for one that was condensed by other numbers than it would be today.
        """
        files, mine = self.files(), json.loads(json.dumps(self.identity()))
        record: Json = {}
        if files["set"].exists():
            with suppress(ValueError, OSError):  # then it is not known
                record = read_one(files["record"], "remove it")
        if not record or any(record.get(k, "nothing") != v for k, v in mine.items()):
            return None
        own = "" if self.start else other_numbers(record.get("recipe", {}), self.config)
        if own:
            raise ValueError(
                f"{self.path} was condensed by other numbers than {self.config.method} has today: {own}; "
                "give another --out to condense it anew"
            )
        return record

    def name(self) -> str:
        """What it is called where its curves go: no other job of the same path is called so."""
        return f"{self.path.stem}-{digest(self.identity())}"

    def identity(self) -> Json:
        """What has to be the same for an interrupted job to go on."""
        more: Json = {"checkpoints": [*self.checkpoints]} if self.checkpoints else {}
        more |= {name: True for name in ("only_new", "keep_state") if getattr(self, name)}
        return {**self.config.identity(), "start": self.start and str(self.start), **more}

    def options(self) -> Json:
        """The options of ``cl-condense condense`` that repeat it."""
        more = {"data": self.data, "from": self.start, "device": self.device, "pools": self.pools}
        own = config_file.options(self.config) | config_file.reading_options(self.preparation)
        kept: Json = {"checkpoints": ",".join(map(str, self.checkpoints))} if self.checkpoints else {}
        flags = {"only-new": self.only_new, "keep-state": self.keep_state}
        kept |= {k: True for k, given in flags.items() if given}
        return {**own, **{k: str(v) for k, v in more.items() if v}, **kept}

    def read(self) -> Json:
        """What a record says of how the data set was read; nothing where it was read as it is."""
        return read_as(self.preparation, self.notes)


@dataclass(frozen=True, eq=False)
class Made:
    """A set and its record, of which nothing is written yet; ``after`` so many iterations, None: all."""

    set: CondensedSet
    record: Json
    after: int | None = None

    lasts = True

    def path(self, job: Job) -> Path:
        """Where it belongs."""
        return job.path if self.after is None else path_after(job.path, self.after)

    def plain(self) -> Made:
        return self


Keep = Callable[[Made], None]
"""What gets the sets that are made on the way."""


def run(job: Job, real: ImageSet, on_iteration: OnProgress | None = None, ranks: Ranks = ALONE) -> Json:
    """Condenses, writes set, picture and record, and returns the record; an interrupted job goes on.

    Of several ranks the leader does it, and the others condense with it.

    Raises:
        ValueError: before any work, where the set is there already, a checkpoint is of other settings, another
            process writes the set, and where it cannot be written; for sets on the way of several ranks.
    """
    if job.checkpoints and ranks.size > 1:
        raise ValueError(f"--checkpoints on {ranks.size} ranks: leave it out, or take one process")
    absent(job)
    _begin(job, real)
    with writing(job.path):
        absent(job)  # another process may have been here since
        for file in job.files().values():
            sweep(file)
        made = make(job, real, on_iteration, ranks, partial(write, job))
        write(job, made)
        return made.record


def make(
    job: Job,
    real: ImageSet,
    on_iteration: OnProgress | None = None,
    ranks: Ranks = ALONE,
    keep: Keep = lambda made: None,
) -> Made:
    """Condenses, from where a checkpoint was left; writes nothing but that. ``keep`` gets the sets on the way.

    Raises:
        ValueError: for a budget or a checkpoint that does not fit.
    """
    c, begun, checkpoint = job.config, _begin(job, real), job.checkpoint()
    if isinstance(begun.method, Recipe):
        warn_borrowed(begun.method, c.dataset, c.ipc or 0)
    if begun.state:
        checkpoint.take_up(begun.state)
    commit()  # of the code that is loaded now

    def on_the_way(progress: Progress) -> None:
        after = progress.done - begun.before
        if progress.made and after in job.checkpoints:
            so_far = cast(CondensedSet, progress.made())
            keep(_made(job, real, so_far, begun, checkpoint=checkpoint, after=int(after)))

    with using_threads(checkpoint.threads or torch.get_num_threads()):
        made = condense(
            real,
            begun.method,
            ipc=c.ipc or 0,
            network=network_for(c, real.shape),
            seed=begun.seed,
            start=begun.start,
            only_new=job.only_new,
            # The set first: what ends the work in ``on_iteration`` goes on with the iteration after this.
            on_iteration=_noting(
                checkpoint.notes["losses"], telling(*filter(None, (on_the_way, on_iteration)))
            ),
            checkpoint=checkpoint,
            pools=job.pools or job.path.parent / POOLS,
            ranks=ranks,
        )
        found = _made(job, real, made, begun, checkpoint=checkpoint)
        return replace(found, record=found.record | ranks.record())


def _made(
    job: Job,
    real: ImageSet,
    found: CondensedSet,
    begun: Beginning,
    *,
    checkpoint: Checkpoint,
    after: int | None = None,
) -> Made:
    """A set as it is stored, and its record."""
    more = {} if after is None else {"after": after}
    made = found.coded(job.config.codec)
    if begun.start and job.only_new:
        made = with_kept(made, begun.start, real)
    made = replace(made, recipe={**made.recipe, **more})
    record = {
        **job.identity(),
        **more,
        **begun.record(),
        **job.read(),
        "recipe": made.recipe,
        "images": len(made),
        "bytes": made.nbytes,
        "losses": [*checkpoint.notes["losses"]],
        "seconds": round(checkpoint.seconds, 3),
        **lying(real),
        **peaks(job.device),
        **origin(job.device),
    }
    return Made(made, record, after)


def write(job: Job, made: Made) -> None:
    """Writes what a job has made; at its end its checkpoint goes away, unless the state is kept."""
    path = made.path(job)
    config_file.write(job.files()["options"], job.options())  # first: what lies beside them is of this job
    made.set.save_png(path.with_suffix(".png"))
    with atomic(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(made.record, indent=2) + "\n")
    made.set.save(path)  # last: where the set is, all is
    if made.after is None and not job.keep_state:
        job.checkpoint().remove()


def check_path(path: Path) -> None:
    """Raises ValueError for a path where no set can be written."""
    if path.suffix != ".safetensors":
        raise ValueError(f"--out {path}: name a .safetensors file")
    writable(path, "--out")


def absent(job: Job) -> None:
    """Raises ValueError where the set is there, and where files beside it are not of this job."""
    check_path(job.path)
    if os.path.lexists(job.path):
        raise ValueError(f"{job.path} is there already: give another --out, or --from it to go on")
    files = job.files()
    files |= {str(n): path_after(job.path, n) for n in job.checkpoints}
    there = [file for kind, file in files.items() if kind != "checkpoint" and os.path.lexists(file)]
    if there and not files["checkpoint"].exists() and not _begun(job):
        raise ValueError(f"{there[0]} is there already, and not of this set: give another --out")


def _begun(job: Job) -> bool:
    """Whether the options of this job are there, which are written before all else."""
    options = job.files()["options"]
    try:
        return options.exists() and config_file.read(options) == json.loads(json.dumps(job.options()))
    except ValueError:
        return False


def _noting(losses: list[list[float]], on_iteration: OnProgress) -> OnProgress:
    """What adds points to a loss curve, and tells ``on_iteration``."""

    def note(progress: Progress) -> None:
        if progress.loss is not None and progress.stage == "condensing" and progress.on_curve:
            losses.append([int(progress.done), float(progress.loss)])
        on_iteration(progress)

    return note


def _begin(job: Job, real: ImageSet) -> Beginning:
    """How it begins.

    Raises:
        ValueError: as ``beginning``, for a checkpoint that does not fit, and a state that is to be kept of what
            has none to go on from.
    """
    begun = beginning(job.config, real, job.start, only_new=job.only_new)
    if isinstance(begun.method, Recipe):
        if job.keep_state:
            check_keeps(begun.method)
        job.done()  # a checkpoint that cannot go on
    return begun

"""The real images of condensed sets, for a report that shows them beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cl_condense.common.devices import pick_device
from cl_condense.common.plain import Json
from cl_condense.common.progress import OnProgress
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.condensation.recipe import Recipe
from cl_condense.data import datasets
from cl_condense.data.imageset import ImageSet
from cl_condense.data.preparation import Preparation
from cl_condense.reports.html.measuring import Measured
from cl_condense.reports.html.probe import Probe, unwatched
from cl_condense.reports.html.results import FAULTS, Results, read_json
from cl_condense.reports.html.words import preparation_words
from cl_condense.runs.build import method_for
from cl_condense.runs.checks import fingerprint
from cl_condense.runs.config import CondenseConfig
from cl_condense.runs.defaults import DEFAULTS


@dataclass(frozen=True)
class Source:
    """A data set that condensed sets were made of.

    Attributes:
        train: its training images, on the CPU.
        mark: their fingerprint.
        probe: the network to look through.
        given: the options of the report, for its command.
        measured: what was measured so far, by name of the set.
    """

    train: ImageSet
    mark: str
    probe: Probe
    given: tuple[str, ...] = ()
    measured: dict[str, Measured] = field(default_factory=dict)

    def words(self, results: Results) -> list[str]:
        """What follows ``cl-condense report``."""
        return [results.folder.resolve().name, *self.given]


@dataclass(frozen=True)
class RealData:
    """The data sets that condensed sets were made of, by name and preparation; each read once."""

    sources: dict[str, Source]

    @staticmethod
    def of(
        results: Results,
        data: Path | None,
        device: str = "auto",
        watch: Callable[[str], OnProgress] | None = None,
    ) -> RealData:
        """Reads the data sets that the sets in a folder name.

        ``watch`` makes, from the name of a data set, what is told how far its decoding, the training of its
        network and the looks through it are.

        Raises:
            ValueError: for a data set that is not in ``data``, and a device that is not there.
        """
        where, given = pick_device(device), ("--figures", *(["--data", "DATA"] if data else []))
        sources = {}
        for key, (name, wanted) in sorted(_named(results.sets).items()):
            tell = watch(name) if watch else unwatched
            train, test = datasets.load(name, data, **wanted, on_progress=tell, on_note=lambda note: None)
            probe = Probe(train.to(where), test.to(where), DEFAULTS.get(name, {}).get("depth"), tell)
            sources[key] = Source(train, fingerprint(train), probe, given)
        return RealData(sources)

    def source(self, made: CondensedSet, record: Json) -> Source:
        """The data that a set was made of.

        Raises:
            ValueError: where the images are not those.
        """
        name = str(record["dataset"])
        if _key(record) not in self.sources:
            raise ValueError(f"its data set {name!r} is none that this package reads")
        source = self.sources[_key(record)]
        if record.get("data") and record["data"] != source.mark:
            raise ValueError(f"the images of {name} here are not those it was made of")
        real = source.train
        theirs = (made.class_ids, made.shape, made.mean, made.std)
        if theirs != (real.class_ids, real.shape, real.mean, real.std):
            raise ValueError(f"its classes, image size or normalisation are not those of {name}")
        return source


def started(real: ImageSet, record: Json) -> CondensedSet | None:
    """The images that a condensation started from, computed again as it did; None where it selected real ones.

    They follow from the real images, the recipe and the seed: ``recipe.synthetic.start`` draws by counter, the
    same on every device. The recipe is that of the installed version; where it starts otherwise than the one in
    the record, nothing is shown.

    Args:
        real: the images it was condensed from.
        record: as ``run`` leaves it, of a set that went on from no other.
    """
    config = CondenseConfig.of(record)
    method = method_for(config)
    if not isinstance(method, Recipe):
        return None
    recipe = method.settled(config.ipc or 0)
    if recipe.settings()["synthetic"] != record["recipe"]["synthetic"]:
        return None
    pixels = recipe.synthetic.start(real, config.ipc or 0, config.seed)
    return CondensedSet.of(real, pixels, recipe.settings(), config.seed, recipe.synthetic.factor)


def _named(sets: Sequence[Path]) -> dict[str, tuple[str, Json]]:
    """The data sets that records name and how they were prepared; a record without is listed elsewhere."""
    found = {}
    for path in sets:
        try:
            record = read_json(path.with_suffix(".json"))
            wanted = Preparation.of(**record.get("preparation", {})).given()
            if record["dataset"] in datasets.NAMES:
                found[_key(record)] = (str(record["dataset"]), wanted)
        except (*FAULTS, TypeError):
            continue
    return found


def _key(record: Json) -> str:
    return " ".join([str(record["dataset"]), *preparation_words(record)])

"""How many classes go through the network together, on a device whose memory runs out."""

import pytest
import torch

from cl_condense.condensation import engine
from cl_condense.condensation.chunks import chunks, few, fitting, memory_of
from cl_condense.condensation.engine import Condensation
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet

NETWORK = MakeConvNet((1, 8, 8), width=4)


def problem(counts=(9,) * 7):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (sum(counts), 1, 8, 8), dtype=torch.uint8, generator=generator)
    return ImageSet.of(images, torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)))


class Counted:
    """A memory of so many classes, above what is there in any case."""

    def __init__(self, classes):
        self.classes, self.asked, self.now = classes, [], 0

    def free(self):
        return 100 * self.classes

    def peak(self, work):
        self.now = 0
        work()
        self.asked.append(self.now)
        return 7 + 100 * self.now

    def take(self, classes):
        self.now = max(self.now, classes)
        if classes > self.classes:
            raise torch.cuda.OutOfMemoryError


@pytest.fixture
def limited(monkeypatch):
    """Makes condensation believe in a memory that holds so many classes at once."""

    def limit(classes, known=True):
        memory, accumulate = Counted(classes), Condensation._accumulate

        def watched(job, part, *rest):
            memory.take(len(part.class_ids))
            return accumulate(job, part, *rest)

        monkeypatch.setattr(Condensation, "_accumulate", watched)
        monkeypatch.setattr(engine, "memory_of", lambda device: memory if known else None)
        return memory

    return limit


@pytest.mark.parametrize(
    ("classes", "budget", "fit"), [(7, 2, 1), (7, 5, 2), (7, 9, 4), (7, 17, 7), (1, 99, 1)]
)
def test_what_fits_takes_at_most_half_of_the_free_memory(classes, budget, fit):
    memory = Counted(budget)
    assert fitting(memory.take, classes, memory) == fit
    assert memory.asked == [n for n in (1, 2, 4) if n < min(2 * fit, classes)]
    assert fit == 1 or memory.peak(lambda: memory.take(fit)) <= memory.free() / 2


def test_more_that_turns_out_not_to_fit_is_not_taken():
    memory = Counted(3)
    memory.free = lambda: 10**6
    assert fitting(memory.take, 7, memory) == 2
    memory.classes = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        fitting(memory.take, 7, memory)


@pytest.mark.parametrize("name", ["ddm", "idm", "dc"])
def test_a_condensation_finds_what_fits_and_its_images_stay_the_same(limited, name):
    recipe, options = build(name, iterations=2, real_per_class=5), {"ipc": 1, "network": NETWORK}
    want = condense(problem(), recipe, **options, chunk=2).pixels
    memory = limited(5)
    job = Condensation(problem(), recipe, **options)
    job.step()
    assert memory.asked == [1, 2]
    assert {len(part.class_ids) for part in job._chunks} == {2, 1}
    job.step()
    assert memory.asked == [1, 2]
    assert torch.equal(job.result().pixels, want)


def test_classes_become_fewer_where_memory_runs_out_in_between(limited):
    recipe = build("dm", iterations=4, real_per_class=5).reusing(2)
    options = {"ipc": 1, "network": NETWORK}
    want = condense(problem(), recipe, **options, chunk=1).pixels
    memory = limited(7, known=False)
    job = Condensation(problem(), recipe, **options)
    job.step()
    memory.classes = 2
    for _ in range(3):
        job.step()
    assert max(len(part.class_ids) for part in job._chunks) == 1
    torch.testing.assert_close(job.result().pixels, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("name", "words"), [("dm", "one class of 5"), ("dcc", "7 classes, which it takes together")]
)
def test_too_little_memory_is_one_line_with_what_to_do(limited, name, words, known):
    limited(0, known)
    with pytest.raises(ValueError, match=words) as error:
        condense(problem(), build(name, iterations=2, real_per_class=5), ipc=1, network=NETWORK)
    assert "lower real_per_class" in str(error.value)
    assert "\n" not in str(error.value)


def test_every_class_is_in_one_chunk_with_as_many_images_as_it_gives():
    real = problem((9, 3, 9, 3, 70))
    found = chunks(real, 256, 2)
    assert [(part.images, part.class_ids) for part in found] == [(3, (1, 3)), (9, (0, 2)), (80, (4,))]
    assert [part.size() for part in found] == [6, 18, 80]
    together = chunks(real, 256, 2, joint=True)
    assert [(part.images, part.class_ids) for part in together] == [(80, (0, 1, 2, 3, 4))]
    assert (few(real, 256, 10), few(real, 5, 3), few(real, 10**6, 10**6)) == (7, 80, 1)


def test_a_cpu_takes_few_images_at_once_instead():
    assert memory_of(torch.device("cpu")) is None

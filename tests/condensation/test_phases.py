"""A noisy start and a quiet end: the engine on both sides of the boundary."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.optimizer import PixelStep
from cl_condense.condensation.paper_settings import Tuned
from cl_condense.condensation.phases import Phase, Quiet
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet

METHODS = ["dm", "ddm", "datadam", "m3d"]
"""Of several kinds: means, style, attention, class steps with clamped pixels."""

QUIET = Quiet(0.5, 0.1, 8)


def problem(per_class=12):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3 * per_class, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return ImageSet.of(images, torch.arange(3).repeat_interleave(per_class))


def recipe(name="dm", quiet=QUIET, iterations=10, reuse=1, **changes):
    made = build(name, iterations=iterations, real_per_class=4, **changes)
    return replace(made, quiet=quiet).reusing(reuse)


def job(made, real=None, **options):
    real = problem() if real is None else real
    return Condensation(real, made, ipc=2, network=MakeConvNet(real.shape, width=4), **options)


def finish(work):
    while work.iteration < work.iterations:
        work.step()
    return work.result().pixels


def test_the_quiet_end_is_the_share_of_the_iterations():
    made = build("dm", iterations=2500)
    assert made.settled(10).phases() == (Phase(0, 2500, 256),)
    quiet = replace(made, real_per_class=64, quiet=Quiet(0.16, 0.1, 256)).settled(10)
    assert quiet.phases() == (Phase(0, 2100, 64), Phase(2100, 2500, 256, 0.1))
    found = [quiet.phase(i).real_per_class for i in (0, 2099, 2100, 2499, 2500)]
    assert found == [64, 64, 256, 256, 256]


@pytest.mark.parametrize(("iterations", "share", "found"), [(2, 0.16, [2]), (1, 0.9, [1]), (3, 0.5, [1, 2])])
def test_a_phase_without_iterations_is_none(iterations, share, found):
    made = replace(build("dm", iterations=iterations), quiet=Quiet(share, 0.5, 8)).settled(1)
    assert [phase.stop - phase.start for phase in made.phases()] == found


def test_a_quiet_number_may_be_chosen_by_the_budget():
    quiet = replace(QUIET, real_per_class=Tuned((("cifar10", 1, 16), ("cifar10", 10, 32))))
    made = replace(build("dm", "cifar10"), quiet=quiet)
    assert [made.settled(ipc).phases()[-1].real_per_class for ipc in (1, 10)] == [16, 32]


@pytest.mark.parametrize(("name", "reuse"), [*((n, r) for n in METHODS for r in (1, 4)), ("idm", 1)])
def test_an_interruption_around_the_boundary_ends_bit_equal(name, reuse):
    made = recipe(name, reuse=reuse)
    whole, states = job(made), {}
    for at in (1, 4, 5, 6, 9):
        while whole.iteration < at:
            whole.step()
        states[at] = {k: v.clone() for k, v in whole.state().items()}
    expected = finish(whole)
    for at, state in states.items():
        again = job(made)
        again.restore(state)
        assert again.iteration == at
        assert torch.equal(finish(again), expected), f"interrupted after {at}"


def test_more_real_images_and_the_lower_rate_come_at_the_boundary(monkeypatch):
    rates, batches = [], []
    step, batch = PixelStep.__call__, Condensation._batch

    def stepping(self, *where, **how):
        step(self, *where, **how)
        rates.append(self._sgd.param_groups[0]["lr"])

    def drawing(self, part, warp, number):
        found = batch(self, part, warp, number)
        batches.append((self.iteration, found.shape[1]))
        return found

    monkeypatch.setattr(PixelStep, "__call__", stepping)
    monkeypatch.setattr(Condensation, "_batch", drawing)
    finish(job(recipe(reuse=4, halvings=(0.7,))))
    assert rates == pytest.approx([1] * 5 + [0.1] * 2 + [0.05] * 3)
    assert batches == [(0, 4), (4, 4), (5, 8), (8, 8)]  # what was kept of 4 images is no match for 8


def test_the_end_of_a_class_step_method_has_its_joint_rate_lowered():
    loud, quiet = (job(recipe("m3d", quiet=q, iterations=2)) for q in (None, Quiet(0.9, 0.5, 4)))
    before = quiet._learned._pixels.clone()
    for work in (loud, quiet):
        work.step()
    step, pixels = loud._learned._step, loud._learned._pixels
    inside = (pixels > step._black) & (pixels < step._white)
    moved = [(work._learned._pixels - before)[inside] for work in (loud, quiet)]
    torch.testing.assert_close(moved[1], moved[0] / 2)


@pytest.mark.parametrize("name", ["dm", "ddm", "datadam"])
def test_the_images_of_a_class_do_not_depend_on_the_others_with_a_quiet_end(name):
    real, made = problem(), recipe(name, iterations=4)
    options = {"ipc": 2, "network": MakeConvNet(real.shape, width=4)}
    together = condense(real, made, **options)
    for c in (0, 1, 2):
        alone = condense(real.only([c]), made, **options).pixels
        torch.testing.assert_close(together.only([c]).pixels, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 2])
def test_the_images_do_not_depend_on_the_classes_of_a_forward_pass(chunk):
    parts = [finish(job(recipe("ddm", iterations=4), chunk=n)) for n in (chunk, 3)]
    torch.testing.assert_close(*parts, rtol=1e-4, atol=1e-4)


def test_a_quiet_end_of_the_same_rate_and_images_changes_nothing():
    made = recipe(reuse=5)
    same = replace(made, quiet=Quiet(0.5, 1.0, 4))
    assert torch.equal(finish(job(replace(made, quiet=None))), finish(job(same)))


def test_each_phase_is_measured_for_its_own_number_of_real_images(monkeypatch):
    class Device:
        """Room for 12 real images at once."""

        def free(self):
            return 2 * 12

        def peak(self, work):
            taken.clear()
            work()
            return max(taken)

    taken, sizes = [], []
    monkeypatch.setattr("cl_condense.condensation.engine.memory_of", lambda device: Device())
    work = job(recipe(iterations=4))
    accumulate = Condensation._accumulate

    def counting(self, part, terms, looks):
        taken.append(part.size())
        return accumulate(self, part, terms, looks)

    monkeypatch.setattr(Condensation, "_accumulate", counting)
    while work.iteration < work.iterations:
        work.step()
        sizes.append(max(len(part.class_ids) for part in work._chunks))
    assert sizes == [2, 2, 1, 1]  # twice as many classes would be 16 real images, in both phases
    assert work._memory is None


def test_a_memory_too_small_for_the_quiet_end_names_its_number_of_images(monkeypatch):
    work = job(recipe(iterations=2))
    work.step()

    def full(self, part, terms, looks):
        raise torch.cuda.OutOfMemoryError("full")

    monkeypatch.setattr(Condensation, "_accumulate", full)
    with pytest.raises(ValueError, match=r"too small for one class of 8 real images: lower real_per_class"):
        work.step()


BAD = [
    *[("share", value) for value in (0, 1, -0.1, 1.5, math.nan, math.inf, True, "half", None)],
    *[("rate", value) for value in (0, -1, 1.5, math.nan, math.inf, True, "low", None)],
    *[("real_per_class", value) for value in (0, -1, 1.5, math.nan, True, "256", None)],
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_number_without_sense_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}.*: give a (finite|whole) number"):
        Quiet(**{"share": 0.5, "rate": 0.1, "real_per_class": 8, name: value})


def test_scalars_of_other_packages_are_numbers():
    assert Quiet(np.float64(0.5), torch.tensor(0.1), np.int64(8)) == Quiet(0.5, float(torch.tensor(0.1)), 8)


def test_settings_have_it_as_plain_data():
    assert recipe().settings()["quiet"] == {"kind": "Quiet", "share": 0.5, "rate": 0.1, "real_per_class": 8}
    assert build("dm").settings()["quiet"] is None

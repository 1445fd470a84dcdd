"""Images that are too many for a GPU: they stay on the host, nothing waits, and results are the same."""

from dataclasses import replace

import pytest
import torch

from cl_condense.common import peaks
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.sources.pool import BlendedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import DynamicLoop, RealTraining
from cl_condense.data import ahead, placing
from cl_condense.data.imageset import ImageSet
from cl_condense.data.placing import lying, placed
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.training.evaluate import score
from cl_condense.training.protocol import Training

NETWORK = MakeConvNet((3, 8, 8), 4)
SMALL = {
    BlendedPool: {"size": 2, "epochs": 1},
    ModelQueue: {"push_every": 2, "train_steps": 2, "batch": 8, "size": 4},
    RealTraining: {"images": 16, "steps": 3},
    DynamicLoop: {"window": 2, "epochs": 2, "real_per_class": 4},
}


def images():
    """Two classes of unequal numbers, in a mixed order."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (21, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return ImageSet.of(pixels, [3, 7] * 9 + [7] * 3)


def condensation(name, real=None):
    recipe = build(name, iterations=10, real_per_class=4)
    source = replace(recipe.source, **SMALL.get(type(recipe.source), {}))
    recipe = replace(recipe, source=source, syn_per_class=recipe.syn_per_class and 3)
    return Condensation(images() if real is None else real, recipe, ipc=2, network=NETWORK)


class AtOnce:
    """Does what it is given in the thread that gives it: of the stand-in no other knows."""

    def __init__(self, *args):
        pass

    def submit(self, work, *args):
        found = work(*args)

        class Done:
            def result(self):
                return found

        return Done()


@pytest.fixture
def gpu(load, monkeypatch):
    monkeypatch.setattr(ahead, "ThreadPoolExecutor", AtOnce)
    with load("stand_in").StandIn() as device:
        yield device


def bound(device, real=None):
    real = images() if real is None else real
    return replace(real, store=real.store.bound_for(torch.device(device)))


@pytest.mark.parametrize(("free", "where"), [(2, "on the device"), (1.99, "in memory")])
def test_half_of_the_free_memory_may_be_images(gpu, monkeypatch, free, where):
    real = images()
    monkeypatch.setattr(placing, "free_bytes", lambda device: int(free * real.store.nbytes))
    found = placed(real, "cuda")
    assert lying(found) == {"images_lay": where}
    assert found.device == gpu.device
    assert found.take(found.every()).cpu().equal(real.take(real.every()))


@pytest.mark.parametrize("name", ["dm", "ddm", "idm", "dance", "idc"])
def test_a_steady_iteration_does_not_wait_for_them(gpu, name):
    ours = condensation(name)
    for _ in range(3):
        ours.step()
    job = condensation(name, bound(gpu.device))
    job.step()
    gpu.clear()
    job.step()
    job.step()
    assert not gpu.waits
    torch.testing.assert_close(job.result().pixels, ours.result().pixels, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["cafe", "herding", "forgetting", "random"])
def test_what_looks_at_all_of_them_finds_the_same(gpu, name):
    if name == "cafe":
        job, ours = condensation(name, bound(gpu.device)), condensation(name)
        for _ in range(2):
            job.step(), ours.step()
        torch.testing.assert_close(job.result().pixels, ours.result().pixels, rtol=1e-3, atol=1e-3)
        return
    method = build(name)
    method = method.with_settings(iterations=2) if method.iterations else method
    here, there = (condense(r, method, ipc=3, network=NETWORK) for r in (images(), bound(gpu.device)))
    assert torch.equal(here.pixels, there.pixels)


def test_networks_train_on_them_and_are_tested(gpu):
    protocol = {"network": NETWORK, "training": Training(2, batch_size=8), "networks": 2, "keys": (0,)}
    found = [score(r, r.labels, r, **protocol).cpu() for r in (images(), bound(gpu.device))]
    torch.testing.assert_close(*found, rtol=0, atol=0.1)


def test_a_peak_outlasts_the_measuring_of_another(gpu, monkeypatch):
    now = {"peak": 700}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=0: now["peak"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device=0: now.update(peak=0))
    monkeypatch.setattr(peaks, "_before", {})
    assert peaks.taken_by(lambda: now.update(peak=300), gpu.device) == 300
    assert peaks.peaks(gpu.device)["device_peak_bytes"] == 700

"""What runs on a GPU, on one that is not there (benchmarks/stand_in.py), and on one that is: no waits.

Values are compared with those of a CPU, for which the code has other branches.
"""

from dataclasses import replace

import pytest
import torch
from real_gpu import RealGpu
from torch import nn

from cl_condense.common.checkpoint import State
from cl_condense.common.devices import upload
from cl_condense.condensation.codecs import CODECS
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.recipe import Recipe
from cl_condense.condensation.sources.pool import BlendedPool, TrainedPool
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import DynamicLoop, InnerLoop, RealTraining
from cl_condense.condensation.sources.trajectories import Trajectories
from cl_condense.condensation.sources.unrolled import Unrolled
from cl_condense.data.imageset import ImageSet
from cl_condense.memory.class_memory import ClassMemory
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import BASES, COMPOSED, build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.registry import architecture
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import fresh_networks, predict, score
from cl_condense.training.protocol import Training
from cl_condense.training.train import TrainJob, train, train_together
from cl_condense.training.trainers import TRAINERS, lesson

SHAPE = (3, 8, 8)
NETWORK = MakeConvNet(SHAPE, 4)
NAMED = [*BASES, *COMPOSED]
RECIPES = [name for name in NAMED if isinstance(build(name), Recipe)]
CORESETS = [name for name in NAMED if name not in RECIPES]
# A name or two of each file of modifiers that no named method has.
MODIFIED = ["idm+meter", "idm+pixels", "idm+m3d", "dm+cf", "dm+pool+calibration", "dm+sam1", "cafe+dsa"]
MODIFIED += ["dm+moment2+moment3", "m3d@steps=1"]

# cafe's networks train for as long as accuracies say; eigenvectors come from a solver that may fail.
WAIT = {"cafe": {"training.py"}, "cafe+dsa": {"training.py"}, "later_ddm": {"style.py"}}

SMALL = {
    TrainedPool: {"size": 2, "epochs": 1},
    BlendedPool: {"size": 2, "epochs": 1},
    ModelQueue: {"push_every": 2, "train_steps": 2, "batch": 8, "size": 4},
    RealTraining: {"images": 16, "steps": 3},
    InnerLoop: {"outer": 3, "inner": 1},
    Trajectories: {"size": 2, "epochs": 3, "starts": 2, "ahead": 2},
    DynamicLoop: {"window": 2, "epochs": 2, "real_per_class": 4},
}


def small(name):
    """A method with networks that train a moment, and come and go within few iterations."""
    recipe = build(name, iterations=10, real_per_class=4)

    def less(source):
        own = {"source": less(source.source), "unroll": 2} if isinstance(source, Unrolled) else {}
        return source and replace(source, **(own or SMALL.get(type(source), {})))

    terms = tuple(replace(term, source=less(term.source)) for term in recipe.terms)
    some = recipe.syn_per_class and 3
    return replace(recipe, source=less(recipe.source), terms=terms, syn_per_class=some)


def images(each=9, device="cpu", ids=(3, 7)):
    """Two classes of unequal numbers."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (2 * each + 3, *SHAPE), dtype=torch.uint8, generator=generator)
    return ImageSet.of(pixels, [ids[0]] * each + [ids[1]] * (each + 3)).to(device)


def condensation(name, device="cpu"):
    recipe = small(name)
    real = images(device=device, ids=(0, 1) if recipe.labels else (3, 7))
    return Condensation(real, recipe, ipc=2, network=NETWORK)


def host(state: State) -> State:
    return {name: value.cpu() for name, value in state.items()}


@pytest.fixture(params=["stand-in", "cuda"] if torch.cuda.is_available() else ["stand-in"])
def entering(request, load):
    """Makes a GPU that is there within a block."""
    return RealGpu if request.param == "cuda" else load("stand_in").StandIn


@pytest.fixture
def gpu(entering):
    with entering() as device:
        yield device


@pytest.mark.parametrize("name", [*RECIPES, *MODIFIED])
def test_a_steady_iteration_is_on_the_gpu_and_does_not_wait_for_it(entering, name):
    ours = condensation(name)
    for _ in range(3):
        ours.step()
    with entering() as gpu:
        job = condensation(name, gpu.device)
        job.step()
        gpu.clear()
        job.step()
        job.step()
        waits, found = [*gpu.waits], job.result().pixels
    assert {wait.split(":")[-2].strip() for wait in waits} == WAIT.get(name, set())
    torch.testing.assert_close(found.cpu(), ours.result().pixels, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["dm", "idm", "dance", "iid", "dc", "cafe", "idc"])
def test_a_condensation_on_the_gpu_goes_on_from_a_file(gpu, name):
    ours, other = condensation(name, gpu.device), condensation(name, gpu.device)
    ours.step()
    other.restore(host(ours.state()))
    losses, sets = [ours.step().cpu(), other.step().cpu()], [ours.result().pixels, other.result().pixels]
    real = isinstance(gpu, RealGpu)  # where sums are added up in no order of their own
    near = {"rtol": 1e-3, "atol": 1e-3} if real else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(*losses, **near)
    torch.testing.assert_close(*sets, **near)


@pytest.mark.parametrize("name", CORESETS)
def test_coresets_select_the_same_images_on_the_gpu(gpu, name):
    method = build(name)
    method = method.with_settings(iterations=2) if method.iterations else method
    here = condense(images(), method, ipc=3, network=NETWORK)
    there = condense(images(device=gpu.device), method, ipc=3, network=NETWORK)
    torch.testing.assert_close(here.pixels, there.pixels, rtol=1e-5, atol=1e-5)  # of the same images


def weighted(device):
    real = images(device=device)
    return replace(real, weights=torch.arange(1.0, len(real) + 1).to(device))


@pytest.mark.parametrize("method", ["random", "herding", "dm"])
def test_images_of_a_memory_have_weights_on_the_gpu_too(gpu, method):
    changes = {"real_per_class": 4} if method == "dm" else {}
    changes |= {} if method == "random" else {"iterations": 2}
    sets = [weighted(device) for device in ("cpu", gpu.device)]
    here, there = (condense(each, method, ipc=2, network=NETWORK, **changes) for each in sets)
    torch.testing.assert_close(here.pixels, there.pixels, rtol=1e-4, atol=1e-4)


def watching(gpu, waits):
    """Puts down what waits in a mini-batch; the first one may."""

    def on_progress(progress):
        if waits is not None and (found := gpu.waits):
            waits.append([*found])
        gpu.clear()

    gpu.clear()
    return on_progress


def taught(name, device, on_progress=None):
    """Logits of a trainer's networks after two steps of a stream."""
    trainer, before, real = TRAINERS[name], [], images(device=device)
    training = trainer.training(Training(2, batch_size=4, augment=DSA()), DSA().strategy)
    for seen in ((3,), (3, 7)):
        part = real.only(seen)
        x = part.take(torch.arange(len(part), device=device))
        outputs = trainer.outputs((3, 7), seen)
        job = lesson(trainer, x, part.labels, outputs, make=NETWORK, networks=2, keys=(0,), before=before)
        train_together([job], training, on_progress)
        before = [*job.nets]
    return torch.stack([net(x).detach() for net in before]).cpu()


@pytest.mark.parametrize("name", TRAINERS)
def test_a_mini_batch_of_a_trainer_does_not_wait(gpu, name):
    waits = []
    there = taught(name, gpu.device, watching(gpu, waits))
    assert len(waits) == 2, waits  # before the first mini-batch of each step of the stream
    assert all("train.py" not in wait for step in waits for wait in step)
    torch.testing.assert_close(there, taught(name, "cpu"), rtol=1e-3, atol=1e-4)


def learners(kind, device):
    normed = architecture("convnet_bn", SHAPE, width=4)
    make = {"joined": NETWORK, "batch norm": normed, "dropout": dropped}[kind]
    return fresh_networks(lambda: make(2), 2, keys=(0,), device=device)


def dropped(classes):
    return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, classes))


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("kind", ["joined", "batch norm", "dropout"])
def test_mini_batches_of_all_kinds_of_networks_and_labels_do_not_wait(gpu, kind, soft):
    waits, found = [], []
    training = Training(2, batch_size=8, augment=DSA("color_crop", every=True), cutmix=0.5)
    for device in (gpu.device, "cpu"):
        real = images(device=device)
        x = real.take(torch.arange(len(real), device=device))
        y = torch.eye(2)[real.targets.cpu()].to(device) if soft else real.targets
        nets = learners(kind, device)
        states = torch.get_rng_state(), torch.cuda.get_rng_state()
        kept = waits if device == gpu.device else None
        train(nets, x, y, training, keys=(0,), on_progress=watching(gpu, kept))
        assert torch.equal(states[0], torch.get_rng_state())
        assert torch.equal(states[1], torch.cuda.get_rng_state())
        found.append(torch.stack([net(x).detach() for net in nets]).cpu())
    assert not waits
    if kind != "dropout":  # which draws from another generator there
        torch.testing.assert_close(*found, rtol=1e-2, atol=1e-3)


def test_compiled_networks_train_side_by_side_as_they_do_without_it(gpu):
    if not isinstance(gpu, RealGpu):
        pytest.skip("torch.compile makes code for a GPU that is there")
    found, x = [], torch.randn(10, 3, 16, 16, device=gpu.device)
    for through in (False, True):
        nets = fresh_networks(lambda: MakeConvNet((3, 16, 16), 8)(2), 3, keys=(0,), device=gpu.device)
        protocol = Training(3, batch_size=6, compiled=through)
        train(nets, x, torch.arange(10, device=gpu.device) % 2, protocol, keys=(0,))
        found.append(torch.stack([net(x).detach() for net in nets]))
    torch.testing.assert_close(*found, rtol=1e-2, atol=1e-2)
    assert not torch.equal(*found), "nothing was compiled"


def test_jobs_of_several_class_orders_train_together_without_waiting(gpu):
    waits, real = [], images(device=gpu.device)
    x = real.take(torch.arange(len(real), device=gpu.device))
    jobs = [TrainJob(learners("joined", gpu.device), x, real.targets, (0, i)) for i in (1, 2)]
    train_together(jobs, Training(2, batch_size=8, augment=DSA(), cutmix=0.5), watching(gpu, waits))
    assert not waits


def test_an_evaluation_waits_for_no_mini_batch(gpu):
    waits, found = [], []
    for device in (gpu.device, "cpu"):
        test = images(300, device)
        x, y = test.take(torch.arange(16, device=device)), test.labels[::38].contiguous()
        options = {"network": NETWORK, "training": Training(2, batch_size=8), "networks": 2, "keys": (0,)}
        tell = watching(gpu, waits if device == gpu.device else None)
        found.append(score(x, y, test, **options, on_progress=tell).cpu())
    torch.testing.assert_close(*found, rtol=0, atol=0.01)
    assert len(waits) == 2, waits  # before the first mini-batch, and before the first of two parts of the test
    assert not any("train.py" in wait for each in waits for wait in each)


# Of each file of networks that needs no minute for its weights.
@pytest.mark.parametrize("name", ["convnet_swish_bn", "resnet18_bn", "resnet_ap10", "mlp", "lenet"])
def test_networks_answer_on_the_gpu_without_waiting(gpu, name):
    width = {} if name in ("mlp", "lenet") else {"width": 4}
    make, x = architecture(name, (3, 32, 32), **width), torch.randn(2, 3, 32, 32)
    here, there = (fresh_networks(lambda: make(2), 1, keys=(0,), device=d) for d in ("cpu", gpu.device))
    on_gpu = x.to(gpu.device)
    gpu.clear()
    found = predict(there, on_gpu)
    assert not gpu.waits
    torch.testing.assert_close(found.cpu(), predict(here, x), rtol=1e-3, atol=1e-4)


def test_a_memory_on_the_gpu_holds_what_one_on_a_cpu_does(gpu):
    held = []
    for device in ("cpu", "cuda"):
        memory = ClassMemory(4, method="dm", iterations=2, network=NETWORK, device=device)
        for seen in ((3,), (7,), (3,)):
            memory.update(images().only(seen))
        held.append(memory.condensed.decode())
    torch.testing.assert_close(*(images for images, _ in held), rtol=0.03, atol=0.03)  # of 8 bits
    assert torch.equal(*(labels for _, labels in held))


@pytest.mark.parametrize("name", CODECS)
def test_codecs_store_on_the_gpu_what_they_do_on_a_cpu(gpu, name):
    codec, pixels = CODECS[name], torch.randn(4, *SHAPE)
    here, there = codec.encode(pixels), codec.encode(pixels.to(gpu.device))
    assert all(torch.equal(value, there[key].cpu()) for key, value in here.items())
    torch.testing.assert_close(codec.decode(here), codec.decode(there).cpu(), rtol=1e-5, atol=1e-5)


def test_whole_numbers_and_constants_of_images_go_up_without_a_wait(gpu):
    real = images(device=gpu.device)
    index = torch.arange(3, device=gpu.device)
    first = real.take(index)
    gpu.clear()
    assert torch.equal(real.take(index).cpu(), first.cpu())
    assert upload([[1, 2], [3, 4]], gpu.device).cpu().tolist() == [[1, 2], [3, 4]]
    assert len(gpu.waits) == 3, gpu.waits  # for what is compared here

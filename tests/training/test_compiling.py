"""Views through torch.compile are those without it, and go on where it fails."""

import shutil
from dataclasses import replace

import pytest
import torch

from cl_condense.common.devices import using_threads
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.view import View, see, statistics_of
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.registry import build
from cl_condense.networks import joined
from cl_condense.networks.convnet import ConvNet, MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training import compiling, passes
from cl_condense.training.compiling import compiled
from cl_condense.training.protocol import Training
from cl_condense.training.train import train

compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile wants a compiler"
)


@compiler
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_features_statistics_and_gradients_are_those_without_it(precision, near):
    torch.manual_seed(0)
    net = ConvNet((3, 16, 16), 4, width=16, depth=2).requires_grad_(False)
    read = statistics_of(term.objective for term in build("ddm").terms)
    x, seen = torch.randn(2, 5, 3, 16, 16), []
    for through in (see, compiled(see)):
        leaf = x.clone().requires_grad_()
        view = View(net, leaf, statistics=read, precision=precision, see=through)
        found = [view.embedding, view.logits, *(b for s in read for b in view.blocks(s))]
        gradient = torch.autograd.grad(sum(f.square().sum() for f in found), leaf)[0]
        seen.append([*found, gradient])
    for a, b in zip(*seen, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).norm() <= near * a.norm()
    assert any(bool((a != b).any()) for a, b in zip(*seen, strict=True)), "nothing was compiled"


def waves(x):
    return (x.sin() + 1).sqrt()


@compiler
@pytest.mark.slow
def test_code_that_is_kept_is_for_the_number_of_threads_that_it_was_made_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    x, made = torch.rand(100_000), []
    for threads in (2, 1):
        torch._dynamo.reset()  # as a later process has it
        with using_threads(threads):
            compiled(waves)(x)
        made.append({file: file.read_text() for file in tmp_path.rglob("*.cpp")})
    first, both = made
    assert [code for code in first.values() if "num_threads(2)" in code]
    later = [code for file, code in both.items() if file not in first]
    assert later
    assert not [code for code in later if "num_threads(2)" in code]


def test_memory_that_runs_out_is_no_failure_of_the_compiler(monkeypatch):
    def full(function, **options):
        def run(*args):
            raise torch.cuda.OutOfMemoryError

        return run

    monkeypatch.setattr(compiling.torch, "compile", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        compiled(see)(None, None, (), "float32")


def test_a_compiler_that_fails_is_said_once_and_done_without(monkeypatch):
    def broken(function, **options):
        def run(*args):
            raise RuntimeError("no C++ compiler\nand more")

        return run

    monkeypatch.setattr(compiling.torch, "compile", broken)
    images = torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8)
    real = ImageSet.of(images, torch.arange(2).repeat_interleave(6))
    recipe = replace(build("ddm"), iterations=2, real_per_class=4)
    options = {"ipc": 2, "network": MakeConvNet(real.shape, 4)}
    plain, other = (Condensation(real, replace(recipe, compiled=c), **options) for c in (False, True))
    with pytest.warns(UserWarning, match="going on without it: no C") as said:
        losses = [other.step() for _ in range(2)]
    assert len(said) == 1
    assert losses == [plain.step() for _ in range(2)]
    assert torch.equal(plain.result().pixels, other.result().pixels)


@compiler
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-4), ("bfloat16", 0.02)])
def test_networks_train_compiled_as_they_do_without_it(precision, near):
    images = 35  # in two parts, of which the last is filled up
    x, y = torch.randn(images, 3, 32, 32, generator=torch.manual_seed(0)), torch.arange(images) % 3
    nets, found = [], []
    for through in (False, True):
        nets.append([MakeConvNet((3, 32, 32), width=8, depth=2)(3) for _ in range(2)])
        for i, net in enumerate(nets[-1]):
            Initialiser(net)(i)
        protocol = Training(2, batch_size=35, cutmix=0.5, precision=precision, compiled=through)
        found.append(train(nets[-1], x, y, protocol, keys=(0,)))
    assert torch.equal(*found) or precision == "bfloat16"
    for one, other in zip(*nets, strict=True):
        assert (one(x) - other(x)).norm() < near * one(x).norm()
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs), "nothing was compiled"


@compiler
@pytest.mark.slow
def test_networks_side_by_side_are_compiled_once_for_batches_of_all_sizes():
    """As on a GPU, where they train so."""
    torch._dynamo.utils.counters.clear()
    for seed, images in enumerate((5, 5, 7, 12)):
        x = torch.randn(2, images, 3, 8, 8, generator=torch.manual_seed(0))
        nets = [ConvNet((3, 8, 8), 4, width=4) for _ in range(2)]
        for i, net in enumerate(nets):
            Initialiser(net)(seed, i)
        found = []
        for through in (joined.forward, compiling.compiled_joined()):
            logits = joined.forward_joined(nets, x, through)
            leaves = [p for net in nets for p in net.parameters()]
            found.append([logits, *torch.autograd.grad(logits.square().sum(), leaves)])
        torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_networks_of_other_kinds_train_as_they_are(monkeypatch):
    def unwanted():
        raise AssertionError("compiled")

    monkeypatch.setattr(passes, "compiled_logits", unwanted)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    train([net], torch.randn(4, 3, 2, 2), torch.arange(4) % 2, Training(1, compiled=True), keys=(0,))

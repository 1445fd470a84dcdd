"""Speed and memory against the papers' loops (benchmarks/reference_loops.py), both in the same run.

    python benchmarks/speed.py condense --method dm --method ddm
    python benchmarks/speed.py all --json speed.json --plot classes.png

The sides take turns, after a warm-up each. Images are made up. A ratio above 1 says that the package is faster,
or takes less memory. Peak memory is that of a process of its own, images included; on a CPU above what the same
takes at its smallest. Work is what the ConvNet takes (multiply-adds, and layers read and written once), and no
other term of a method.
"""

import functools
import json
import math
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import reference_loops
import slopes
import torch
from ceilings import about, ceilings, costs, seconds

from cl_condense.common.devices import pick_device
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.sources.standing import ModelQueue
from cl_condense.condensation.sources.training import InnerLoop
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.networks.init import Initialiser
from cl_condense.training.protocol import Training
from cl_condense.training.train import train

SIDES = ("reference", "ours")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
COUNTS = (10, 30, 100, 300, 1000)


@dataclass(frozen=True)
class Job:
    """What both sides do. ``real`` and ``chunk`` of 0: the method's own, and as much as fits."""

    device: str
    threads: int
    iterations: int
    repeats: int
    method: str = "dm"
    classes: int = 10
    ipc: int = 10
    size: int = 32
    width: int = 128
    real: int = 0
    images: int = 500
    chunk: int = 0
    networks: int = 0
    epochs: int = 0
    precision: str = "float32"
    compiled: bool = False

    @property
    def shape(self):
        return 3, self.size, self.size

    @property
    def evaluates(self):
        return self.method == "evaluate"

    @property
    def images_bytes(self):
        """Of the images: real ones in uint8, synthetic ones with gradient and momentum in float32."""
        each = math.prod(self.shape) * self.classes
        return each * (self.images + 12 * self.ipc)

    def recipe(self):
        changes = {"real_per_class": self.real} if self.real else {}
        changes |= {"precision": self.precision, "compiled": self.compiled}
        return build(self.method, "cifar10", iterations=10**6, **changes).settled(self.ipc)

    def real_images(self):
        return min(self.recipe().real_per_class, self.images)


def condensing(job, side, device):
    """One iteration of a condensation, as a function."""
    generator = torch.Generator().manual_seed(0)
    shape = job.classes * job.images, *job.shape
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator).to(device)
    targets = torch.arange(job.classes).repeat_interleave(job.images)
    recipe = job.recipe()
    if side == "ours":
        real = ImageSet.of(images, targets, normalisation=(MEAN, STD))
        options = {"ipc": job.ipc, "network": MakeConvNet(job.shape, job.width), "chunk": job.chunk or None}
        return Condensation(real, recipe, **options).step
    options = {"ipc": job.ipc, "width": job.width, "real_per_class": job.real_images()}
    if isinstance(recipe.source, ModelQueue):
        q, weight = recipe.source, recipe.terms[1].weight
        options |= {"push_every": q.push_every, "size": q.size, "train_steps": q.train_steps, "weight": weight}
        options["batch_size"] = q.batch
    return reference_loops.LOOPS[job.method](images, targets.to(device), MEAN, STD, **options).step


def evaluating(job, side, device):
    """The training of all networks, as a function."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(job.classes * job.ipc, *job.shape, generator=generator).to(device)
    targets = torch.arange(job.classes, device=device).repeat_interleave(job.ipc)
    if side == "reference":
        network = functools.partial(reference_loops.ConvNet, job.shape, job.classes, job.width)
        sizes = {"networks": job.networks, "epochs": job.epochs}
        return lambda: reference_loops.train(network, images, targets, **sizes)

    def ours():
        network = MakeConvNet(job.shape, job.width)
        nets = [network(job.classes).to(device) for _ in range(job.networks)]
        for i, net in enumerate(nets):
            Initialiser(net)(0, i)
        training = Training(job.epochs, precision=job.precision, compiled=job.compiled)
        train(nets, images, targets, training, keys=(0,))

    return ours


def started(job, side):
    return (evaluating if job.evaluates else condensing)(job, side, torch.device(job.device))


def passes(job):
    """Forward passes of one image that an iteration, or a training, is worth.

    Two where a gradient is taken with respect to images, three with respect to weights too.
    """
    if job.evaluates:
        return 3 * job.networks * job.epochs * job.classes * job.ipc
    recipe = job.recipe()
    found = job.classes * (job.real_images() + 2 * job.ipc * recipe.synthetic.factor**2)
    if isinstance(recipe.source, InnerLoop):  # gradients of real images, and of the gradients of others
        found = job.classes * 3 * (job.real_images() + 3 * job.ipc)
        share = 1 - 1 / recipe.source.outer  # of the iterations, after which its network trains
        found += 3 * share * recipe.source.inner * job.classes * job.ipc
    if isinstance(recipe.source, ModelQueue):
        found += 3 * recipe.source.trained * recipe.source.train_steps * recipe.source.batch
    return found


def peak_memory(job, side):
    """Bytes that a process of its own takes for two iterations."""
    command = [sys.executable, __file__, "child", side, json.dumps(asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def resident_peak():
    """The most bytes of memory that this process has had; not getrusage's, which counts its parent's too."""
    import resource  # noqa: PLC0415 # not on every platform

    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    unit = 1 if sys.platform == "darwin" else 1024
    return peaks[0] if peaks else unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alternate(job):
    """Seconds an iteration of each side, repeat by repeat."""
    device = torch.device(job.device)
    runs = {side: started(job, side) for side in SIDES}
    for once in runs.values():
        once()
    times = {side: [] for side in SIDES}
    for _ in range(job.repeats):
        for side, once in runs.items():
            times[side].append(seconds(once, device, job.iterations))
    return times


def precision(job, side):
    """That of convolutions: torch's own default on a GPU is TF32, and so the papers'."""
    if side == "ours" and job.precision != "float32":
        return job.precision
    return "tf32" if job.device.startswith("cuda") and torch.backends.cudnn.allow_tf32 else "float32"


def compare(job, top):
    """Seconds, memory and throughput of both sides, with ``top`` the device's ceilings; printed."""
    times = alternate(job)
    if job.device.startswith("cuda"):
        torch.cuda.empty_cache()  # the package fits its chunks to what is free
    peaks = {side: peak_memory(job, side) for side in SIDES}
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    work, traffic = costs(reference_loops.ConvNet(job.shape, job.classes, job.width), job.shape)
    found = {
        **asdict(job),
        "images_bytes": job.images_bytes,
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        "memory_ratio": peaks["reference"] / peaks["ours"],
    }
    for side in SIDES:
        middle = statistics.median(times[side])
        tflops, gbs = 2 * work * passes(job) / middle / 1e12, traffic * passes(job) / middle / 1e9
        found[side] = {
            "seconds": middle,
            "all_seconds": times[side],
            "peak_bytes": peaks[side],
            "tflops": tflops,
            "gbs": gbs,
            "share_of_matmul": tflops / top[f"{precision(job, side)}_tflops"],
            "share_of_copy": gbs / top["copy_gbs"],
        }
        if job.evaluates:
            found[side]["network_epochs_per_second"] = job.networks * job.epochs / middle
    show(job, found)
    return found


def show(job, found):
    what = f"evaluate, {job.networks} networks" if job.evaluates else job.method
    sizes = f"{job.classes} classes, ipc {job.ipc}, {job.size} px, width {job.width}"
    if not job.evaluates:
        sizes += f", {job.real_images()} real"
    print(f"{what}: {sizes}")
    for side in SIDES:
        s = found[side]
        speed = f"{s['seconds']:.4g} s an iteration"
        if job.evaluates:
            speed = f"{s['network_epochs_per_second']:.4g} network-epochs a second"
        memory = f"{s['peak_bytes'] / 2**20:.0f} MiB, {s['tflops']:.3g} TFLOP/s, {s['gbs']:.3g} GB/s"
        shares = f"{s['share_of_matmul']:.0%} of matmul, {s['share_of_copy']:.0%} of copy"
        print(f"  {side:9} {speed}, {memory} ({shares})")
    r = found["ratio"]
    spread = f"{r['min']:.2f} to {r['max']:.2f}, n = {job.repeats}"
    print(f"  ratio     {r['median']:.2f} ({spread}), memory {found['memory_ratio']:.2f}", flush=True)


COMMON = [
    click.option("--ipc", type=click.IntRange(1), help="Images per class.  [default: 10, classes: 1]"),
    click.option("--image-size", "size", type=click.IntRange(4), default=32, show_default=True),
    click.option("--width", type=click.IntRange(1), help="[default: 128; on a CPU 32 for classes and all]"),
    click.option("--repeats", type=click.IntRange(1), default=3, show_default=True),
    click.option("--device", default="auto", show_default=True),
    click.option("--threads", type=click.IntRange(1), default=1, show_default=True),
    click.option(
        "--matrix", "side", type=int, help="Side of the ceilings' matrices.  [default: 2048, GPU: 8192]"
    ),
    click.option("--json", "json_file", type=click.Path(path_type=Path), help="A file for all figures."),
]
METHOD = click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice([*reference_loops.LOOPS]),
    help="[default: all, classes: dm]",
)
PRECISION = click.option(
    "--precision", type=click.Choice(["float32", "bfloat16"]), help="Ours.  [default: float32]"
)
COMPILE = click.option("--compile", "compiled", is_flag=True, help="Ours through torch.compile.")
CLASSES = click.option("--classes", type=click.IntRange(1), help="[default: 10; all on a GPU: 100]")
MANY = click.option("--counts", multiple=True, type=click.IntRange(1), help="[default: 10, 30, 100, 300, 1000]")
PLOT = click.option("--plot", "plot_file", type=click.Path(path_type=Path))
CONDENSING = [
    click.option(
        "--real-per-class", "real", type=int, help="[default: the method's, classes: 8; all on a CPU: 64]"
    ),
    click.option(
        "--images",
        type=click.IntRange(1),
        help="Real images of a class.  [default: 500, on a GPU 5000, classes: 16, all: 500]",
    ),
    click.option(
        "--iterations", type=click.IntRange(1), help="Of a repeat.  [default: 2, GPU: 10, condense 50]"
    ),
    click.option("--chunk", type=int, default=0, help="Classes in a forward pass.  [default: what fits]"),
]
EVALUATING = [
    click.option("--networks", type=click.IntRange(1), help="[default: 3, on a GPU 20]"),
    click.option("--epochs", type=click.IntRange(1), help="[default: 2, on a GPU 20]"),
]


def takes(*options):
    return lambda command: functools.reduce(lambda f, option: option(f), reversed(options), command)


def settle(command, device, threads, given):
    """The job of a command, with the defaults of the device where nothing is given."""
    gpu = device.type == "cuda"
    torch.set_num_threads(threads)
    defaults = {"iterations": 10, "images": 5000} if gpu else {"iterations": 2, "images": 500}
    defaults |= {"iterations": 50} if gpu and command == "condense" else {}
    if command == "evaluate":
        given = {**given, "method": command, "iterations": 1}
        defaults |= {"networks": 20 if gpu else 3, "epochs": 20 if gpu else 2}
    defaults |= {"width": 32} if command in ("classes", "all") and not gpu else {}
    if command == "all":  # CIFAR-100's shapes on a GPU; on a CPU what takes minutes
        defaults |= {"classes": 100, "images": 500} if gpu else {"real": 64}
    defaults |= {"ipc": 1, "real": 8, "images": 16} if command == "classes" else {}
    known = {k: v for k, v in given.items() if v is not None and k in Job.__dataclass_fields__}
    return Job(device=str(device), threads=threads, **defaults | known)


def run(command, *, methods=(), counts=(), side=None, json_file=None, plot_file=None, **given):
    """Measures what a command asks for, prints it and writes it."""
    try:
        device = pick_device(given.pop("device"))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    threads = given.pop("threads")
    job = settle(command, device, threads, given)
    top = ceilings(device, side)
    record = {"command": command, **about(device), "ceilings": top}
    print(f"{record['device']}, {threads} threads; " + ", ".join(f"{k} {v:.4g}" for k, v in top.items()))
    wanted = ("condense", "evaluate", "classes") if command == "all" else (command,)
    if "condense" in wanted:
        chosen = methods or tuple(reference_loops.LOOPS)
        record["condense"] = [compare(replace(job, method=m), top) for m in chosen]
    if "evaluate" in wanted:
        training = settle("evaluate", device, threads, {**given, "width": job.width, "classes": job.classes})
        record["evaluate"] = [compare(training, top)]
    if "classes" in wanted:
        few = {k: v for k, v in given.items() if command == "classes" or k not in ("ipc", "real", "images")}
        each = settle("classes", device, threads, few)
        chosen = sorted(counts or COUNTS)
        each = replace(each, method=methods[0] if methods else "dm")
        record["classes"] = [compare(replace(each, classes=k), top) for k in chosen]
        record["slopes"] = slopes.slopes(record["classes"])
        for name, value in record["slopes"].items():
            print(f"{name}: grows as classes to the power {value:.2f}")
        if plot_file:
            slopes.plot(record["classes"], plot_file)
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n")


@click.group()
def main() -> None:
    """Speed and memory against the papers' loops."""


@main.command()
@takes(METHOD, CLASSES, *CONDENSING, PRECISION, COMPILE, *COMMON)
def condense(**given) -> None:
    """Seconds an iteration, and peak memory."""
    run("condense", **given)


@main.command()
@takes(CLASSES, *EVALUATING, PRECISION, COMPILE, *COMMON)
def evaluate(**given) -> None:
    """Network-epochs a second."""
    run("evaluate", **given)


@main.command()
@takes(METHOD, MANY, PLOT, *CONDENSING, PRECISION, COMPILE, *COMMON)
def classes(**given) -> None:
    """Cost against classes, of the first method: 10 to 1000 classes of few images."""
    run("classes", **given)


@main.command("all")
@takes(METHOD, CLASSES, MANY, PLOT, *CONDENSING, *EVALUATING, PRECISION, COMPILE, *COMMON)
def everything(**given) -> None:
    """All three, on a CPU at a modest size, on a GPU with the shapes of CIFAR-100."""
    run("all", **given)


@main.command(hidden=True)
@click.argument("side", type=click.Choice(SIDES))
@click.argument("job")
def child(side, job) -> None:
    """Prints the bytes that one side takes."""
    work = Job(**json.loads(job))
    torch.set_num_threads(work.threads)
    device = torch.device(work.device)
    small = {"classes": 2, "ipc": 1, "size": 8, "width": 4, "real": 2, "images": 8}
    started(replace(work, **small), side)()  # what is loaded at the first use is no matter of size
    before = 0 if device.type == "cuda" else resident_peak()
    once = started(work, side)
    for _ in range(2):
        once()
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident_peak()
    print(max(peak - before, 4096))  # a page: where it is no larger than the smallest


if __name__ == "__main__":
    main()

"""What a device can do at best: large matrix products in TFLOP/s, a large copy in GB/s.

    python benchmarks/ceilings.py --device cpu --threads 1

The best of several repeats, after a first one.
"""

import functools
import sys
import time
from pathlib import Path

import click
import torch
from torch import nn

from cl_condense.common.devices import device_name, pick_device
from cl_condense.runs.provenance import command_line, origin


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(function, device, count=1):
    """Seconds of each of ``count`` calls, on average."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(count):
        function()
    synchronize(device)
    return (time.perf_counter() - start) / count


_LONG = 20.0  # seconds of one kind of product, after which its best is taken: a CPU may emulate bfloat16


def ceilings(device, side=None, repeats=15):
    """The best of several repeats, after a first one: TFLOP/s by precision, and GB/s read plus written."""
    side = side or (8192 if device.type == "cuda" else 2048)
    count = 10 if device.type == "cuda" else 1
    before = torch.get_float32_matmul_precision()
    found = {}
    kinds = {"float32": (torch.float32, "highest"), "bfloat16": (torch.bfloat16, "highest")}
    if device.type == "cuda":
        kinds["tf32"] = (torch.float32, "high")
    for name, (dtype, precision) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        a = torch.randn(side, side, device=device, dtype=dtype)
        product = functools.partial(torch.mm, a, a, out=torch.empty_like(a))
        times = [seconds(product, device, count) for _ in range(2)]
        while len(times) <= repeats and sum(times) < _LONG:
            times.append(seconds(product, device, count))
        found[f"{name}_tflops"] = 2 * side**3 / min(times[1:]) / 1e12
    torch.set_float32_matmul_precision(before)
    source = torch.ones(16, side, side, device=device)
    target = torch.empty_like(source)
    times = [seconds(lambda: target.copy_(source), device, count) for _ in range(repeats + 1)]
    found["copy_gbs"] = 2 * source.nbytes / min(times[1:]) / 1e9
    return {"side": side, **found}


def costs(net, shape):
    """Multiply-adds and the least bytes to and from memory of one image forward: layers read and write once."""
    found = [0, 0]

    def count(module, inputs, output):
        if isinstance(module, nn.Conv2d | nn.Linear):
            found[0] += output[0].numel() * module.weight[0].numel()
        found[1] += 4 * (inputs[0].numel() + output.numel())

    leaves = [module for module in net.modules() if not [*module.children()]]
    handles = [module.register_forward_hook(count) for module in leaves]
    with torch.no_grad():
        net(torch.zeros(1, *shape))
    for handle in handles:
        handle.remove()
    return tuple(found)


def about(device):
    """What a measurement was made on and with."""
    return {
        **origin(device),
        "command_line": command_line(f"python benchmarks/{Path(sys.argv[0]).name} {_subcommand()}"),
        "torch": torch.__version__,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
    }


def _subcommand():
    context = click.get_current_context(silent=True)
    return context.info_name if context and context.parent else ""


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option(
    "--matrix", "side", type=int, help="Rows and columns of the matrices.  [default: 2048, on a GPU 8192]"
)
@click.option("--repeats", default=15, show_default=True)
def main(device, threads, side, repeats) -> None:
    torch.set_num_threads(threads)
    where = pick_device(device)
    print(device_name(where))
    for name, value in ceilings(where, side, repeats).items():
        print(f"{name}: {value:.4g}")


if __name__ == "__main__":
    main()

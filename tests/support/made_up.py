"""Cells of the papers' tables on made-up images, at settings that take no time."""

import torch
from rich.console import Console

from cl_condense.data.imageset import ImageSet
from cl_condense.papers.beside import Comparison, side_by_side
from cl_condense.papers.published import published

REDUCED = {"iterations": 2, "real_per_class": 4, "epochs": 2, "width": 8, "networks": 2, "device": "cpu"}
QUICK = "--iterations 2 --real-per-class 4 --epochs 2 --width 8 --networks 2 --device cpu".split()
SELECT = "--epochs 2 --width 8 --networks 2 --device cpu".split()
DDM = "table ddm-1 --only cifar10 --ipc 10 --method random --method dm".split()


def load(name, data=None, *, download=False, on_progress=None):
    """Ten classes with images enough for 10 of each in a set; smaller than CIFAR's."""
    return _images(14, 7)


def load_more(name, data=None, *, download=False, on_progress=None):
    """The same with images enough for 20 of each in a memory."""
    return _images(24, 8)


def _images(each, every):
    """So many images of each class, and one in ``every`` of them to test on."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (10 * each, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.arange(10).repeat_interleave(each)
    return ImageSet.of(images, labels), ImageSet.of(images[::every], labels[::every])


def cells(*methods, ipc=10):
    """Cells of sets: those of CIFAR-10 in DDM's table 1."""
    return [cell for method in methods for cell in published("ddm-1", "cifar10", ipc, method)]


def stream_cells(*methods, table="ddm-fig3b"):
    """Cells of class-incremental runs."""
    return [cell for method in methods for cell in published(table, method=method)]


def shown(cells, bench):
    """The table of cells as a wide terminal has it."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(side_by_side("ddm-1", Comparison(cells, [bench])))
    return capture.get()


def in_place_of_files():
    """Lets every data set of this process be ``load``'s."""
    from cl_condense.data import datasets

    datasets.load = load

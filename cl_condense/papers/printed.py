"""How the numbers of the papers' tables were measured, and where ours are measured in another way.

A row of ``PROTOCOLS`` for each method and data set; what one table does otherwise is in ``TABLES``.
What has no row is said to have none: nothing is as printed unsaid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cl_condense.methods.expressions import names_of
from cl_condense.papers.published import Cell


class Protocol(NamedTuple):
    """How networks are trained on the sets of methods and data sets (words), and where ours differ.

    Without a note all is as printed, but for what one table does otherwise.
    """

    evaluation: str
    methods: str
    datasets: str
    note: str = ""


@dataclass(frozen=True)
class Otherwise:
    """What one table, or some of its cells, has otherwise; empty words stand for all.

    Attributes:
        tables, methods, datasets: of the cells, in words.
        note: where ours differ; empty: ours are as printed there, by ``evaluation`` and ``depth``.
        evaluation, depth, trainer: for these cells.
        crossed: only where the network that is evaluated is not the one that condensed.
    """

    tables: str
    note: str = ""
    methods: str = ""
    datasets: str = ""
    evaluation: str = ""
    depth: int | None = None
    trainer: str = ""
    crossed: bool = False

    def fits(self, cell: Cell) -> bool:
        """Whether a cell is one of these."""
        named = ((self.tables, cell.table), (self.methods, _plain(cell.name)), (self.datasets, cell.dataset))
        crossed = cell.condense_net not in ("selection", cell.eval_net)
        return all(not words or value in words.split() for words, value in named) and self.crossed <= crossed


class Printed(NamedTuple):
    """How networks are trained for a cell, blocks of its ConvNets (None: not stated), where ours differ.

    ``trainer`` is of class-incremental cells; empty: the usual one.
    """

    evaluation: str
    depth: int | None
    notes: tuple[str, ...]
    trainer: str = ""


_SELECTIONS = "random herding k_center forgetting"
_COLOURED = "svhn cifar10 cifar100 tinyimagenet"
_LARGE = "imagenette imagewoof imagenet10 imagenet100 imagenet1k"
_ALL = f"mnist fashion_mnist {_COLOURED} {_LARGE}"
_OF_CIFAR = "Published: CIFAR-100 normalised as CIFAR-10; ours: by its own mean and deviation."
_UNSTATED = "Published: training not stated for these selections; ours: DC's, 300 epochs without augmentation."
_BY_IMAGE = "Published: crop, scale or rotation drawn for every image; ours: for every mini-batch, bilinear."
_CROPPED = (
    "Published: IDC's code crops and flips CIFAR-100 and normalises it as CIFAR-10; ours: trained as CIFAR-10 "
    "is, by its own mean and deviation."
)
_UNKNOWN = "Published: how networks were trained is not known here; ours: DSA's training."
_AS_IDC = "Published: trained as in works before, code not to be had; ours: IDC's training."
_AT_BEST = "Published: the best of several looks at the test images; ours: after the last epoch."

PROTOCOLS = (
    Protocol("plain", f"{_SELECTIONS} dc", f"fashion_mnist {_COLOURED}"),
    Protocol("plain", f"{_SELECTIONS} dc", "imagenet10 imagenet100"),
    Protocol("plain", _SELECTIONS, "imagenette imagewoof imagenet1k", _UNSTATED),
    Protocol("plain", "dc", "imagenet1k"),
    Protocol("dc_mnist", f"{_SELECTIONS} dc cafe", "mnist", _BY_IMAGE),
    Protocol("cafe", "cafe", f"fashion_mnist svhn cifar10 tinyimagenet {_LARGE}"),
    Protocol("cafe", "cafe", "cifar100", _OF_CIFAR),
    Protocol("augmented", "cafe+dsa dcc", _ALL.replace("cifar100 ", "")),
    Protocol("augmented", "cafe+dsa dcc", "cifar100", _OF_CIFAR),
    Protocol("augmented", "dsa dm ddm idm", _ALL),
    Protocol("augmented", "dm+queue dm+queue+ce idm+pixels", f"{_COLOURED} {_LARGE}"),
    Protocol("augmented", "dm+cc dm+cov dm+iid iid idm+iid dm+moments dm+gram dm+sm idm+sm", _COLOURED),
    Protocol("augmented", "dm+trained", _COLOURED),
    Protocol("augmented", "dm+m3d idm+m3d", "cifar10", "Published: training not stated; ours: DSA's."),
    Protocol(
        "augmented",
        "dm+moment2 dm+moment2+moment3",
        "cifar10",
        "Published: weights of the moments and training not stated; ours: weights of our own, DSA's training.",
    ),
    Protocol(
        "datadam",
        "datadam datadam+sm",
        _COLOURED,
        "Published: batch norm in the networks that condense and in those that are trained, best iteration on "
        "the test images; ours: instance norm, last iteration.",
    ),
    Protocol("mixed", "m3d+pixels m3d_linear m3d_polynomial", _COLOURED, _AS_IDC),
    Protocol("mixed", "m3d", f"fashion_mnist svhn cifar10 {_LARGE}", _AS_IDC),
    Protocol("mixed", "m3d", "cifar100", f"{_AS_IDC} {_CROPPED}"),
    Protocol("idc_mnist", "m3d", "mnist", _AS_IDC),
    Protocol(
        "augmented",
        "mtt",
        f"{_COLOURED} {_LARGE}",
        "Published: images whitened by ZCA, trained at a learned rate, best iteration on the test images; "
        "ours: DSA's training, last iteration.",
    ),
    Protocol(
        "plain",
        "dd",
        f"{_COLOURED} {_LARGE}",
        "Published: AlexNet, trained by the learned rates of its few steps; ours: the network this table says, "
        "DC's training, 300 epochs.",
    ),
    Protocol(
        "augmented",
        "frepo",
        f"{_COLOURED} {_LARGE}",
        "Published: images whitened by ZCA, labels learned, squared error; ours: hard labels, DSA's training.",
    ),
    Protocol(
        "augmented",
        "frepo+labels",
        f"{_COLOURED} {_LARGE}",
        "Published: images whitened by ZCA, soft labels without bounds, squared error; ours: soft labels that "
        "are probabilities, DSA's training.",
    ),
    Protocol(
        "plain",
        "ld",
        f"{_COLOURED} {_LARGE}",
        "Published: soft labels, AlexNet, as many steps as held-out images ask for; ours: soft labels, the "
        "network this table says, DC's training, 300 epochs.",
    ),
    Protocol("dance", "dance dance+cf", "cifar10 tinyimagenet imagenette imagewoof", _AT_BEST),
    Protocol("dance", "dance4x4", "cifar10"),
    Protocol("dance", "dance dance+cf", "cifar100", f"{_AT_BEST} {_CROPPED}"),
    Protocol("mixed", "idc", f"fashion_mnist svhn cifar10 {_LARGE}"),
    Protocol("mixed", "idc", "cifar100", _CROPPED),
    Protocol("idc_mnist", "idc", "mnist"),
)
"""The protocol of each method and data set, once."""

_BLOCKS = "Published: quoted from papers with 4 blocks or depth not stated; ours: 3 blocks, as this table says."

TABLES = (
    Otherwise("idc-fig7", trainer="idc"),
    Otherwise("ddm-2", _UNSTATED, "random"),
    Otherwise(
        "ddm-1",
        "Published: 64 pixels by the paper, 128 in the authors' code; ours: 64.",
        datasets="imagenet1k",
    ),
    Otherwise(
        "ddm-5",
        "Published: IDM's code has 3 blocks for these images; ours: 4, as this table says.",
        "idm idm+sm",
        "tinyimagenet",
    ),
    Otherwise("idm-1", _BLOCKS, "random herding forgetting dm", "tinyimagenet"),
    Otherwise(
        "idm-1",
        "Published: DC's augmentation by the paper, which DC's code has for MNIST alone, and 1000 epochs; "
        "ours: none and 300.",
        "random herding forgetting",
        "imagenet100",
    ),
    Otherwise(
        "idm-1 idm-2 idm-3",
        "Published: the authors' code draws its 100 classes at random and leaves training images without "
        "normalisation; ours: the classes that the paper names, normalised.",
        datasets="imagenet100",
    ),
    Otherwise("iid-2", methods="idm dm+iid idm+iid", depth=3),
    Otherwise(
        "iid-2",
        "Published: quoted, depth of the ConvNet not stated; ours: 4 blocks, where IID's own rows have 3.",
        f"{_SELECTIONS} dm datadam",
    ),
    Otherwise(
        "iid-4",
        "Published: quoted, norm of the networks not stated; ours: instance norm.",
        "dc dsa dm cafe+dsa datadam",
        crossed=True,
    ),
    Otherwise(
        "iid-7",
        "Published: DC-BENCH's training with augmentation, which kind is not stated; ours: DSA's.",
        "random k_center dc dsa dm",
        evaluation="augmented",
    ),
    Otherwise(
        "m3d-3",
        "Published: IDC's training for ImageNet, 600 to 2000 epochs by images per class, resized crops, jitter "
        "and lighting, every mini-batch mixed; ours: IDC's for 32 pixels, 1000 epochs, half of them mixed.",
        evaluation="mixed",
    ),
    Otherwise("m3d-3", "Published: 3 x 3 images in one; ours: 2 x 2.", "m3d"),
    Otherwise(
        "m3d-3",
        "Published: 3 x 3 images in one, L1 distance, own rates; ours: 2 x 2, squares, CIFAR-10's rates.",
        "idc",
    ),
    Otherwise(
        "m3d-3",
        "Published: five parts of 20 classes condensed apart; ours: 100 classes at once.",
        "dsa dm idc m3d",
        "imagenet100",
    ),
    Otherwise(
        "m3d-4",
        "Published: quoted, training of the other networks not stated; ours: DSA's.",
        "dsa dm",
        crossed=True,
    ),
)
"""What one table has otherwise."""

NETWORKS = {
    "ddm": "5 sets x 20 networks",
    "idm": "5 networks",
    "iid": "5 networks",
    "m3d": "10 networks, 3 for ImageNet",
    "ncfm": "10 networks",
}
"""What the papers' own means are over; numbers that they quote are of others."""


def protocols(method: str | None, dataset: str) -> list[Protocol]:
    """The rows for a method and a data set: one, where it is known how they were measured."""
    own = _plain(method)
    return [p for p in PROTOCOLS if own in p.methods.split() and dataset in p.datasets.split()]


def _plain(method: str | None) -> str | None:
    """A method without its settings, by which networks do not train otherwise."""
    return method and "+".join(names_of(method))


def printed(cell: Cell) -> Printed:
    """How a cell was measured, as far as ours can be, and where it cannot."""
    own = next(iter(protocols(cell.name, cell.dataset)), Protocol("augmented", "", "", _UNKNOWN))
    found = [each for each in TABLES if each.fits(cell)]
    evaluation = next((each.evaluation for each in found if each.evaluation), own.evaluation)
    depth = next((each.depth for each in found if each.depth), cell.depth)
    # Of another way to train, what the protocol's note says is not true.
    notes = [own.note if evaluation == own.evaluation else "", *(each.note for each in found)]
    trainer = next((each.trainer for each in found if each.trainer), "")
    return Printed(evaluation, depth, tuple(filter(None, notes)), trainer)

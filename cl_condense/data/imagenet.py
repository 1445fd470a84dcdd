"""TinyImageNet, ImageNet and subsets of it, read from folders in their official layouts.

Class lists are in ``data/``: WordNet ids in the order of the labels, and ``imagenet1k.txt`` with the names.
ImageNette and ImageWoof have MTT's order, which DDM took over (indices into the sorted ids of ImageNet);
ImageNet-100 has that of IDC's ``misc/class100.txt``, of which ImageNet-10 is the first ten, as in IDC and M3D;
TinyImageNet and ImageNet-1K have that of the ids.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from cl_condense.common.foreign import MOST_TEXT, check_file, one_line
from cl_condense.common.progress import OnProgress
from cl_condense.data.decoding import decoded
from cl_condense.data.imageset import ImageSet
from cl_condense.data.preparation import Pair
from cl_condense.data.store import Store

Files = dict[str, list[str]]  # of each class, relative to the data set's folder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Those of ImageNet, in the code of DC (for TinyImageNet), MTT and IDC as well."""
_LISTS = Path(__file__).parent / "imagenet_classes"
_SUFFIXES = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class Subset:
    """Classes of ImageNet at one size.

    Attributes:
        side, fit: pixels and how images get there, see ``decoded``.
        listed, first: the class list in ``data/``, and how many of its lines count.
        folder, source: what the published archive holds, and where it is.
    """

    side: int
    fit: str
    listed: str
    first: int | None = None
    folder: str = ""
    source: str = "https://image-net.org"

    @property
    def tiny(self) -> bool:
        """Whether it has TinyImageNet's layout instead of ImageNet's."""
        return self.listed == "tinyimagenet"

    @property
    def layout(self) -> str:
        """The files that are expected."""
        if self.tiny:
            return f"{self.folder}/ (train/WNID/images/*.JPEG, val/images/*.JPEG, val/val_annotations.txt)"
        holds = f"{self.folder}/ or ImageNet" if self.folder else "ImageNet"
        return f"{holds} (train/WNID/*.JPEG, val/WNID/*.JPEG)"


_FAST_AI = "https://s3.amazonaws.com/fast-ai-imageclas"
_TINY = ("tiny-imagenet-200", "http://cs231n.stanford.edu/tiny-imagenet-200.zip")
SETS = {
    "tinyimagenet": Subset(64, "exact", "tinyimagenet", None, *_TINY),
    # MTT's and DDM's Resize((128, 128))
    "imagenette": Subset(128, "squash", "imagenette", None, "imagenette2", f"{_FAST_AI}/imagenette2.tgz"),
    "imagewoof": Subset(128, "squash", "imagewoof", None, "imagewoof2", f"{_FAST_AI}/imagewoof2.tgz"),
    # IDC's Resize(224), CenterCrop(224), for training and for test images
    "imagenet10": Subset(224, "crop", "imagenet100", 10),
    "imagenet100": Subset(224, "crop", "imagenet100"),
    # DDM says 64 x 64, and not how; its code squashes ImageNet's images
    "imagenet1k": Subset(64, "squash", "imagenet1k"),
}


def class_names(name: str) -> dict[str, str]:
    """The WordNet id of each class of a set, in the order of the labels, and what it is called."""
    known = dict(line.split(" ", 1) for line in _lines("imagenet1k"))
    listed = _lines(SETS[name].listed)[: SETS[name].first]
    return {wnid: known[wnid] for wnid in (line.split(" ")[0] for line in listed)}


def load_imagenet(name: str, data: str | Path, on_progress: OnProgress | None = None) -> Pair:
    """The training and the validation images of one of ``SETS``, uint8 ``[n, 3, side, side]``.

    ``data`` is the folder of the data set or, where the archive has one of its own, the folder around it.
    ImageNette and ImageWoof are read from fast.ai's folder, whose validation part is 30 % of the images, or
    from ImageNet's, whose is 50 images a class, as in MTT. Greyscale images become RGB. MTT and DDM scale
    normalised tensors, which torchvision did not smooth before its version 0.17; here scaling smooths. The
    images are decoded once and mapped from then on, see ``decoded``;
    ``on_progress`` is told how many are.

    Raises:
        ValueError: on folders, classes or images that are missing, on images that are damaged, of too many
            pixels or of another size than TinyImageNet's, and where decoded images cannot be kept.
    """
    subset, named = SETS[name], class_names(name)
    root = Path(os.path.abspath(Path(data).expanduser()))
    if subset.folder and (root / subset.folder).is_dir():
        root = root / subset.folder
    for part in ("train", "val"):
        if not (root / part).is_dir():
            raise _missing(name, root / part)
    train = _in_folders(name, root, "train", named)
    test = _annotated(name, root, named) if subset.tiny else _in_folders(name, root, "val", named)
    files = [file for part in (train, test) for own in part.values() for file in own]
    images = torch.from_numpy(decoded(name, root, files, subset.side, subset.fit, on_progress=on_progress))

    def part_of(images: torch.Tensor, files: Files) -> ImageSet:
        # not ImageSet.of: to sort by class it copies the images, and they are sorted
        counts = tuple(map(len, files.values()))
        store = Store(images, mapped=True)
        return ImageSet(store, tuple(range(len(named))), counts, MEAN, STD, tuple(named.values()))

    split = sum(map(len, train.values()))
    return part_of(images[:split], train), part_of(images[split:], test)


def _lines(name: str) -> list[str]:
    return (_LISTS / f"{name}.txt").read_text("utf-8").splitlines()


def _missing(name: str, path: Path, what: str = "is missing") -> ValueError:
    holds, source = SETS[name].layout, SETS[name].source
    return one_line(f"{name}: {path} {what}: point --data at the folder of {holds}, from {source}")


def _in_folders(name: str, root: Path, part: str, named: dict[str, str]) -> Files:
    """The images of each class, in the order of their names."""
    files = {}
    for wnid, called in named.items():
        inner = os.path.join(part, wnid, "images" if SETS[name].tiny else "")
        if not (root / inner).is_dir():
            raise _missing(name, root / inner, f"(class {called!r}) is missing")
        listed = sorted(os.listdir(root / inner))
        files[wnid] = [
            os.path.join(inner, file)
            for file in listed
            if file.lower().endswith(_SUFFIXES) and not file.startswith(".")
        ]
        if not files[wnid]:
            raise _missing(name, root / inner, f"(class {called!r}) has no images")
    return files


def _annotated(name: str, root: Path, named: dict[str, str]) -> Files:
    """TinyImageNet's validation images, all in one folder: a line has file, class and a box, with tabs."""
    table = root / "val" / "val_annotations.txt"
    if not table.is_file():
        raise _missing(name, table)
    files: Files = {wnid: [] for wnid in named}
    check_file(table, "put the official file there", MOST_TEXT)
    for number, line in enumerate(table.read_text("utf-8", errors="replace").splitlines(), 1):
        image, wnid = [*line.split("\t"), ""][:2]
        if wnid not in files or os.path.basename(image) != image:
            raise _missing(name, table, f"has no image and class of {name} in line {number}")
        files[wnid].append(os.path.join("val", "images", image))
    for wnid, own in files.items():
        if not own:
            raise _missing(name, table, f"has no image of class {named[wnid]!r}, {wnid}")
        own.sort()
    return files

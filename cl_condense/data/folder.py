"""Images of one's own, from a folder: a class a folder of files, or a CSV file that lists them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cl_condense.common.foreign import one_line
from cl_condense.common.paths import path_of
from cl_condense.common.progress import OnProgress
from cl_condense.common.rng import fold, permutation
from cl_condense.data.csv_list import csv_layout, is_list
from cl_condense.data.gathering import Gathering
from cl_condense.data.imageset import ImageSet
from cl_condense.data.layout import Classes, Layout, class_files, folder_layout, folders
from cl_condense.data.preparation import Note, OnNote, Pair, Preparation, chosen, no_share, share_of

Part = tuple[Any, Any]  # images, labels

_SPLIT = fold(*b"train and test")
_LAYOUTS = "put images in train/CLASS and test/CLASS, or in CLASS, or list them in a CSV file"


def load_folder(
    path: str | Path,
    *,
    on_progress: OnProgress | None = None,
    on_note: OnNote | None = None,
    **preparation: Any,
) -> Pair:
    """The training and the test images of a folder, ``train/CLASS/*.png`` and ``test/CLASS/*.png``.

    The test part may be called val; the images of a class may lie in folders of its folder. Without a test
    part, ``train/CLASS/*.png`` or ``CLASS/*.png``, a fifth of each class (``test_share``), at least one image,
    is held out; which ones depends on the name of the class and the number of its images alone, on no seed.
    Or a CSV file, see ``csv_layout``, or the folder around it, where no folders of classes are.

    PNG, JPEG, BMP, WebP, TIFF and PPM files are read, others passed over. Images are uint8 ``[n, c, h, w]``,
    upright, of one channel where every file is grey and else of three, see ``opened``. All must have the same
    size, unless ``size`` is given: then they are scaled and their middle is cut out, as torchvision's Resize
    and CenterCrop do it; a JPEG of four times the size or more is decoded at a part of its own. Images that
    would take more than half of the memory are kept in a file, as ``decoded`` keeps its own, and mapped.
    Labels are the places of the class names, and the normalisation is that of the training images.

    Args:
        path: of the folder, or of the CSV file.
        on_progress: told of every image that is decoded.
        on_note: told what was held out, skipped or not looked at.
        preparation: ``size``, ``channels``, ``test_share``, ``skip_damaged``, ``classes``, as for ``load``.

    Raises:
        ValueError: on a folder without that layout, a class without images or in one part only, and an image
            that is damaged, of another size than the first, or has over 16 bits a channel or too many pixels.
    """
    wanted, root = Preparation.of(**preparation), path_of("folder", path).expanduser()
    tell = on_note or (lambda note: None)
    layout = _only(_layout(root), wanted.classes)
    if layout.test is not None:
        no_share(wanted, root, f"a test part, {layout.part}")
    if layout.unread:
        tell(Note("left out", f"{layout.unread}: not looked at"))
    parts = [layout.train, {}] if layout.test is None else [layout.train, layout.test]
    if layout.test is None:
        divided(layout.train, share_of(wanted))  # raises before any image is decoded
    files = [file for part in parts for own in part.values() for file in own]
    gathering = Gathering(root, wanted, on_progress, tell)
    found = gathering.decoded(files)
    kept = [gathering.kept(part, found.row) for part in parts]
    if layout.test is None:
        kept = [*divided(kept[0], share_of(wanted))]
        tell(Note("held out", _said(root, kept, wanted)))
    (train, labels), (test, test_labels) = map(flat, kept)
    images = (found.store.picked(_rows([found.row[file] for file in own])) for own in (train, test))
    return pair((next(images), labels), (next(images), test_labels), tuple(layout.train))


def class_folders(path: Path) -> dict[str, list[Path]]:
    """The image files of each class of a folder ``CLASS/*.png``, by the names of the class folders, sorted.

    Raises:
        ValueError: where there is no class folder, or one without images.
    """
    classes = class_files(path)
    if not classes:
        raise one_line(f"{path} has no class folders: put images in CLASS/*.png")
    return classes


def load_images(classes: dict[str, list[Path]]) -> Part:
    """All images of ``class_folders`` as they are; labels are the places of the folders.

    Raises:
        ValueError: as ``load_folder``.
    """
    files, labels = flat(classes)
    return Gathering().decoded(files).store.whole, labels


def pair(train: Part, test: Part, names: tuple[str, ...], constants: Any = None) -> Pair:
    """Both parts as image sets with one normalisation: the constants, or that of the training images."""
    first = ImageSet.of(*train, names=names, normalisation=constants)
    return first, ImageSet.of(*test, names=names, normalisation=(first.mean, first.std))


def divided(classes: Classes, share: float) -> tuple[Classes, Classes]:
    """A share of each class for testing: at least one image, and at least one is left."""
    train, test = {}, {}
    for name, own in classes.items():
        if len(own) == 1:
            raise one_line(f"class {name!r} has 1 image, {own[0]}: give 2 or more, one of them is for testing")
        many = min(max(round(len(own) * share), 1), len(own) - 1)
        held = set(permutation(len(own), _SPLIT, fold(*os.fsencode(name)))[:many].tolist())
        train[name] = [one for i, one in enumerate(own) if i not in held]
        test[name] = [one for i, one in enumerate(own) if i in held]
    return train, test


def flat(part: Classes) -> tuple[list[Any], list[int]]:
    """All files or rows, class by class, and their labels."""
    pairs = [(one, label) for label, own in enumerate(part.values()) for one in own]
    return [one for one, _ in pairs], [label for _, label in pairs]


def _rows(rows: list[int]) -> slice | Tensor:
    """Rows as a slice where they follow one another."""
    first, last = rows[0], rows[-1] + 1
    return slice(first, last) if rows == [*range(first, last)] else torch.tensor(rows)


def _layout(root: Path) -> Layout:
    if is_list(root) and not root.is_dir():
        return csv_layout(root)
    if not root.is_dir():
        raise one_line(f"{root} is not a folder: name the one that holds the images with --data DIR")
    lists = [file for file in sorted(root.iterdir()) if is_list(file)]
    inner = folders(root)
    if lists and (not inner or (len(inner) == 1 and not folders(inner[0]))):
        if len(lists) > 1:
            both = f"{lists[0].name} and {lists[1].name}"
            raise one_line(f"{root} has several lists, {both}: name one of them with --data FILE")
        return csv_layout(lists[0])
    found = folder_layout(root)
    if not found.train:
        raise one_line(f"{root} has no class folders: {_LAYOUTS}")
    return found


def _only(layout: Layout, classes: Sequence[str]) -> Layout:
    """The layout of some classes alone."""
    if not classes:
        return layout
    names = [*layout.train]
    kept = [names[place] for place in chosen(classes, dict(enumerate(names)))]
    test = layout.test and {name: layout.test[name] for name in kept}
    return replace(layout, train={name: layout.train[name] for name in kept}, test=test)


def _said(root: Path, parts: Sequence[Classes], wanted: Preparation) -> str:
    """What was held out, for people."""
    held, every = sum(map(len, parts[1].values())), sum(len(own) for part in parts for own in part.values())
    each = f"{100 * share_of(wanted):g} % of each class, the same ones with every --seed; see --test-share"
    return f"{root} has no test part: {held} of {every} images are held out for testing ({each})"

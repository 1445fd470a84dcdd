"""Images of one's own, from a folder: a class a folder of files."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cl_condense.common.foreign import check_file, check_room, one_line, reason
from cl_condense.common.numbers import whole
from cl_condense.common.paths import path_of
from cl_condense.common.progress import OnProgress, Progress
from cl_condense.common.rng import fold, permutation
from cl_condense.data.imageset import ImageSet

Pair = tuple[ImageSet, ImageSet]  # train, test
Part = tuple[Any, Any]  # images, labels
Classes = dict[str, list[Any]]  # files or rows of each class

_SPLIT = fold(*b"train and test")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_MOST = 2**30  # bytes of an image file
# Pillow goes by the content, not by the suffix, and would also read EPS, for which it runs Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


def load_folder(path: str | Path, *, size: int | None = None, on_progress: OnProgress | None = None) -> Pair:
    """The training and the test images of a folder, ``train/CLASS/*.png`` and ``test/CLASS/*.png``.

    Or ``CLASS/*.png``: then a fifth of each class, at least one image, is the test set; which ones depends on
    the name of the class and the number of its images alone. PNG, JPEG, BMP and WebP files are read, others
    passed over. Images are uint8 ``[n, c, h, w]``, of one channel where every file is greyscale and else of
    three (transparency is dropped). All must have the same size, unless ``size`` is given: then the largest
    middle square of each is scaled to size x size. Labels follow the order of the class names, and the
    normalisation is that of the training images. ``on_progress`` is told of every image that is decoded.

    Raises:
        ValueError: on a folder without that layout, a class without images or in one part only, an image that
            is damaged, of another size than the first, or has over 8 bits a channel or too many pixels.
    """
    root = path_of("folder", path).expanduser()
    if not root.is_dir():
        raise one_line(f"{root} is not a folder: name the one that holds the images with --data DIR")
    if size is not None:
        size = whole("size", size)
    parts = [part for part in ("train", "test") if (root / part).is_dir() and _folders(root / part)]
    if len(parts) == 1:
        absent = root / ("test" if parts == ["train"] else "train")
        raise one_line(f"{root} has class folders in {parts[0]}, none in {absent.name}: add {absent / 'CLASS'}")
    train, test = (_files(root / part) for part in parts) if parts else divided(_files(root))
    for name in sorted(train.keys() ^ test.keys()):
        there = root / ("test" if name in train else "train") / name
        raise one_line(f"class {name!r} has no folder {there}: each class needs training and test images")
    if not train:
        raise one_line(f"{root} has no class folders: put images in train/CLASS and test/CLASS, or in CLASS")
    (files, labels), (test_files, test_labels) = flat(train), flat(test)
    images = _decoded(files + test_files, size, on_progress)
    return pair((images[: len(files)], labels), (images[len(files) :], test_labels), tuple(train))


def class_folders(path: Path) -> dict[str, list[Path]]:
    """The image files of each class of a folder ``CLASS/*.png``, by the names of the class folders, sorted.

    Raises:
        ValueError: where there is no class folder, or one without images.
    """
    classes = _files(path)
    if not classes:
        raise one_line(f"{path} has no class folders: put images in CLASS/*.png")
    return classes


def load_images(classes: dict[str, list[Path]]) -> Part:
    """All images of ``class_folders`` as they are; labels are the places of the folders.

    Raises:
        ValueError: as ``load_folder``.
    """
    files, labels = flat(classes)
    return _decoded(files, None), labels


def pair(train: Part, test: Part, names: tuple[str, ...], constants: Any = None) -> Pair:
    """Both parts as image sets with one normalisation: the constants, or that of the training images."""
    first = ImageSet.of(*train, names=names, normalisation=constants)
    return first, ImageSet.of(*test, names=names, normalisation=(first.mean, first.std))


def divided(classes: Classes) -> tuple[Classes, Classes]:
    """A fifth of each class, at least one, for testing."""
    train, test = {}, {}
    for name, own in classes.items():
        if len(own) == 1:
            raise one_line(f"class {name!r} has 1 image, {own[0]}: give 2 or more, one of them is for testing")
        held = set(
            permutation(len(own), _SPLIT, fold(*os.fsencode(name)))[: max(round(len(own) / 5), 1)].tolist()
        )
        train[name] = [one for i, one in enumerate(own) if i not in held]
        test[name] = [one for i, one in enumerate(own) if i in held]
    return train, test


def flat(part: Classes) -> tuple[list[Any], list[int]]:
    """All files or rows, class by class, and their labels."""
    pairs = [(one, label) for label, own in enumerate(part.values()) for one in own]
    return [one for one, _ in pairs], [label for _, label in pairs]


def _folders(folder: Path) -> list[Path]:
    found = (inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))
    return sorted(found, key=lambda inner: inner.name)


def _files(folder: Path) -> Classes:
    """The image files of each class folder, in the order of their names."""
    classes = {}
    for inner in _folders(folder):
        images = (f for f in inner.iterdir() if f.suffix.lower() in _SUFFIXES and not f.name.startswith("."))
        classes[inner.name] = sorted(images, key=lambda file: file.name)
        if not classes[inner.name]:
            kinds = ", ".join(_SUFFIXES)
            raise one_line(
                f"class {inner.name!r}: no images ({kinds}) in {inner}: add some or remove the folder"
            )
    return classes


def _decoded(files: list[Path], size: int | None, on_progress: OnProgress | None = None) -> NDArray[np.uint8]:
    """All images ``[n, c, h, w]``, of one channel where every one is greyscale."""
    arrays: list[NDArray[np.uint8]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for file in files:
            arrays.append(_pixels(file, size))
            (h, w), first = arrays[-1].shape[:2], arrays[0].shape[:2]
            if (h, w) != first:
                expected = f"{first[1]} x {first[0]} as {files[0]}"
                raise one_line(f"{file} is {w} wide x {h} high, not {expected}: resize all images to one size")
            if len(arrays) == 1:
                channels = 1 if arrays[0].ndim == 2 else 3
                check_room(len(files) * h * w * channels, f"{file} and {len(files) - 1:,} more of its size")
            if on_progress:
                on_progress(Progress("decoding", len(arrays), len(files)))
    if any(array.ndim == 3 for array in arrays):
        colour = [array if array.ndim == 3 else np.stack([array] * 3, 2) for array in arrays]
        return np.stack(colour).transpose(0, 3, 1, 2)
    return np.stack(arrays)[:, None]


def _pixels(file: Path, size: int | None) -> NDArray[np.uint8]:
    """One image, ``[h, w]`` where it is greyscale and else ``[h, w, 3]``."""
    image = opened(file)
    return np.array(image if size is None else ImageOps.fit(image, (size, size)))


def opened(file: Path, at_least: int = 0) -> Image.Image:
    """An image file, decoded: of mode L where it is greyscale, else RGB (transparency is dropped).

    With ``at_least`` a JPEG may come at a half, a quarter or an eighth of its size, which is quicker, with
    sides of that many pixels or more. Make ``Image.DecompressionBombWarning`` an error before.

    Raises:
        ValueError: on an image that is damaged, or has over 8 bits a channel or too many pixels.
    """
    check_file(file, "put an image there, or take it out", _MOST)
    try:
        # In memory: of a file Pillow would take the room that a part of it claims to need.
        with Image.open(io.BytesIO(file.read_bytes()), formats=_FORMATS) as source:
            mode = source.mode
            if at_least:
                source.draft(None, (at_least, at_least))
            image = source.convert("L" if mode in ("1", "L") else "RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{file} has too many pixels ({reason(error)}): put a smaller image there") from error
    except MemoryError:
        raise
    except Exception as error:  # on damaged bytes the decoders raise errors of many kinds
        why = f"is damaged or no PNG, JPEG, BMP or WebP ({_fault(error)}): replace it"
        raise one_line(f"{file} {why}") from error
    if mode[0] in "IF":
        # convert() cuts such values off at 255, which leaves a white image
        raise one_line(f"{file} has over 8 bits a channel (mode {mode}): save it with 8 bits")
    return image


def _fault(error: Exception) -> str:
    """What an error of decoding says; where a format is not known, that has only the address of an object."""
    return "no image" if isinstance(error, UnidentifiedImageError) else reason(error)

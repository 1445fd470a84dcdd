"""MedMNIST (Yang et al., Scientific Data 2023) and others: an ``.npz`` of train, val and test arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl_condense.common.arrays import Array, read_npz
from cl_condense.common.foreign import check_file, one_line
from cl_condense.data.folder import Part
from cl_condense.data.imageset import ImageSet
from cl_condense.data.preparation import Pair

_ORGANS = (
    "bladder;femur-left;femur-right;heart;kidney-left;kidney-right;liver;lung-left;lung-right;pancreas;spleen"
)
CLASSES: dict[str, tuple[str, ...]] = {
    name: tuple(classes.split(";"))
    for name, classes in {
        "pathmnist": "adipose;background;debris;lymphocytes;mucus;smooth muscle;normal colon mucosa;"
        "cancer-associated stroma;colorectal adenocarcinoma epithelium",
        "dermamnist": "actinic keratoses and intraepithelial carcinoma;basal cell carcinoma;"
        "benign keratosis-like lesions;dermatofibroma;melanoma;melanocytic nevi;vascular lesions",
        "octmnist": "choroidal neovascularization;diabetic macular edema;drusen;normal",
        "pneumoniamnist": "normal;pneumonia",
        "retinamnist": "0;1;2;3;4",
        "breastmnist": "malignant;normal, benign",
        "bloodmnist": "basophil;eosinophil;erythroblast;"
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes);lymphocyte;monocyte;neutrophil;"
        "platelet",
        "tissuemnist": "Collecting Duct, Connecting Tubule;Distal Convoluted Tubule;"
        "Glomerular endothelial cells;"
        "Interstitial endothelial cells;Leukocytes;Podocytes;Proximal Tubule Segments;Thick Ascending Limb",
        "organamnist": _ORGANS,
        "organcmnist": _ORGANS,
        "organsmnist": _ORGANS,
    }.items()
}
"""Class names of the flat sets that have one label an image; ChestMNIST has several."""

ARRAYS = "npz"
"""The name of any other data set in such a file."""

_MOST = 2**36  # bytes: TissueMNIST at 224 pixels has 12 GB
_NEEDED = tuple(f"{part}_{what}" for part in ("train", "test") for what in ("images", "labels"))
_REMEDY = f"its arrays have to be {', '.join(_NEEDED)}"


def load_npz(name: str, data: Path) -> Pair:
    """The training and the test images of an ``.npz`` file, uint8 ``[n, c, h, w]``.

    Images are ``[n, h, w]``, ``[n, h, w, c]`` or ``[n, c, h, w]``, labels ``[n]`` or ``[n, 1]``. The validation
    part, which MedMNIST keeps for choosing settings, is not read. The normalisation is that of the training
    images.

    Args:
        name: one of ``CLASSES``, which has names of its classes, or ``npz``.
        data: the file, or for a name of MedMNIST the folder that it lies in: ``NAME.npz``, the only one of
            another size (``NAME_64.npz``) where there is none of 28 pixels.

    Raises:
        ValueError: for a file that is absent, damaged or of another layout, and labels without a name.
    """
    path = _file(name, data.expanduser())
    check_file(path, "name the .npz file with --data FILE")
    arrays = read_npz(
        path, "a data set", _REMEDY, at_most=_MOST, wanted=lambda each: not each.startswith("val_")
    )
    absent = [each for each in _NEEDED if each not in arrays]
    if absent:
        held = ", ".join(f"{key} {list(array.shape)}" for key, array in list(arrays.items())[:6])[:200]
        raise one_line(f"{path} has no {absent[0]} (it holds {held or 'no arrays'}): {_REMEDY}")
    parts = [_part(path, part, arrays) for part in ("train", "test")]
    names = CLASSES.get(name) or CLASSES.get(path.stem.partition("_")[0])
    highest = max((int(labels.max()) for _, labels in parts if len(labels)), default=0)
    if names and highest >= len(names):
        raise one_line(f"{path} has a label {highest}, {name} has {len(names)} classes: name it {ARRAYS}")
    try:
        train = ImageSet.of(*parts[0], names=names)
        return train, ImageSet.of(*parts[1], names=names, normalisation=(train.mean, train.std))
    except ValueError as error:
        raise one_line(f"{path}: {error}") from None


def _file(name: str, data: Path) -> Path:
    if name == ARRAYS or not data.is_dir():
        return data
    if (data / f"{name}.npz").exists():
        return data / f"{name}.npz"
    sizes = sorted(data.glob(f"{name}_*.npz"))
    if len(sizes) == 1:
        return sizes[0]
    there = f"several of its sizes ({', '.join(each.name for each in sizes)})" if sizes else f"no {name}.npz"
    raise one_line(f"{data} has {there}: name the file with --data FILE")


def _part(path: Path, part: str, arrays: dict[str, Array]) -> Part:
    images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3, 4) and images.shape[1] not in (1, 3, 4):
        images = images.transpose(0, 3, 1, 2)
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise one_line(f"{path} has {labels.shape[1]} labels an image: give a data set of one")
    if (
        images.dtype != np.uint8
        or labels.dtype.kind not in "iu"
        or images.ndim != 4
        or labels.size != len(images)
    ):
        given = f"{images.dtype} images {list(images.shape)} with {labels.dtype} labels {list(labels.shape)}"
        raise one_line(f"{path} has {part} {given}: give uint8 images and a whole number for each")
    return images, labels.reshape(-1).astype(np.int64)

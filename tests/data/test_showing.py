"""Sets that show themselves, and that are data sets of torch."""

import io
import pickle

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet


def real(classes=3, each=4, shape=(3, 8, 8), dtype=torch.uint8):
    n, g = classes * each, torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=g)
    images = images if dtype == torch.uint8 else images / 51 - 2.5
    names = [f"<b>{i}</b>" for i in range(2 * classes)]
    return ImageSet.of(images, 2 * torch.arange(n).remainder(classes), names=names)


def condensed(factor=1, codec="uint8", **of):
    own = real(**of)
    pixels = own.take(torch.arange(len(own))).view(len(own.class_ids), -1, *own.shape)
    return CondensedSet.of(own, pixels, {"name": "dm"}, 0, factor).coded(codec)


SETS = {
    "real": real(),
    "floats": real(dtype=torch.float32),
    "condensed": condensed(),
    "float32": condensed(codec="float32"),
    "unpacked": condensed(factor=2).unpacked(),
}


@pytest.mark.parametrize("made", SETS.values(), ids=SETS)
def test_items_are_what_networks_take_and_labels(made):
    whole = (
        made.decode() if isinstance(made, CondensedSet) else (made.take(torch.arange(len(made))), made.labels)
    )
    images, labels = zip(*made, strict=True)
    assert isinstance(made, Dataset)
    assert torch.equal(torch.stack(images), whole[0])
    assert list(labels) == whole[1].tolist()
    assert torch.equal(made[-1][0], whole[0][-1])
    for index in (len(made), -len(made) - 1):
        with pytest.raises(IndexError, match=f"image {index} of {len(made)}: they count from 0"):
            made[index]
    again = pickle.loads(pickle.dumps(made))
    assert torch.equal(again[3][0], made[3][0])


@pytest.mark.slow
def test_a_loader_with_processes_gives_every_image_once():
    for made in (SETS["real"], SETS["condensed"]):
        batches = [*DataLoader(made, batch_size=5, num_workers=2)]
        assert [len(labels) for _, labels in batches] == [5, 5, 2]
        assert torch.cat([labels for _, labels in batches]).tolist() == made.labels.tolist()
        assert torch.equal(torch.cat([images for images, _ in batches])[7], made[7][0])


def test_what_holds_several_images_is_no_item():
    made = condensed(factor=2)
    with pytest.raises(ValueError, match=r"each stored image holds 4 to train on: take them from unpacked\(\)"):
        made[0]
    unpacked = made.unpacked()
    assert len(unpacked) == 4 * len(made)
    assert unpacked.counts == (16, 16, 16)
    assert torch.equal(unpacked.pixels, made.decode()[0])


@pytest.mark.parametrize("made", SETS.values(), ids=SETS)
def test_a_set_is_two_lines_and_its_html_names_classes_and_has_a_picture(made):
    lines = repr(made).splitlines()
    assert len(lines) == 2
    assert lines[1] == "classes: <b>0</b>, <b>2</b>, <b>4</b>"
    assert "3 classes, 3 x 8 x 8" in lines[0]
    shown = made._repr_html_()
    assert "&lt;b&gt;0&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert 'src="data:image/png;base64,' in shown


@pytest.mark.parametrize("of", [{"classes": 300, "each": 1}, {"each": 40}, {"shape": (1, 300, 330), "each": 2}])
def test_a_picture_in_a_notebook_has_a_bounded_size(of):
    for made in (real(**of), condensed(**of)):
        page = Image.open(io.BytesIO(made._repr_png_()))
        assert max(page.size) <= 1300
        assert len(made._repr_html_()) < 4_000_000
        assert len(repr(made)) < 400
    assert real(**of).picture(2, 1).size < page.size


@pytest.mark.parametrize("arguments", [(0,), (1, 0), (-1,), (1.5,)])
def test_a_picture_of_nothing_is_refused(arguments):
    for made in (real(), condensed()):
        with pytest.raises(ValueError, match="give"):
            made.picture(*arguments)

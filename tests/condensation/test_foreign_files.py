"""Condensed sets as others publish them: every layout, label and order of axes; what a pickle may not do."""

import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from cl_condense.condensation.formats import unpickling
from cl_condense.condensation.formats.read import read
from cl_condense.condensation.starting import started
from cl_condense.condensation.storage import decode
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.registry import build

CONSTANTS = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
CLASSES = {0: "cat", 1: "dog", 2: "owl"}
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(6, 3, 8, 8, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
ORDER = [0, 3, 1, 4, 2, 5]
LOGITS = torch.randn(6, 3, generator=GENERATOR) + 5 * torch.eye(3)[LABELS]
MEAN, STD = (torch.tensor(values).view(-1, 1, 1) for values in CONSTANTS)


def saved(value, path, **options):
    torch.save(value, path, **options)
    return path


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_])
def test_accuracies_that_are_numpy_scalars_are_read_under_both_names(module, kind, tmp_path):
    found = {"data": [[IMAGES, LABELS]], "accs_all_exps": {"ConvNet": [kind(1), kind(0)]}}
    path = saved(found, tmp_path / "res.pt", _use_new_zipfile_serialization=False)
    own = np.float64(1).__reduce__()[0].__module__.encode()
    path.write_bytes(path.read_bytes().replace(own, module))
    assert torch.equal(read(path, CONSTANTS).set.pixels, IMAGES[ORDER])
    zipped = saved(found, tmp_path / "zip.pt")
    assert torch.equal(read(zipped, CONSTANTS).set.pixels, IMAGES[ORDER])


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("order", "<>")
def test_scalars_are_the_numbers_that_numpy_wrote(order, protocol):
    given = [np.dtype(f"{order}{code}").type(3).astype(f"{order}{code}") for code in ("f8", "f4", "i4", "u2")]
    data = pickle.dumps([given, np.float64(0.1), np.bool_(True)], protocol)
    assert unpickling.Reader.load(io.BytesIO(data)) == [[3, 3, 3, 3], 0.1, True]


def pickled(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


TEXT = b"X\x05\x00\x00\x00hello"
TENSOR = b"ctorch\nSize\n(K\x02t\x85R"  # something built
HOSTILE = {
    "a call of what no tensor needs": pickled(b"cbuiltins\nbytearray\n", b"K\x05\x85R"),
    "a name below an allowed one": pickled(b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n"),
    "a module's own name": pickled(b"ctorch\n_utils\n"),
    "a call of what was built": pickled(TENSOR, b")R"),
    "a state for what was built": pickled(TENSOR, b"}b"),
    "a state for a function": pickled(b"ctorch._utils\n_rebuild_tensor_v2\n", b"}", TEXT, b"K\x05sb"),
    "a state for a class": pickled(b"ctorch\nSize\n", b"}", TEXT, b"K\x05sb"),
    "a new object of a class": pickled(b"ctorch\nSize\n", b")\x81"),
    "an old object of a class": pickled(b"(ctorch\nSize\no"),
    "an instance by name": pickled(b"(itorch\nSize\n"),
    "an extension": pickled(b"\x82\x05"),
    "things put into a text": pickled(TEXT, b"K\x05a"),
    "things put into a size": pickled(TENSOR, b"K\x00K\x01s"),
    "a dtype of objects": pickled(b"cnumpy\ndtype\n", b"X\x02\x00\x00\x00O8\x85R"),
    "a dtype of fields": pickled(b"cnumpy\ndtype\n", b"X\x05\x00\x00\x00f8,f8\x85R"),
    "a scalar of another length": pickled(
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R",
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86Rt",
        b"R",
    ),
    "another encoding": pickled(b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00bz2\x86R"),
    "a frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\x00\x00K\x01.",
    "a name on the stack": b"\x80\x04\x8c\x05torch\x8c\x04Size\x93.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_does_nothing_but_what_tensors_need(name):
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        unpickling.Reader.load(io.BytesIO(HOSTILE[name]))


def test_storages_alone_are_looked_up_outside_a_pickle():
    class Looking(unpickling.Unpickler):
        def persistent_load(self, name):
            return name

    storage, module = (
        pickled(b"(X" + bytes([len(n)]) + b"\0\0\0" + n + b"tQ") for n in (b"storage", b"module")
    )
    assert Looking(io.BytesIO(storage)).load() == ("storage",)
    for data in (module, pickled(b"X\x07\0\0\0storageQ"), b"Pstorage\n."):
        with pytest.raises(pickle.UnpicklingError):
            Looking(io.BytesIO(data)).load()


def test_an_archive_that_torch_would_unpack_is_refused(tmp_path):
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        archive.add(saved(IMAGES, tmp_path / "storages"), "storages")
    with pytest.raises(ValueError, match=r"old\.pt cannot be read as tensors \(it is an archive of torch"):
        read(tmp_path / "old.pt", CONSTANTS)


def test_a_program_of_torchscript_is_refused(tmp_path):
    path = saved([IMAGES, LABELS], tmp_path / "net.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/constants.pkl", b"\x80\x02).")
    with pytest.raises(ValueError, match=r"net\.pt cannot be read as tensors \(it is a program of"):
        read(path, CONSTANTS)


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_undecoded_mosaics_is_decoded_as_it_was_made(kind, tmp_path):
    x = torch.rand(6, 3, 8, 8, generator=GENERATOR)
    path = saved(kind([x.requires_grad_(), LABELS]), tmp_path / "data.pt")
    found = read(path, CONSTANTS, CLASSES, factor=2, space="unit")
    images, labels = found.set.decode()
    assert labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    torch.testing.assert_close(images[8:16], decode(((x.detach() - MEAN) / STD)[LABELS == 1], 2))
    assert found.said() == "assumed: classes by number; values 0 to 1, 4 images in one"


@pytest.mark.parametrize(
    ("low", "high", "space"), [(-0.4, 1.3, "unit"), (-1.7, 2.1, "normalised"), (0, 255, "pixels")]
)
def test_a_list_goes_from_black_to_white_as_far_as_it_may(low, high, space, tmp_path):
    x = torch.rand(6, 3, 8, 8, generator=GENERATOR) * (high - low) + low
    x.view(-1)[:2] = torch.tensor([low, high])
    assert read(saved([x, LABELS], tmp_path / "set.pt"), CONSTANTS).record()["space"] == space


@pytest.mark.parametrize(("name", "beside"), [("images_best.pt", "labels_best.pt"), ("images.pt", "labels.pt")])
@pytest.mark.parametrize("folder", [False, True])
def test_images_alone_have_their_labels_beside_them(folder, name, beside, tmp_path):
    saved(IMAGES, tmp_path / name)
    saved(LABELS, tmp_path / beside)
    found = read(tmp_path if folder else tmp_path / name, CONSTANTS, CLASSES).set
    assert torch.equal(found.pixels, IMAGES[ORDER])
    assert found.class_ids == (0, 1, 2)


def test_images_alone_go_by_class_where_their_number_divides(tmp_path):
    path = saved(IMAGES, tmp_path / "images.pt")
    found = read(path, CONSTANTS, CLASSES)
    assert torch.equal(found.set.pixels, IMAGES)
    assert found.set.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert "images in the order of the classes" in found.said()
    assert "labels" in found.record()["assumed"]
    with pytest.raises(
        ValueError, match=r"images\.pt: no labels beside 6 images, which do not go by 4 classes"
    ):
        read(path, CONSTANTS, CLASSES | {3: "ibex"})
    with pytest.raises(ValueError, match=r"images\.pt: no labels beside the images: name the data set"):
        read(path, CONSTANTS)


@pytest.mark.parametrize(
    ("labels", "soft", "said"),
    [
        (LOGITS.softmax(1), LOGITS.softmax(1), "soft labels"),
        (LOGITS.double().softmax(1), LOGITS.softmax(1), "soft labels"),
        (LOGITS, LOGITS.softmax(1), "soft labels, of logits"),
        (torch.eye(3)[LABELS], None, ""),
        (torch.eye(3)[LABELS] - 1 / 3, None, ""),
        (LABELS[:, None], None, ""),
        (LABELS.float(), None, ""),
    ],
)
def test_labels_are_hard_soft_or_one_hot(labels, soft, said, tmp_path):
    saved(IMAGES, tmp_path / "images_best.pt")
    saved(labels, tmp_path / "labels_best.pt")
    found = read(tmp_path / "images_best.pt", CONSTANTS, CLASSES)
    assert found.set.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(found.set.pixels, IMAGES[ORDER])
    assert said in found.said()
    if soft is None:
        assert found.set.soft_labels() is None
        assert "soft" not in found.said()
    else:
        torch.testing.assert_close(found.set.soft_labels(), soft[ORDER])


def test_a_set_of_soft_labels_keeps_them(tmp_path):
    saved({"data": [[IMAGES, LOGITS.softmax(1)]]}, tmp_path / "set.pt")
    made = read(tmp_path / "set.pt", CONSTANTS, CLASSES).set
    soft = made.soft_labels()
    made.coded("uint8").save(tmp_path / "set.safetensors")
    back = read(tmp_path / "set.safetensors", CONSTANTS, CLASSES).set
    assert torch.equal(back.soft_labels(), soft)
    assert torch.equal(back.only([1]).soft_labels(), soft[2:4])
    assert back.nbytes == back.stored["pixels"].numel() + 6 * 3 * 2 * 2 + 6 * 3 * 4 + 3 * 16
    for change in (lambda: back.merged(back), lambda: back.relabelled((3, 4, 5))):
        with pytest.raises(ValueError, match="soft labels"):
            change()
    with pytest.raises(ValueError, match="soft labels, which condensing would lose"):
        started(build("dm"), back, ImageSet.of(IMAGES, LABELS), 2, 0)
    with pytest.raises(ValueError, match=r"soft labels of 3 classes, the data set has 2"):
        read(tmp_path / "set.pt", CONSTANTS, {0: "a", 1: "b"})


@pytest.mark.parametrize("names", [("images", "labels"), ("X_train", "y_train"), ("data", "targets")])
@pytest.mark.parametrize("layout", ["first", "last"])
def test_arrays_of_others_are_found_whatever_their_names_and_axes(layout, names, tmp_path):
    x = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8, generator=GENERATOR)
    arrays = x.permute(0, 2, 3, 1).numpy() if layout == "last" else np.asfortranarray(x.numpy())
    np.savez_compressed(tmp_path / "set.npz", **{names[0]: arrays, names[1]: LABELS.numpy().astype(">i4")})
    found = read(tmp_path / "set.npz", CONSTANTS, CLASSES)
    assert torch.equal(found.set.to_pixels(), x[ORDER])
    assert ("channels last" in found.said()) == (layout == "last")
    np.savez(tmp_path / "grey.npz", x=x[:, 0].numpy(), y=LABELS.numpy())
    assert torch.equal(read(tmp_path / "grey.npz", ((0.5,), (0.2,))).set.to_pixels(), x[ORDER, :1])


FOUND = {
    "a list": (lambda p: saved([1, 2], p / "a.pt"), r"it holds a list of 2: int, int"),
    "three tensors": (lambda p: saved([IMAGES] * 3, p / "a.pt"), r"a list of 3: a tensor \[6, 3, 8, 8\], "),
    "a text": (lambda p: saved("x", p / "a.pt"), r"it holds a str"),
    "a state": (lambda p: saved({"w": IMAGES}, p / "a.pt"), r"no pairs under 'data', but 'w'"),
    "labels of another kind": (
        lambda p: [saved([1], p / "labels.pt"), saved(IMAGES, p / "images.pt")][1],
        r"labels\.pt is no condensed set \(it holds a list of 1: int\)",
    ),
    "other arrays": (
        lambda p: [np.savez(p / "a.npz", w=np.zeros((2, 3))), p / "a.npz"][1],
        r"a\.npz is no condensed set \(it holds w \[2, 3\]\)",
    ),
    "objects": (
        lambda p: [np.savez(p / "a.npz", images=np.array([{}], dtype=object)), p / "a.npz"][1],
        r"an array of object, which are no numbers or texts",
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_a_file_holds_instead_is_said(name, tmp_path):
    make, said = FOUND[name]
    with pytest.raises(ValueError, match=said) as error:
        read(make(tmp_path), CONSTANTS, CLASSES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [{"pair": 1}])
@pytest.mark.parametrize("value", [[IMAGES, LABELS], IMAGES])
def test_what_has_no_pairs_has_no_first_one(value, options, tmp_path):
    with pytest.raises(ValueError, match="has no pairs"):
        read(saved(value, tmp_path / "images.pt"), CONSTANTS, CLASSES, **options)


def test_a_table_of_classes_leads_nowhere_else(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "set").mkdir()
    for folder in ("../secret", "/etc", "", ".", "a\\b"):
        table = {"classes": [{"folder": folder, "label": 0}], "cl-condense": None}
        (tmp_path / "set" / "classes.json").write_text(json.dumps(table))
        with pytest.raises(ValueError, match=r"classes\.json is no table of classes"):
            read(tmp_path / "set", CONSTANTS)

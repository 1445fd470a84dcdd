"""Sets of any classes and names, written in every format and read again."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import same

from cl_condense.condensation.codecs import CODECS
from cl_condense.condensation.condensed_set import CondensedSet, read_header
from cl_condense.condensation.formats.export import export
from cl_condense.condensation.formats.read import read
from cl_condense.condensation.formats.registry import EXPORTS
from cl_condense.data.class_names import safe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def sets(draw, codecs=tuple(CODECS), largest=2**63 - 1, channels=(1, 3)):
    ids = sorted(draw(st.lists(st.integers(0, largest), min_size=1, max_size=4, unique=True)))
    counts = draw(st.lists(st.integers(1, 3), min_size=len(ids), max_size=len(ids)))
    channels, factor = draw(st.sampled_from(channels)), draw(st.sampled_from([1, 2]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    named = draw(st.booleans())
    return CondensedSet(
        torch.randn(sum(counts), channels, 4, 6, generator=generator),
        class_ids=tuple(ids),
        counts=tuple(counts),
        mean=tuple(draw(st.lists(st.floats(-1, 1), min_size=channels, max_size=channels))),
        std=tuple(draw(st.lists(st.floats(0.05, 1), min_size=channels, max_size=channels))),
        codec=draw(st.sampled_from(codecs)),
        factor=factor,
        names=tuple(draw(st.lists(NAMES, min_size=len(ids), max_size=len(ids)))) if named else (),
        recipe=draw(st.dictionaries(st.text(), JSON, max_size=2)),
        seed=draw(st.integers(0, 2**63)),
    )


@given(sets(), st.dictionaries(st.text(min_size=1).filter(lambda key: key not in ("self", "path")), JSON))
def test_a_file_gives_back_every_field_and_what_was_said_besides(made, extra):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.safetensors"
        made.save(path, **extra)
        same(CondensedSet.load(path), made)
        assert read_header(path) == extra


FLOATS = ("pt", "ddranking")  # the values of a network's input
NAMED = ("pt", "npz", "png", "hub")  # what says names and normalisation too


def there_and_back(made, kind, **asked):
    if kind == "hub":
        pytest.importorskip("pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"set{EXPORTS[kind].suffix}"
        return read(export(made, path, kind), (made.mean, made.std), **asked).set


@pytest.mark.parametrize("kind", [kind for kind in EXPORTS if kind != "list"])
@settings(max_examples=30, deadline=None)
@given(made=st.data())
def test_what_is_exported_comes_back_to_the_bit(kind, made):
    made = made.draw(sets(channels=(1, 3) if kind == "hub" else (1, 2, 3, 4, 5)))
    back = there_and_back(made, kind)
    images, labels = made.decode()
    if kind in FLOATS:
        assert torch.equal(back.pixels, images)
    assert torch.equal(back.to_pixels(), made.to_pixels(decoded=True))
    assert torch.equal(back.labels, labels)
    if kind in NAMED:
        assert (back.names, back.mean, back.std, back.factor) == (made.names, made.mean, made.std, 1)


@settings(max_examples=20, deadline=None)
@given(sets(channels=(1, 2, 5)))
def test_a_list_has_the_stored_images_from_black_to_white(made):
    with tempfile.TemporaryDirectory() as folder:
        path = export(made, Path(folder) / "set.pt", "list")
        x, labels = torch.load(path, weights_only=True)
        back = read(path, (made.mean, made.std), factor=made.factor, space="unit").set
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (made.mean, made.std))
    assert torch.equal(x, made.pixels * std + mean)
    assert torch.equal(labels, made.labels)
    assert torch.equal(back.pixels, (x - mean) / std)
    assert (back.factor, back.class_ids, back.counts) == (made.factor, made.class_ids, made.counts)


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("factor", [1, 2])
def test_soft_labels_come_back_to_the_bit(kind, factor):
    generator = torch.Generator().manual_seed(0)
    soft = torch.softmax(torch.randn(6, 3, generator=generator) + 5 * torch.eye(3).repeat_interleave(2, 0), 1)
    pixels = torch.randn(6, 1, 4, 4, generator=generator)
    own = {"class_ids": (0, 1, 2), "counts": (2, 2, 2), "mean": (0.5,), "std": (0.2,), "factor": factor}
    made = CondensedSet({"pixels": pixels, "soft": soft}, **own)
    back = there_and_back(made, kind, **({"factor": factor, "space": "unit"} if kind == "list" else {}))
    assert torch.equal(back.soft_labels(), made.soft_labels())
    assert torch.equal(back.labels, made.labels if kind == "list" else made.decode()[1])


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("red panda", "red panda"),
        ("Äpfel", "Äpfel"),
        ("normal, benign", "normal, benign"),
        ("7", "7"),
        *[(name, None) for name in ("a/b", "..", ".", "", "con", "NUL.txt", "a:b", "x.", " x", "12-cat")],
        *[(name, None) for name in ("a\0", "tab\t", "é" * 150, "a\u0301", "\u202ex")],
    ],
)
def test_a_folder_has_the_name_of_its_class_where_every_file_system_takes_it(name, folder, tmp_path):
    made = CondensedSet(torch.zeros(2, 1, 4, 4), (3, 12), (1, 1), (0.5,), (0.2,), names=(name, "other"))
    path = export(made, tmp_path / "images", "png")
    (other,) = (each.name for each in path.iterdir() if each.is_dir() and each.name != "other")
    assert other == (folder or f"03-{safe(name)[:40]}")
    assert read(path, (made.mean, made.std)).set.names == made.names


def test_names_that_differ_in_case_alone_have_folders_of_their_own(tmp_path):
    made = CondensedSet(torch.zeros(2, 1, 4, 4), (0, 1), (1, 1), (0.5,), (0.2,), names=("Cat", "cat"))
    path = export(made, tmp_path / "images", "png")
    assert sorted(each.name for each in path.iterdir() if each.is_dir()) == ["0-Cat", "1-cat"]


def test_npz_has_names_for_numpy(tmp_path):
    made = CondensedSet(torch.zeros(2, 2, 8, 8), (3, 12), (1, 1), (0.5,) * 2, (0.2,) * 2, names=("a", "b\0"))
    with np.load(export(made, tmp_path / "set.npz", "npz"), allow_pickle=False) as found:
        assert found["names"].tolist() == ["a", "b"]  # numpy cuts zeros off; the reader has them
        assert found["labels"].tolist() == [3, 12]
        assert np.array_equal(found["images"], made.to_pixels().numpy())
    assert read(tmp_path / "set.npz", ((0.5,) * 2, (0.2,) * 2)).set.names == made.names

"""Sets of any classes and names, written in every format and read again."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sets import same

from cl_condense.condensation.codecs import CODECS
from cl_condense.condensation.condensed_set import CondensedSet, read_header
from cl_condense.condensation.formats.export import export
from cl_condense.condensation.formats.read import read
from cl_condense.data.class_names import safe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)
# numpy cuts zeros off the end of its texts
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@st.composite
def sets(draw, codecs=tuple(CODECS), largest=2**63 - 1):
    ids = sorted(draw(st.lists(st.integers(0, largest), min_size=1, max_size=4, unique=True)))
    counts = draw(st.lists(st.integers(1, 3), min_size=len(ids), max_size=len(ids)))
    channels, factor = draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, 2]))
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


@given(sets())
def test_a_published_file_gives_back_images_labels_names_and_normalisation(made):
    with tempfile.TemporaryDirectory() as folder:
        back = read(export(made, Path(folder) / "set.pt", "pt"), ((0.5,) * 3, (0.5,) * 3)).set
    images, labels = made.decode()
    assert torch.equal(back.pixels, images)
    assert torch.equal(back.labels, labels)
    assert (back.names, back.mean, back.std, back.factor) == (made.names, made.mean, made.std, 1)


@given(sets())
def test_npz_gives_back_pixels_labels_and_names(made):
    with tempfile.TemporaryDirectory() as folder:
        path = export(made, Path(folder) / "set.npz", "npz")
        images, labels, names = np.load(path, allow_pickle=False).values()
    assert np.array_equal(images, made.to_pixels(decoded=True).numpy())
    assert labels.tolist() == made.decode()[1].tolist()
    assert names.tolist() == list(made.names)


@given(sets())
def test_a_folder_of_images_gives_back_pixels_and_labels(made):
    with tempfile.TemporaryDirectory() as folder:
        path = export(made, Path(folder) / "images", "png")
        called = {each.name for each in path.iterdir()}
        back = read(path, (made.mean, made.std)).set
    assert torch.equal(back.to_pixels(), made.to_pixels(decoded=True))
    assert torch.equal(back.labels, made.decode()[1])
    assert {name.partition("-")[2] for name in called} == ({*map(safe, made.names)} if made.names else {""})

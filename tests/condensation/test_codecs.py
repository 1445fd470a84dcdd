"""How condensed sets are stored: what comes back, what it costs, what is refused."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cl_condense.condensation.codecs import CODECS, LABEL_BYTES, codec, image_bytes, images_in
from cl_condense.condensation.condensed_set import CondensedSet
from cl_condense.data.imageset import ImageSet

SHAPES = [(1, 8, 8), (3, 32, 32), (2, 5, 7), (1, 1, 1)]


def pixels(shape, n=6, seed=0, spread=3.0):
    return torch.randn((n, *shape), generator=torch.Generator().manual_seed(seed)) * spread


def a_set(name, shape=(3, 8, 8)):
    return CondensedSet(pixels(shape), (2, 5), (4, 2), (0.5,) * shape[0], (0.2,) * shape[0], codec=name)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_is_stored_has_the_layout_and_the_bytes_that_are_said(name, shape):
    stored = codec(name).encode(pixels(shape))
    layout = codec(name).layout(shape)
    assert {k: (t.dtype, tuple(t.shape[1:])) for k, t in stored.items()} == layout
    assert all(len(t) == 6 for t in stored.values())
    held = sum(t.untyped_storage().nbytes() for t in stored.values())
    assert held == 6 * image_bytes(name, shape)
    assert a_set(name, shape).nbytes == held + 2 * LABEL_BYTES


@pytest.mark.parametrize(("name", "cost"), [("float32", 12288), ("float16", 6144), ("uint8", 3072 + 12)])
def test_bytes_of_an_image_of_32_pixels(name, cost):
    assert image_bytes(name, (3, 32, 32)) == cost
    assert images_in(cost * 10 + 2 * LABEL_BYTES, 2, name, (3, 32, 32)) == 10
    assert images_in(cost * 10 + 2 * LABEL_BYTES - 1, 2, name, (3, 32, 32)) == 9


def test_float32_keeps_every_bit():
    x = pixels((3, 8, 8))
    assert torch.equal(codec("float32").decode(codec("float32").encode(x)), x)


@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0])
def test_8_bits_are_within_half_a_step_of_the_channel(spread):
    x = pixels((3, 16, 16), spread=spread) + torch.tensor([0.0, 2.0, -5.0]).view(-1, 1, 1) * spread
    back = codec("uint8").decode(codec("uint8").encode(x))
    span = x.amax((2, 3)) - x.amin((2, 3))
    # half a step, and float16's rounding of offset and range
    allowed = span / 510 + (x.abs().amax((2, 3)) + span) * 2**-11
    assert bool(((back - x).abs().amax((2, 3)) <= allowed).all())
    assert bool(((back - x).abs().amax((2, 3)) > 0).all())


def test_8_bits_keep_every_pixel_of_real_images():
    generator = torch.Generator().manual_seed(1)
    raw = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=generator)
    raw[1] = 7  # a plain one
    raw[2, :, 0, 0], raw[2, :, 0, 1] = 0, 255
    real = ImageSet.of(raw, torch.zeros(40, dtype=torch.int64), normalisation=((0.49,) * 3, (0.2,) * 3))
    made = CondensedSet(real.take(torch.arange(40)), (0,), (40,), real.mean, real.std, codec="uint8")
    assert torch.equal(made.to_pixels(), raw)


@pytest.mark.parametrize("name", CODECS)
def test_storing_what_was_stored_changes_nothing(name):
    once = a_set(name)
    again = CondensedSet(once.pixels, once.class_ids, once.counts, once.mean, once.std, codec=name)
    assert torch.equal(once.pixels, again.pixels)


def test_values_beyond_black_and_white_are_kept():
    x = torch.tensor([-4.4, 0.0, 5.1, 1.0]).view(1, 1, 2, 2)
    back = codec("uint8").decode(codec("uint8").encode(x))
    assert torch.allclose(back, x, atol=0.025)


def test_a_plain_channel_is_kept():
    for value in (0.0, 2.5, -1.25):
        back = codec("uint8").decode(codec("uint8").encode(torch.full((2, 1, 4, 4), value)))
        assert torch.equal(back, torch.full((2, 1, 4, 4), value))


@pytest.mark.parametrize("name", ["float16", "uint8"])
def test_values_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match=r"65504.*float32"):
        CondensedSet(torch.full((1, 1, 4, 4), 1e6), (0,), (1,), (0.0,), (1.0,), codec=name)


def test_an_unknown_codec_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'unit8'.*'uint8'"):
        codec("unit8")
    with pytest.raises(ValueError, match="'jpeg'"):
        a_set("jpeg")


@pytest.mark.parametrize("name", CODECS)
def test_a_file_holds_what_is_stored_and_gives_it_back(tmp_path, name):
    one, path = a_set(name), tmp_path / "a.safetensors"
    one.save(path)
    with safe_open(path, "pt") as file:
        assert {k: file.get_tensor(k).dtype for k in file.keys()} == {k: t.dtype for k, t in one.stored.items()}  # noqa: SIM118
    back = CondensedSet.load(path)
    assert back.codec == name
    assert all(torch.equal(back.stored[k], t) for k, t in one.stored.items())
    assert path.stat().st_size < one.nbytes + 2048


@pytest.mark.parametrize("name", CODECS)
def test_parts_and_unions_are_those_of_the_stored_images(name):
    one = a_set(name)
    assert torch.equal(one.only([5]).pixels, one.pixels[4:])
    assert torch.equal(one.first({2: 2, 5: 1}).pixels, one.pixels[[0, 1, 4]])
    assert torch.equal(one.only([5]).merged(one.only([2])).pixels, one.pixels)
    assert one.only([5]).codec == name


def test_sets_of_different_codecs_do_not_merge():
    with pytest.raises(ValueError, match=r"uint8.*condense them alike"):
        a_set("float32").only([2]).merged(a_set("uint8").only([5]))


def test_coded_stores_a_set_in_another_way():
    one = a_set("float32")
    small = one.coded("uint8")
    assert small.nbytes < one.nbytes / 3
    assert torch.allclose(small.pixels, one.pixels, atol=0.05)
    assert one.coded("float32") is one


def test_a_file_of_the_format_before_codecs_is_read(tmp_path):
    one, path = a_set("float32"), tmp_path / "a.safetensors"
    one.save(path)
    with safe_open(path, "pt") as file:
        meta, tensor = file.metadata(), file.get_tensor("pixels")
    header = json.loads(meta["set"])
    del header["codec"], meta["checksum"]
    save_file({"pixels": tensor}, path, metadata=meta | {"format": "cl-condense 1", "set": json.dumps(header)})
    assert torch.equal(CondensedSet.load(path).pixels, one.pixels)


@pytest.mark.parametrize(
    "change",
    [
        {"span": None},
        {"span": torch.ones(6, 3)},
        {"offset": torch.full((6, 3), torch.nan, dtype=torch.float16)},
        {"pixels": torch.zeros(6, 3, 8, 8)},
        {"more": torch.zeros(6)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_tensors_that_are_not_the_codecs_are_refused(change):
    stored = {k: v for k, v in (a_set("uint8").stored | change).items() if v is not None}
    with pytest.raises(ValueError, match="a condensed set with"):
        replace(a_set("uint8"), stored=stored)

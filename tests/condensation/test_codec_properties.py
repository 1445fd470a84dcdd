"""Codecs on any pixels: how far off they are, and what they cost."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_condense.condensation.codecs import CODECS, LABEL_BYTES, codec, image_bytes, images_in

NAMES = st.sampled_from(sorted(CODECS))
SHAPES = st.tuples(st.sampled_from([1, 2, 3]), st.integers(1, 4), st.integers(1, 4))
VALUES = st.floats(-30_000, 30_000, width=32) | st.floats(-3, 3, width=32)


@st.composite
def pixels(draw):
    shape = (draw(st.integers(1, 3)), *draw(SHAPES))
    size = torch.Size(shape).numel()
    return torch.tensor(draw(st.lists(VALUES, min_size=size, max_size=size))).view(shape)


@given(pixels())
def test_float32_keeps_every_bit_and_float16_eleven(x):
    exact, half = (codec(name).decode(codec(name).encode(x)) for name in ("float32", "float16"))
    assert torch.equal(exact.view(torch.int32), x.view(torch.int32))
    assert bool(((half - x).abs() <= x.abs() * 2**-11 + 2**-25).all())


@given(pixels())
def test_8_bits_are_within_half_a_step_but_for_the_rounding_of_offset_and_span(x):
    back = codec("uint8").decode(codec("uint8").encode(x))
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    span = high - low
    rounding = (low.abs().maximum(high.abs()) + span) * 2**-11 + 2**-20
    assert bool(((back - x).abs() <= span / 510 + rounding).all())


@given(pixels(), NAMES)
def test_what_is_stored_has_the_bytes_that_are_said_and_is_decoded_image_by_image(x, name):
    stored = codec(name).encode(x)
    held = sum(t.numel() * t.element_size() for t in stored.values())
    assert held == len(x) * image_bytes(name, tuple(x.shape[1:]))
    alone = [codec(name).decode(codec(name).encode(image[None])) for image in x]
    assert torch.equal(codec(name).decode(stored), torch.cat(alone))


@given(NAMES, SHAPES, st.integers(0, 10**6), st.integers(1, 100))
def test_a_budget_holds_what_fits_it_and_not_one_more(name, shape, max_bytes, classes):
    images = images_in(max_bytes, classes, name, shape)
    needed = classes * LABEL_BYTES + images * image_bytes(name, shape)
    assert needed <= max_bytes < needed + image_bytes(name, shape)

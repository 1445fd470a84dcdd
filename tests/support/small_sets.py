"""Condensed sets compared."""

from dataclasses import fields

import torch

from cl_condense.condensation.condensed_set import CondensedSet


def same(a, b):
    """Two sets are equal to the bit and to the type in all that they hold."""
    assert a.stored.keys() == b.stored.keys()
    assert all(torch.equal(a.stored[name], b.stored[name]) for name in a.stored)
    for field in fields(CondensedSet):
        if field.name != "stored":
            assert getattr(a, field.name) == getattr(b, field.name)
            assert type(getattr(a, field.name)) is type(getattr(b, field.name))

"""Counter-based random numbers: a pure function of integer keys.

Whatever is random in this package is drawn here from keys that say what it is for (purpose, seed, class,
iteration, ...). So no draw depends on the order of other draws, on the number of classes in a step, on the
device or on a resume, and torch's global generators are never touched. The mixing function is the
finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), a few integer operations on whole tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

import torch
from torch import Tensor

Key = int | Tensor

_BITS = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Purpose(IntEnum):
    """What a draw is for: the first key, so that two uses of the same seed never share numbers."""

    REAL_BATCH = 1
    START = 2
    AUGMENT = 3
    NETWORK = 4
    SHUFFLE = 5
    SELECT = 6
    RECONDENSE = 7
    QUEUE = 8
    TRAIN_NET = 9
    POOL = 10
    MIX = 11
    SYN_BATCH = 12
    REPLAY = 13
    FREQUENCY = 14
    DOMAIN = 15
    RESERVOIR = 16
    STAGING = 17
    ARRIVAL = 18
    SIZE = 19


def _signed(x: int) -> int:
    x &= _BITS
    return x - (1 << 64) if x >> 63 else x


def _mix_int(z: int) -> int:
    z &= _BITS
    z = ((z ^ (z >> 30)) * _MULTIPLIERS[0]) & _BITS
    z = ((z ^ (z >> 27)) * _MULTIPLIERS[1]) & _BITS
    return z ^ (z >> 31)


def _shift(z: Tensor, by: int) -> Tensor:
    """Logical right shift; torch's own keeps the sign."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def _rounds(z: Tensor) -> Tensor:
    """The mixing but for its last step, which leaves the upper 33 bits as they are."""
    z = (z ^ _shift(z, 30)) * _signed(_MULTIPLIERS[0])
    return (z ^ _shift(z, 27)) * _signed(_MULTIPLIERS[1])


def _mix(z: Key) -> Key:
    if not isinstance(z, Tensor):
        return _mix_int(z)
    z = _rounds(z)
    return z ^ _shift(z, 31)


def fold(*keys: int) -> int:
    """One non-negative 63-bit seed from several integer keys."""
    h = 0
    for key in keys:
        h = _mix_int(h + _GOLDEN + int(key))
    return h >> 1


def subseed(*keys: int) -> int:
    """A seed of 32 bits, for a part that takes a seed as users give it, from several integer keys."""
    return fold(*keys) >> 31


def _with(h: Key, key: Key) -> Key:
    """What is mixed next, of the state and a key."""
    if isinstance(key, Tensor):
        return key.long() + (h + _signed(_GOLDEN) if isinstance(h, Tensor) else _signed(h + _GOLDEN))
    return h + _signed(_GOLDEN + int(key)) if isinstance(h, Tensor) else h + _GOLDEN + int(key)


def _unmixed(h: Key, keys: Sequence[Key]) -> Key:
    """The state after some keys, the last of them not mixed."""
    for key in keys[:-1]:
        h = _mix(_with(h, key))
    return _with(h, keys[-1])


def _tensor(h: Key) -> Tensor:
    return h if isinstance(h, Tensor) else torch.tensor(_signed(h))


def bits(*keys: Key, start: Key = 0) -> Tensor:
    """Random int64 tensor of the keys' broadcast shape, on the device of the tensor keys.

    The bits of the first keys are a ``start`` for the rest: ``bits(a, b) == bits(b, start=bits(a))``.
    """
    return _tensor(_mix(_unmixed(start, keys)))


def _upper(keys: Sequence[Key], start: Key) -> Tensor:
    """What has the upper 33 bits of ``bits``, three operations sooner."""
    h = _unmixed(start, keys)
    return _rounds(h) if isinstance(h, Tensor) else _tensor(_mix(h))


def uniform(*keys: Key) -> Tensor:
    """Float32 tensor in [0, 1), a multiple of 2**-24, of the keys' broadcast shape."""
    return unit(_upper(keys, 0))


def unit(bits: Tensor) -> Tensor:
    """``uniform`` of the keys that gave the bits."""
    return _shift(bits, 40).to(torch.float32) * 2.0**-24


def centred(*keys: Key, start: Key = 0) -> Tensor:
    """Int64 tensor from -2**23 to 2**23 - 1: 2**23 (2 ``uniform`` - 1); ``start`` as in ``bits``."""
    return (_upper(keys, start) ^ -(1 << 63)) >> 40


def normal(*keys: Key) -> Tensor:
    """Standard normal float32 tensor of the keys' broadcast shape (Box-Muller)."""
    radius = torch.sqrt(-2.0 * torch.log1p(-uniform(*keys, 0)))
    return radius * torch.cos(2.0 * math.pi * uniform(*keys, 1))


def normals(n: int, *keys: int, device: torch.device | str = "cpu") -> Tensor:
    """Float32 ``[n]``, standard normal: two of each 64 bits, for where so many are drawn that it takes time."""
    both = bits(*keys, torch.arange(-(-n // 2), device=device))
    high, low = (part.to(torch.float32) * 2.0**-24 for part in (_shift(both, 40), both & 0xFFFFFF))
    radius, angle = torch.sqrt(-2.0 * torch.log1p(-high)), 2.0 * math.pi * low
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)])[:n]


def permutation(n: int, *keys: Key, device: torch.device | str = "cpu") -> Tensor:
    """Random permutation of 0..n-1; tensor keys of shape [..., 1] give one permutation per row."""
    return bits(*keys, torch.arange(n, device=device)).argsort(dim=-1)


@contextmanager
def isolated(*keys: int, device: torch.device | None = None) -> Iterator[None]:
    """Inside, torch's global generators are seeded by the keys; outside, they are what they were.

    For code that is not ours and draws from them: a network's constructor, dropout. They are the CPU's and the
    device's: ``torch.manual_seed`` would leave those of other GPUs at the seed, and takes a millisecond.
    """
    seed = fold(*keys)
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield

"""Pickles of tensors and plain values, read by the names that stand here, and no others."""

from __future__ import annotations

import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import IO, Any, ClassVar, cast

import numpy as np
import torch

_TYPES = "bool uint8 int8 int16 int32 int64 bfloat16 float16 float32 float64".split()


class _Scalar:
    """What stands for numpy's dtype: a type of number, whose byte order a pickle sets afterwards."""

    def __init__(self, code: object, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or not re.fullmatch("[biuf][1248]", code):
            raise pickle.UnpicklingError("numpy's types are read where they are of numbers")
        self.dtype = np.dtype(code)

    def order(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a type of numpy's that is no number's")
        self.dtype = self.dtype.newbyteorder(state[1])


def _number(kind: object, data: object) -> bool | int | float:
    """The number that a scalar of numpy's holds."""
    if not isinstance(kind, _Scalar) or not isinstance(data, bytes) or len(data) != kind.dtype.itemsize:
        raise pickle.UnpicklingError("a scalar of numpy's that is no number")
    return cast("bool | int | float", np.frombuffer(data, kind.dtype)[0].item())


def _latin(text: object, encoding: object) -> bytes:
    """The bytes that protocol 2 writes as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes that are no scalar's")
    return text.encode("latin1")


NAMES: dict[str, object] = {
    "collections OrderedDict": OrderedDict,
    "torch Size": torch.Size,
    "torch device": torch.device,
    **{
        f"torch._utils {name}": getattr(torch._utils, name)
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2")
    },
    "torch._utils _rebuild_parameter": torch._utils._rebuild_parameter,
    **{f"torch {name}": getattr(torch, name) for name in _TYPES},
    "numpy dtype": _Scalar,
    "numpy.core.multiarray scalar": _number,  # before numpy 2
    "numpy._core.multiarray scalar": _number,
    "_codecs encode": _latin,
}
"""What a pickle may name, and what stands for it here: of numpy nothing is called with what a file says."""

_CALLED = [found for found in NAMES.values() if callable(found) and not isinstance(found, torch.dtype)]

_Unpickler: Any = pickle._Unpickler  # type: ignore[attr-defined] # in Python, so that every step can be another


class Unpickler(_Unpickler):  # type: ignore[misc]
    """Python's reader of pickles, which finds the names of this file, calls them alone, and changes no others.

    Torch's own reader of weights keeps to a list of names too, but has numpy's scalars under the names of the
    numpy that is installed alone, and on its list are some that take any amount of memory (``bytearray`` of a
    number), and tensors that are not what they seem (sparse, quantised, nested ones).
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> object:
        try:
            return NAMES[f"{module} {name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def _reduce(self) -> None:
        arguments, found = self.stack.pop(), self.stack[-1]
        if not any(found is one for one in _CALLED) or type(arguments) is not tuple:
            raise pickle.UnpicklingError("it calls what is no part of a tensor")
        self.stack[-1] = found(*arguments)

    def _build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, _Scalar):
            made.order(state)
        elif type(made) is not OrderedDict:  # whose state is an attribute that nobody reads
            raise pickle.UnpicklingError("it changes what is no part of a tensor")

    def _persistent(self) -> None:
        """Torch's storages alone: it also has modules, whose source it would look up."""
        name = self.stack.pop()
        if type(name) is not tuple or not name or name[0] != "storage":
            raise pickle.UnpicklingError("it holds more than tensors")
        self.stack.append(self.persistent_load(name))

    def _append(self) -> None:
        self._put([self.stack.pop()], list)

    def _appends(self) -> None:
        self._put(self.pop_mark(), list)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([(key, value)], dict)

    def _setitems(self) -> None:
        items = self.pop_mark()
        self._put(zip(items[::2], items[1::2], strict=True), dict)

    def _put(self, items: Iterable[Any], kind: type[list[Any]] | type[dict[Any, Any]]) -> None:
        made = self.stack[-1]
        if not isinstance(made, kind):
            raise pickle.UnpicklingError("it puts things into what is no container")
        made.update(items) if isinstance(made, dict) else made.extend(items)

    def _refuse(self) -> None:
        raise pickle.UnpicklingError("no pickle of tensors has a step of this kind")

    @classmethod
    def load_of(cls, file: IO[bytes], **options: Any) -> Any:
        """What ``pickle.load`` is to a module."""
        return cls(file, **options).load()


_STEPS: dict[str, Callable[[Unpickler], None]] = {
    "REDUCE": Unpickler._reduce,
    "BUILD": Unpickler._build,
    "BINPERSID": Unpickler._persistent,
    "APPEND": Unpickler._append,
    "APPENDS": Unpickler._appends,
    "SETITEM": Unpickler._setitem,
    "SETITEMS": Unpickler._setitems,
    **dict.fromkeys(("NEWOBJ", "OBJ", "INST", "EXT1", "EXT2", "EXT4", "PERSID"), Unpickler._refuse),
}
for _code in pickletools.opcodes:
    _step = Unpickler._refuse if _code.proto > 2 else _STEPS.get(_code.name)
    if _step:  # of protocols after 2, in which torch writes, a step may claim any amount of memory
        Unpickler.dispatch[ord(_code.code)] = _step


class Reader:
    """What ``torch.load`` takes as a module for pickles."""

    Unpickler = Unpickler
    load = Unpickler.load_of

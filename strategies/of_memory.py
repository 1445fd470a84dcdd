"""Attributes of CondensedBuffer that are those of its ClassMemory."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar, overload

from cl_condense.memory.class_memory import ClassMemory

T = TypeVar("T")


class HasMemory(Protocol):
    """What such an attribute is of."""

    class_memory: ClassMemory


class OfMemory(Generic[T]):
    """An attribute that is the ``ClassMemory``'s, under the same name unless another is given."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    @overload
    def __get__(self, buffer: None, owner: type) -> OfMemory[T]: ...
    @overload
    def __get__(self, buffer: HasMemory, owner: type) -> T: ...
    def __get__(self, buffer: HasMemory | None, owner: type) -> T | OfMemory[T]:
        return self if buffer is None else getattr(buffer.class_memory, self._name)

    def __set__(self, buffer: HasMemory, value: T) -> None:
        setattr(buffer.class_memory, self._name, value)

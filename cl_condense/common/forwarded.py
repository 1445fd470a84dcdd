"""Attributes that are those of a part."""

from __future__ import annotations

from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Forwarded(Generic[T]):
    """An attribute that is the part's, read and set, under the same name."""

    def __init__(self, part: str) -> None:
        self._part = part

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, whole: None, owner: type) -> Forwarded[T]: ...
    @overload
    def __get__(self, whole: object, owner: type) -> T: ...
    def __get__(self, whole: object | None, owner: type) -> T | Forwarded[T]:
        return self if whole is None else getattr(getattr(whole, self._part), self._name)

    def __set__(self, whole: object, value: T) -> None:
        setattr(getattr(whole, self._part), self._name, value)

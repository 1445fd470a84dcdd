"""How many images a memory may hold of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cl_condense.common.numbers import MOST, whole
from cl_condense.condensation.codecs import images_in

Shape = tuple[int, int, int]


@dataclass
class Budget:
    """One of three: images in all, bytes in all, or images of each class.

    What is shared is shared by the classes seen so far; what does not divide evenly goes to the first of them.
    With ``total_num_classes`` it is shared by so many from the start, so that no class's part shrinks, and what
    does not divide evenly is left. A class never gets more images than it has shown.

    Attributes:
        max_size: images in all.
        max_bytes: bytes in all, of images and labels as the codec stores them.
        per_class: images of each class.
        total_num_classes: how many classes the stream will have shown in the end.

    Raises:
        ValueError: unless exactly one of the first three is given, at least 1, and for ``total_num_classes``
            where nothing is shared.
    """

    max_size: int | None = None
    max_bytes: int | None = None
    per_class: int | None = None
    total_num_classes: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        classes = given.pop("total_num_classes", None)
        if len(given) != 1:
            listed = ", ".join(f"{name}={value}" for name, value in given.items()) or "none"
            raise ValueError(
                f"{listed}: give one budget: max_size images shared by all classes, max_bytes shared likewise, "
                "or per_class images each"
            )
        for name, value in given.items():
            setattr(self, name, whole(name, value))
        if classes is None:
            return
        self.total_num_classes = whole("total_num_classes", classes, at_most=MOST["classes"])
        if self.per_class is not None:
            raise ValueError(
                f"total_num_classes={classes} beside per_class={self.per_class}, which shares nothing: give "
                "one of them"
            )

    @property
    def amount(self) -> int:
        """Images or bytes, in all or of each class."""
        return self.max_size or self.max_bytes or self.per_class or 0

    def joined(self, other: Budget) -> Budget:
        """Both in one.

        Raises:
            ValueError: for budgets of two kinds.
        """
        mine, theirs = self._kind(), other._kind()
        if mine != theirs:
            raise ValueError(f"a budget in {mine} and one in {theirs}: give both in one of them")
        return replace(self, **{mine: self.amount + other.amount})

    def parted(self, share: float) -> tuple[Budget, Budget]:
        """What is left of it, and a share, each at least 1.

        Raises:
            ValueError: for a budget of 1.
        """
        kind, every = self._kind(), self.amount
        if every < 2:
            raise ValueError(f"{kind}={every}: give at least 2, one of them for real images")
        part = min(max(1, round(every * share)), every - 1)
        return replace(self, **{kind: every - part}), replace(self, **{kind: part})

    def _kind(self) -> str:
        return next(name for name in ("max_size", "max_bytes", "per_class") if getattr(self, name) is not None)

    def without(self, share: float) -> Budget:
        """What is left of it when a share, of one image or byte at least, is for images that wait.

        Raises:
            ValueError: for images of each class, which share nothing, and where nothing is left.
        """
        if self.per_class is not None:
            raise ValueError(
                f"per_class={self.per_class} with a share for images that wait: give max_size or max_bytes"
            )
        name, every = self._kind(), self.amount
        if every < 2:
            raise ValueError(f"{name}={every}: give at least 2, one of them for images that wait")
        return replace(self, **{name: every - max(1, int(every * share))})

    def beside(self, images: int, nbytes: int) -> Budget:
        """What is left of it beside images and bytes that are held."""
        if self.max_bytes is not None:
            return Budget(max_bytes=self.max_bytes - nbytes)
        return Budget((self.max_size or 0) - images)

    def resized(self, max_size: int) -> Budget:
        """The same of another ``max_size``.

        Raises:
            ValueError: where the budget is another.
        """
        if self.max_size is None:
            each = f"{self.per_class} images per class" if self.per_class else f"{self.max_bytes} bytes"
            raise ValueError(f"the memory has {each}, not a total size to change: make it with max_size")
        return replace(self, max_size=whole("max_size", max_size))

    def quotas(self, seen: Mapping[int, int], codec: str, shape: Shape) -> dict[int, int]:
        """Images that each class may have, of those ``seen`` of it, for images of a shape stored by a codec.

        Raises:
            ValueError: where not every class gets an image, and for more classes than ``total_num_classes``.
        """
        if not seen:
            return {}
        if self.per_class is not None:
            return {c: min(self.per_class, n) for c, n in seen.items()}
        classes = self.total_num_classes or len(seen)
        if len(seen) > classes:
            raise ValueError(
                f"the stream shows {len(seen)} classes, the memory is shared by total_num_classes={classes}: "
                "give as many as the whole stream has"
            )
        size = self.images(classes, codec, shape)
        share, rest = divmod(size, classes)
        if share < 1:
            name, held = "max_size", f"{self.max_size} images"
            if self.max_bytes is not None:
                name, held = "max_bytes", f"{self.max_bytes} bytes ({size} images)"
            raise ValueError(
                f"a memory of {held} cannot hold {classes} classes: raise {name} to one image for every "
                "class of the stream"
            )
        if self.total_num_classes:
            rest = 0  # else the memory would depend on which classes come first, and no part would be fixed
        return {c: min(share + (i < rest), n) for i, (c, n) in enumerate(seen.items())}

    def images(self, classes: int, codec: str, shape: Shape) -> int:
        """Images in all, of so many classes."""
        if self.per_class is not None:
            return self.per_class * classes
        if self.max_bytes is None:
            return self.max_size or 0
        return max(0, images_in(self.max_bytes, classes, codec, shape))

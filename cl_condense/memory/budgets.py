"""How many images a memory may hold of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cl_condense.common.numbers import whole
from cl_condense.condensation.codecs import images_in

Shape = tuple[int, int, int]


@dataclass
class Budget:
    """One of three: images in all, bytes in all, or images of each class.

    What is shared is shared by the classes seen so far; what does not divide evenly goes to the first of them.
    A class never gets more images than it has shown.

    Attributes:
        max_size: images in all.
        max_bytes: bytes in all, of images and labels as the codec stores them.
        per_class: images of each class.

    Raises:
        ValueError: unless exactly one is given, at least 1.
    """

    max_size: int | None = None
    max_bytes: int | None = None
    per_class: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            listed = ", ".join(f"{name}={value}" for name, value in given.items()) or "none"
            raise ValueError(
                f"{listed}: give one budget: max_size images shared by all classes, max_bytes shared likewise, "
                "or per_class images each"
            )
        for name, value in given.items():
            setattr(self, name, whole(name, value))

    def quotas(self, seen: Mapping[int, int], codec: str, shape: Shape) -> dict[int, int]:
        """Images that each class may have, of those ``seen`` of it, for images of a shape stored by a codec.

        Raises:
            ValueError: where not every class gets an image.
        """
        if not seen:
            return {}
        if self.per_class is not None:
            return {c: min(self.per_class, n) for c, n in seen.items()}
        size = self._images(len(seen), codec, shape)
        share, rest = divmod(size, len(seen))
        if share < 1:
            name, held = "max_size", f"{self.max_size} images"
            if self.max_bytes is not None:
                name, held = "max_bytes", f"{self.max_bytes} bytes ({size} images)"
            raise ValueError(
                f"a memory of {held} cannot hold {len(seen)} classes: raise {name} to one image for every "
                "class of the stream"
            )
        return {c: min(share + (i < rest), n) for i, (c, n) in enumerate(seen.items())}

    def _images(self, classes: int, codec: str, shape: Shape) -> int:
        if self.max_bytes is None:
            return self.max_size or 0
        return max(0, images_in(self.max_bytes, classes, codec, shape))

"""Names of hybrid memories: ``dm:herding:0.3``, condensed images by dm and 0.3 of the budget for real ones."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from cl_condense.common.numbers import finite
from cl_condense.methods.registry import build

SHARE = 0.5
"""Of real images, where a name says none."""

AUTO = "auto"
"""In the place of a share: the best on held-out images of the first classes."""

_GIVE = "give METHOD:CORESET:SHARE, such as dm:herding:0.5"


class Hybrid(NamedTuple):
    """What a name says.

    Attributes:
        made: the method that condenses.
        real: the coreset.
        share: of the budget, for its images; None: it is chosen on held-out images.
    """

    made: str
    real: str
    share: float | None

    @staticmethod
    def of(name: str) -> Hybrid | None:
        """Of a name with colons; None where there are none.

        Raises:
            ValueError: for a part that is not known, or not what its place is for.
        """
        if not isinstance(name, str) or ":" not in name:
            return None
        made, real, *rest = name.split(":")
        if len(rest) > 1:
            raise ValueError(f"method {name}: {_GIVE}")
        if not build(made).optimises or build(real).optimises:
            raise ValueError(f"method {name}: what condenses comes first, then a coreset; {_GIVE}")
        if rest == [AUTO]:
            return Hybrid(made, real, None)
        share: object = rest[0] if rest else SHARE
        with suppress(ValueError):
            share = float(str(share))
        try:
            return Hybrid(made, real, finite("share", share, above=0, below=1))
        except ValueError:
            raise ValueError(f"method {name}: {_GIVE}, with a share above 0 and below 1, or auto") from None


def made_of(name: str) -> str:
    """The method that condenses, or selects where there is no other; errors as ``Hybrid.of``."""
    hybrid = Hybrid.of(name)
    return hybrid.made if hybrid else name

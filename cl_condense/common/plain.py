"""Plain data, as records and headers of files hold it."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
"""An object of JSON: names and plain values."""

Values = Mapping[str, Any]
"""The same, to be read alone."""

"""What networks forget: from the accuracies on each step's classes, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cl_condense.common.plain import Values

Record = Values


def is_whole(records: Sequence[Record]) -> bool:
    """Whether records of one class order are of every step from the first on, each by step."""
    steps = sorted(r["step"] for r in records)
    return steps == [*range(1, len(steps) + 1)] and all("by_step" in r for r in records)


def accuracy_matrix(records: Sequence[Record]) -> np.ndarray:
    """Accuracies after step i on the classes of step j, ``[steps, steps, networks]``; NaN for steps to come.

    Args:
        records: of one method, trainer and class order.

    Raises:
        ValueError: for records that do not say it, as those of earlier versions, and where a step is missing.
    """
    own = sorted(records, key=lambda r: r["step"])
    if not is_whole(own):
        raise ValueError("not every step has its accuracies by step: run it again")
    shape = len(own), len(own), len(own[0]["accuracies"])
    matrix = np.full(shape, np.nan)
    for i, r in enumerate(own):
        matrix[i, : i + 1] = r["by_step"]
    return matrix


def forgetting(matrix: np.ndarray) -> np.ndarray:
    """How much lower the accuracy on earlier steps' classes is now than right after their step, ``[networks]``.

    The mean over steps j before the last one i of ``a[j, j] - a[i, j]``: Avalanche's stream forgetting, and
    the negative of its backward transfer. (Chaudhry et al., ECCV 2018, take the highest accuracy up to then in
    the place of ``a[j, j]``.) Zero after the first step.
    """
    last = len(matrix) - 1
    if not last:
        return np.zeros(matrix.shape[-1])
    first = matrix[np.arange(last), np.arange(last)]
    return (first - matrix[last, :last]).mean(0)

"""Sets whose first images are good alone: some iterations look at the first k images of each class.

After Multisize Dataset Condensation (He et al., ICLR 2024, arXiv:2403.06075), which adds the loss of a subset
to that of all images. There the subset is the most learnable one, found anew by how far its features moved,
and what is smaller is frozen. Here it is drawn: an iteration looks at all images or at the first k, every k as
often, and nothing is frozen. So it goes with every objective, storage and source of networks, and an iteration
costs no more than without.
"""

from __future__ import annotations

from cl_condense.common.rng import Purpose, fold


def prefix(share: float, ipc: int, seed: int, iteration: int) -> int:
    """How many of the ``ipc`` images of each class an iteration looks at: all, or in a share of them fewer.

    It is one number for all classes, so that these do not depend on one another, and on the host, so that a GPU
    does not wait.
    """
    if not share or ipc == 1 or fold(Purpose.SIZE, seed, iteration, 0) >= share * 2**63:
        return ipc
    return 1 + fold(Purpose.SIZE, seed, iteration, 1) % (ipc - 1)

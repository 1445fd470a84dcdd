"""Random numbers where any images do."""

import torch


def images(*shape, seed=0, dtype=torch.float32):
    """Standard normal numbers of a shape, the same for a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

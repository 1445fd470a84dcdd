"""What Avalanche's strategies want of a memory, and which of them images and labels cannot serve."""

from __future__ import annotations

from avalanche.training.plugins import MIRPlugin
from avalanche.training.supervised import DER, ER_ACE


def check_strategy(strategy: object) -> None:
    """Nothing where a strategy can do with images and labels.

    Raises:
        ValueError: for one that wants more of a memory.
    """
    if isinstance(strategy, DER):
        raise ValueError(
            f"{type(strategy).__name__} wants the logits that the model gave for each stored image, and a "
            "condensed memory has images and labels: leave its own storage_policy, or use ER_ACE or a "
            "ReplayPlugin with this one"
        )


def wants_task_labels(strategy: object) -> bool:
    """Whether it unpacks memory items as (image, label, task), whatever the stream's are."""
    plugins = getattr(strategy, "plugins", ())
    return isinstance(strategy, ER_ACE) or any(isinstance(plugin, MIRPlugin) for plugin in plugins)

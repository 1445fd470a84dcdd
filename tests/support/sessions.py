"""Lists of what is typed and of the one line that comes, as files that read like a session.

A blank line stands between two entries, and lines that begin with ``#`` are comments. What is typed begins
with a prompt, ``$`` or ``>>>``; the line after it is what has to come. ``echo TEXT > NAME`` may stand before a
command, in a line of its own. Names in braces stand for what differs from machine to machine, or with what is
there: those of ``names``.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

PROMPTS = ("$ ", ">>> ")


class Entry(NamedTuple):
    """What is typed, line by line without the prompts, and what comes."""

    typed: tuple[str, ...]
    comes: str


def read(path):
    """The entries of a file, in its order."""
    blocks = ([line for line in block if not line.startswith("#")] for block in _blocks(path))
    return [_entry(block) for block in blocks if block]


def write(path, found):
    """The file again, with what came: ``found`` of entries by what was typed."""
    blocks = []
    for block in _blocks(path):
        kept = [line for line in block if line.startswith(("#", *PROMPTS))]
        own = [line for line in kept if not line.startswith("#")]
        comes = [found[_typed(own)]] if own and _typed(own) in found else block[len(kept) :]
        blocks.append("\n".join(kept + comes))
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def _blocks(path):
    return [block.splitlines() for block in re.split(r"\n{2,}", path.read_text(encoding="utf-8").strip("\n"))]


def _typed(lines):
    return tuple(line.split(" ", 1)[1] for line in lines if line.startswith(PROMPTS))


def _entry(lines):
    *typed, comes = lines
    assert all(line.startswith(PROMPTS) for line in typed), f"{comes!r}: one line comes"
    assert not comes.startswith(PROMPTS), f"{comes!r}: nothing comes"
    return Entry(_typed(typed), comes)


@cache
def names(here):
    """What stands for the names in braces."""
    from cl_condense.cli.main import cli
    from cl_condense.condensation.recipe import Recipe
    from cl_condense.data.datasets import NAMES
    from cl_condense.methods.registry import BASES, COMPOSED, MODIFIERS
    from cl_condense.networks.registry import ARCHITECTURES
    from cl_condense.papers.titles import TITLES
    from cl_condense.runs.defaults import EVALUATIONS

    has = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    listed = {
        "methods": sorted([*BASES, *COMPOSED]),
        "modifiers": sorted(MODIFIERS),
        "data sets": NAMES,
        "networks": ARCHITECTURES,
        "tables": TITLES,
        "evaluations": EVALUATIONS,
        "settings": Recipe.known(),
        "devices": ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))],
        **{f"options of {name}": _options(cli.commands[name]) for name in ("run", "condense", "evaluate")},
    }
    texts = {f"{{{name}}}": ", ".join(known) for name, known in listed.items()}
    return texts | {
        "{memory}": f"{has / 2**30:,.0f} GiB",
        "{here}": str(here),
        "{long}": "x" * 300,
    }


def _options(command):
    return [p.opts[0].removeprefix("--") for p in command.params if p.opts[0] not in ("--config", "files")]


def filled(text):
    """A text with what stands for its names."""
    for name, value in names(Path.cwd()).items() if "{" in text else ():
        text = text.replace(name, value)
    return text


def emptied(text):
    """A text with the names for what stands for them."""
    for name, value in names(Path.cwd()).items():
        if len(value) > 6 or name == "{memory}":
            text = text.replace(value, name)
    return text

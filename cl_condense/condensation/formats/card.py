"""The card of a condensed set on Hugging Face: what it is, how it was made, what networks reach on it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from cl_condense.common.foreign import shown
from cl_condense.common.plain import Json
from cl_condense.condensation.condensed_set import CondensedSet

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def label_names(condensed: CondensedSet) -> list[str]:
    """A name for each class in its order, each once, as Hugging Face's labels want it."""
    names = condensed.names or tuple(map(str, condensed.class_ids))
    several = Counter(names)
    found = [
        f"{name} ({label})" if several[name] > 1 or not name else name
        for name, label in zip(names, condensed.class_ids, strict=True)
    ]
    return found if len({*found}) == len(found) else list(map(str, condensed.class_ids))


def card(condensed: CondensedSet, data: bytes, about: Json) -> str:
    """The text of ``README.md``.

    Args:
        condensed: the set.
        data: the file of the images.
        about: what is known besides: ``dataset``, ``licence`` and ``licence_id``, ``command``, ``commit``,
            ``sha256`` and ``bytes`` of the set, ``accuracies``: texts. What is not known is not said.
    """
    images = len(condensed) * condensed.factor**2
    method = str(condensed.recipe.get("name") or "unknown")
    of = about.get("dataset")
    rows = {
        "Method": shown(method),
        "Made from": of and shown(of),
        "Images": f"{images} of {'x'.join(map(str, condensed.shape))} in {len(condensed.class_ids)} classes",
        "Labels": "hard" if condensed.soft_labels() is None else "soft: probabilities beside the class",
        "Seed": condensed.seed,
        "Made by": _code(about.get("command")),
        "Commit of cl-condense": _code(about.get("commit")),
        "Bytes as a memory": f"{condensed.nbytes:,} ({condensed.codec})",
        "Set": about.get("sha256") and f"{about['bytes']:,} bytes, sha256 `{about['sha256']}`",
        "Images here": f"{len(data):,} bytes, sha256 `{hashlib.sha256(data).hexdigest()}`",
        "Licence of the source": about.get("licence"),
    }
    reached = "".join(f"- {text}\n" for text in about.get("accuracies", ()))
    title = f"{method} of {of}" if of else f"A condensed set by {method}"
    return (
        f"---\n{_front(condensed, images, title, about)}---\n\n# {shown(title)}\n\n"
        "Images that stand for a data set: networks that train on them do as well as they can on the real "
        "ones. Pixels are cut to 0 to 255; the set that they come from may go beyond.\n\n| | |\n|---|---|\n"
        + "".join(f"| {key} | {_cell(value)} |\n" for key, value in rows.items() if value not in (None, ""))
        + (
            f"\n## Accuracy\n\nFresh networks, test images, last epoch, mean ± std (n):\n\n{reached}"
            if reached
            else ""
        )
    )


def _front(condensed: CondensedSet, images: int, title: str, about: Json) -> str:
    """The lines in YAML that Hugging Face goes by; a text in JSON is one in YAML."""
    size = next((name for most, name in _SIZES if images < most), "n>1M")
    names = "".join(f"          '{i}': {_text(name)}\n" for i, name in enumerate(label_names(condensed)))
    return (
        f"license: {about.get('licence_id', 'unknown')}\npretty_name: {_text(title)}\n"
        f"task_categories:\n- image-classification\ntags:\n- dataset-condensation\n- dataset-distillation\n"
        f"size_categories:\n- {size}\n"
        "dataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype:\n"
        f"      class_label:\n        names:\n{names}"
        + ("" if condensed.soft_labels() is None else "  - name: soft_label\n    sequence: float32\n")
        + f"  splits:\n  - name: train\n    num_examples: {images}\n"
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n"
    )


def _text(text: str) -> str:
    return json.dumps(text.encode("utf-8", "replace").decode())


def _code(text: object) -> str:
    return f"`{text}`" if text else ""


def _cell(value: object) -> str:
    return " ".join(str(value).encode("utf-8", "replace").decode().replace("|", "\\|").split())

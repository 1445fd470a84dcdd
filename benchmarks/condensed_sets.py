"""The condensed sets that a campaign made, for those who want the files: sets/ with its cards.

    python benchmarks/condensed_sets.py results

copies the sets that `cl-condense table --results results` condensed and evaluated to sets/, and writes
sets/README.md and sets/sets.json: of each what condensed it, where its accuracy comes from, and its SHA-256.
Those that are there stay. Images lie as `uint8`, as they were evaluated.
"""

import json
import shutil
from pathlib import Path

import click
import numpy as np

from cl_condense.common.files import atomic, content_hash
from cl_condense.methods.registry import build
from cl_condense.papers.bench import read_scores

HOME = Path(__file__).parents[1]
MOST = 10 * 2**20  # bytes of all sets
_TRAINED = "dataset networks epochs evaluation network width depth augment training_precision seed".split()

_HEAD = """# Condensed sets

Sets that a campaign of `cl-condense table` condensed, as it evaluated them: 8 bits with a range for
every image and channel. `CondensedSet.load(path)` reads one, `cl-condense export FILE --format png --out DIR`
shows it. Accuracy is that of networks trained from scratch on the set, after their last epoch, on the test
images; nothing was chosen by it. The terms of the data set that they are made from go with them.

"""


def entry(score, made, path):
    """What is said of a set: of the record of its accuracies, that of its condensation, and its file."""
    work = score["work"]
    evaluate = {k: work[k] for k in _TRAINED if work.get(k) is not None}
    return {
        "file": path.name,
        "dataset": made["dataset"],
        "method": made["method"],
        "ipc": made["ipc"],
        "economy": made["economy"],
        "seed": made["seed"],
        "bytes": path.stat().st_size,
        "sha256": content_hash(path),
        "condensed": {k: made[k] for k in ("commit", "device", "date", "seconds")}
        | ({} if made["precision"] == "float32" else {"precision": made["precision"]}),
        "evaluated": {"accuracies": score["accuracies"], "compiled": bool(made["compiled"]), **evaluate},
        "evaluated_at": {k: score[k] for k in ("commit", "device", "date")},
    }


def command(own):
    """What evaluates a set again."""
    e = own["evaluated"]
    words = [
        "--dataset",
        e["dataset"],
        "--data",
        "DIR",
        "--networks",
        e["networks"],
        "--evaluation",
        e["evaluation"],
    ]
    words += ["--epochs", e["epochs"], "--width", e["width"], "--seed", e["seed"]]
    reduced = e.get("training_precision")  # float32 where nothing is said
    words += ["--training-precision", reduced] if reduced else []
    words += ["--compile"] if e["compiled"] else []
    return f"cl-condense evaluate sets/{own['file']} {' '.join(map(str, words))}"


def card(own):
    """Some lines on a set."""
    pool = 100 * np.array(own["evaluated"]["accuracies"])
    made, how = own["condensed"], "by economy" if own["economy"] else "at the papers' settings"
    how += f" in {made['precision']}" if "precision" in made else ""
    images = f"{own['ipc']} image{'s' * (own['ipc'] != 1)} per class"
    lines = [
        f"## {own['method']}, {own['dataset']}, {images}",
        f"**{pool.mean():.1f} ± {pool.std():.1f} %** (n = {pool.size}); condensed {how}, seed {own['seed']}, "
        f"in {made['seconds'] / 60:.0f} minutes on {made['device']}, commit {made['commit']}, "
        f"{made['date']}; evaluated at commit {own['evaluated_at']['commit']}.",
        f"[{own['file']}]({own['file']}), {own['bytes']:,} bytes, SHA-256 `{own['sha256']}`",
        f"```\n{command(own)}\n```",
    ]
    return "\n\n".join(lines) + "\n"


def collect(results, home):
    """Copies sets and writes the cards; the entries, by file.

    Raises:
        ValueError: for damaged records, and for more bytes than a repository should hold.
    """
    index = home / "sets.json"
    found = {own["file"]: own for own in json.loads(index.read_text())} if index.exists() else {}
    for score in read_scores(results / "scores.jsonl"):
        path = results / "sets" / score["work"]["set"]
        if path.exists() and path.name not in found:
            made = json.loads(path.with_suffix(".json").read_text())
            if not build(made["method"]).optimises:
                continue  # real images, which everyone can select
            home.mkdir(exist_ok=True)
            shutil.copyfile(path, home / path.name)
            found[path.name] = entry(score, made, home / path.name)
    own = sorted(found.values(), key=lambda each: (each["dataset"], each["ipc"], each["method"], each["file"]))
    if (total := sum(each["bytes"] for each in own)) > MOST:
        raise ValueError(f"{total:,} bytes of sets: leave some out, a repository should not hold over {MOST:,}")
    texts = {"sets.json": json.dumps(own, indent=1) + "\n", "README.md": _HEAD + "\n".join(map(card, own))}
    for name, text in texts.items():
        with atomic(home / name) as temporary:
            temporary.write_text(text)
    return found


@click.command()
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(results):
    """Adds the sets of a folder of results to sets/."""
    for name in collect(results, HOME / "sets"):
        click.echo(name)


if __name__ == "__main__":
    main()

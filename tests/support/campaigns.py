"""Made-up results of the papers' tables: what a campaign leaves, without its images."""

import json
from pathlib import Path

from cl_condense.papers.bench import Bench

MADE = {
    "device": "a processor",
    "threads": 1,
    "versions": {"torch": "2"},
    "commit": "abc1234",
    "date": "2026-01-31",
}


PAPERS = {"economy": False}


def fill(folder, cells, off=0.0, changes=PAPERS, **made):
    """Fills cells with accuracies ``off`` points from the published, ± 0.5, as the bench would find them.

    Cells without a published number get 50 %. ``changes`` are those of the bench, the papers' settings by
    default, and so are ``orders`` and ``steps``; ``made`` replaces what
    the records say of their making.
    """
    repeats = {"orders": made.pop("orders", 5), "steps": made.pop("steps", 5)}
    bench = Bench(folder, None, dict(changes), **repeats)
    for cell in cells:
        mean = (50.0 if cell.mean is None else cell.mean) + off
        near = [round(min(1.0, max(0.0, (mean + d) / 100)), 6) for d in (-0.5, 0.5)]
        for work in bench.works(cell):
            (_stream if "stream" in work.identity() else _set)(folder, work, near, MADE | made)


def _set(folder, work, accuracies, made):
    path = folder / "sets" / Path(work.set_name()).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    record = work.condense.identity() | {"start": None, "losses": [], "seconds": 60.0, **made}
    path.write_text(json.dumps(record))
    path.with_suffix(".safetensors").write_bytes(b"images")
    with (folder / "scores.jsonl").open("a") as file:
        score = {"work": work.identity(), "accuracies": accuracies, "seconds": 120.0, **made}
        file.write(json.dumps(score) + "\n")


def _stream(folder, work, accuracies, made):
    run, out = work.run, work.out(folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.json").write_text(json.dumps(run.values() | {"threads": 1}))
    lines = []
    for order in range(run.stream.orders):
        for step in range(1, run.stream.steps + 1):
            where = {"method": run.methods[0], "dataset": run.dataset, "order": order, "step": step}
            sizes = {"classes_seen": 20 * step, "stored_images": 1, "stored_bytes": 1}
            seconds = {"condense_seconds": 60.0, "train_seconds": 60.0}
            lines.append(where | sizes | seconds | {"accuracies": accuracies} | made)
    (out / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

"""What ``cl-condense run`` says before it begins, on the way, and of what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cl_condense.cli.console import count, say

if TYPE_CHECKING:
    from rich.console import Console

    from cl_condense.runs.incremental import Run
    from cl_condense.runs.records import Record
    from cl_condense.runs.run_config import RunConfig


def announce(task: Run, console: Console) -> None:
    from cl_condense.runs.ways import ways  # noqa: PLC0415
    from cl_condense.training.trainers import DEFAULT  # noqa: PLC0415

    s = task.settings
    memory = f"{_budget(s)} as {s.main.codec}"
    repeats = f"{count(s.stream.orders, f'{_of(task)} order')} x {count(s.train.networks, 'network')}"
    ways_to_train = "" if s.stream.trainers == (DEFAULT,) else f", trained by {' and '.join(s.stream.trainers)}"
    steps = f"{s.dataset}: {count(s.stream.steps, 'step')} ({_split(task)})"
    if 0 < len(task.only) < s.stream.steps:
        steps += f", networks after {', '.join(map(str, task.only))} alone"
    say(console, f"{steps}, {memory}, {repeats}{ways_to_train}, {s.device}")
    for line in ways(s.condense):
        say(console, line)
    left, units = len(task.missing()), len(task.units)
    if left < units:
        say(console, f"{units - left} of {units} pieces of work are in {task.out}")


def line_of(record: Record, done: int, total: int) -> str:
    from cl_condense.runs.records import row_name, seen_in, several  # noqa: PLC0415

    seen, of = seen_in(record)
    return (
        f"[{done}/{total}] {row_name(record)} order {record['order'] + 1} step {record['step']}: "
        f"{100 * record['accuracy']:.1f} % on {seen} {several(of) if seen > 1 else of}"
    )


def show_results(task: Run, console: Console) -> None:
    """Table on the terminal, pictures in the folder."""
    from cl_condense.common.drawing import stderr  # noqa: PLC0415
    from cl_condense.condensation.condensed_set import CondensedSet  # noqa: PLC0415
    from cl_condense.data.image_grid import grid_page, panel_grid  # noqa: PLC0415
    from cl_condense.reports import summary  # noqa: PLC0415
    from cl_condense.runs.records import Unit  # noqa: PLC0415

    s = task.settings
    console.print(summary.accuracy_table(task.records, console.width))
    title = f"{s.dataset}, {s.stream.steps} steps, {_budget(s)} as {s.main.codec}"
    summary.accuracy_plot(task.records, task.out / "accuracy.png", title)
    pages = {}
    for method in s.methods:
        steps = [r["step"] for r in task.records if r["method"] == method and r["order"] == 0]
        file = task.memory_file(Unit(0, method, max(steps, default=s.stream.steps)))
        if not file.exists():
            say(stderr(), f"{file} is not there: its picture is left out; --remake makes it again")
            continue
        memory = CondensedSet.load(file)
        pages[method] = grid_page(memory.to_pixels(), memory.counts, memory.names, memory.class_ids)
    if pages:
        panel_grid(pages, task.out / "memory.png")
    say(console, f"\nIn {task.out}: records.jsonl, accuracy.png, memory.png, memory/")


def _of(task: Run) -> str:
    """What comes in an order."""
    from cl_condense.runs.stream import domains_in  # noqa: PLC0415

    return "domain" if len(domains_in(task.train)) > 1 else "class"


def _split(task: Run) -> str:
    """What comes at each step."""
    sizes = task.sizes
    if _of(task) == "domain":
        return "a domain each"
    if len(set(sizes)) > 1:
        return f"uneven: {', '.join(map(str, sizes))} new classes"
    return f"{sizes[0]} new class{'es' * (sizes[0] > 1)} each"


def _budget(s: RunConfig) -> str:
    ipc, stream = s.main.ipc, s.stream
    if stream.max_bytes:
        return f"{count(stream.max_bytes, 'byte')} in all"
    return f"{count(ipc, 'image')} per class" if ipc else f"{count(stream.budget or 0, 'image')} in all"

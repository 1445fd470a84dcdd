"""Records as Markdown: one function a form. Accuracies in percent, mean ± population std."""

import io
import shlex
import statistics
import textwrap

import numpy as np
from growth import shown
from rich.console import Console

from cl_condense.papers.beside import per_class
from cl_condense.reports.summary import accuracy_table, forgets, summarise
from cl_condense.runs.records import row_name

_WIDTH = 112


def show(record, form, name, first=True):
    """The table of a record; at its first appearance with its command before it and its origin after it.

    Raises:
        ValueError: for an unknown form, and one that records of another kind have.
    """
    if form not in FORMS:
        raise ValueError(f"record {name}: unknown form {form!r}, use one of {', '.join(FORMS)}")
    kind, function = FORMS[form]
    if record["kind"] != kind:
        fitting = ", ".join(f for f, (k, _) in FORMS.items() if k == record["kind"])
        raise ValueError(f"record {name} is of a {record['kind']}, which has no form {form!r}: use {fitting}")
    try:
        table = function(record)
        return f"{_command(record)}\n\n{table}\n\n{_origin(record, name)}" if first else table
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"record {name} lacks what form {form!r} shows ({error}): add it again") from None


def _steps(record):
    """Accuracy by step, as on the terminal."""
    console = Console(width=_WIDTH, file=io.StringIO(), color_system=None)
    console.print(accuracy_table(_lines(record), _WIDTH))
    text = "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())
    return f"```\n{text}\n```"


def _methods(record):
    """A row a method and trainer: after the last step, average of steps, forgetting, seconds, n."""
    lines, steps = _lines(record), record["settings"]["steps"]
    rows = []
    for method in dict.fromkeys(map(row_name, lines)):
        own = [line for line in lines if row_name(line) == method]
        curve = {s.step: s for s in summarise(own)}
        average = f"{100 * sum(s.mean for s in curve.values()) / steps:.1f}" if len(curve) == steps else "-"
        # Of the orders that are through: a part of the steps would look quick.
        orders = [row for row in record["rows"] if row_name(row) == method and len(row["step"]) == steps]
        seconds = [sum(row["condense_seconds"]) for row in orders]
        ns = sorted({s.n for s in curve.values()})
        n = str(ns[0]) if len(ns) == 1 else f"{ns[0]}–{ns[-1]}"
        rows.append(
            (f"`{method}`", curve.get(steps, "-"), average, forgets(own, steps), _mean_seconds(seconds), n)
        )
    after = f"after {steps} steps" if steps > 1 else "accuracy"
    head = ["method", after, "average of steps", "forgets", "seconds", "n"]
    if {row[3] for row in rows} == {"-"}:
        head, rows = [*head[:3], *head[4:]], [(*row[:3], *row[4:]) for row in rows]
    return _table(head, rows)


def _held_out(record):
    """A row a method: augmented and plain training, or one of them, seconds of a condensation, n."""
    ways = [name for name in ("augmented", "plain") if any(name in row for row in record["rows"])]
    rows = []
    for row in record["rows"]:
        if "error" in row:
            rows.append((f"`{row['method']}`", row["error"], *[""] * (len(ways) + 1)))
            continue
        found = [_percent(row[name]) for name in ways]
        rows.append((f"`{row['method']}`", *found, _mean_seconds(row["seconds"]), np.size(row[ways[0]])))
    return _table(("method", *ways, "seconds", "n"), rows)


def _published(record):
    """A row a cell of a paper's table: published, where the paper prints a number of one, beside ours."""
    rows, printed = [], any(row["mean"] is not None for row in record["rows"])
    for row in record["rows"]:
        net = row["condense_net"], row["eval_net"]
        nets = net[1] if net[0] in (net[1], "selection", "none") else " to ".join(net)
        setting = f"{row['dataset']}, {per_class(row['ipc'])}, {nets}"
        theirs = "-" if row["mean"] is None else f"{row['mean']:.1f}"
        theirs += f" ± {row['std']:.1f}" if row["std"] else ""
        found = [_percent(row["accuracies"]), _mean_seconds(row["seconds"]), np.size(row["accuracies"])]
        method = f"`{row['name']}`" if "@" in (row["name"] or "") else row["method"]
        rows.append((method, setting, *([theirs] if printed else []), *found))
    tables = ", ".join(dict.fromkeys(row["table"] for row in record["rows"]))
    heads = [f"published ({tables})"] if printed else []
    return _table(("method", "setting", *heads, "ours", "seconds", "n"), rows)


def _less_work(record):
    """A row a way and mark: accuracy after some time of condensing."""
    rows = []
    for row in record["rows"]:
        each = row["accuracies"]
        real = f"{row['real_per_class']}{', running means' if row.get('running') else ''}"
        what = [f"`{row['method']}`", row["reuse"], real, row["iterations"]]
        rows.append([*what, f"{row['seconds']:.0f}", _percent(each), np.size(each)])
    head = ("method", "reuse", "real images of a class", "iterations", "CPU seconds", "accuracy", "n")
    return _table(head, rows)


def _codecs(record):
    """A row a method and codec: one set's images, stored in each way; ``cut`` is at black and white."""
    same = record["settings"]["same"]
    rows = []
    for row in (row for row in record["rows"] if row["ipc"] == same):
        stored = f"{row['bytes'] / 1024:.1f}" if row["bytes"] else "-"
        accuracies = row["accuracies"]
        rows.append((f"`{row['method']}`", row["codec"], stored, _percent(accuracies), np.size(accuracies)))
    return _table(("method", "stored as", "KiB", "accuracy", "n"), rows)


def _equal_bytes(record):
    """A row a method and codec, a column a budget: accuracy, and the images of a class that it holds."""
    rows, same = record["rows"], record["settings"]["same"]
    of = {(r["method"], r["codec"], r["ipc"]): r for r in rows if r["ipc"] != same or r["codec"] != "cut"}
    budgets = [r["bytes"] for r in rows if r["codec"] == "uint8" and r["ipc"] in record["settings"]["budgets"]]
    budgets = sorted(set(budgets))
    lines = []
    for method, codec in dict.fromkeys(key[:2] for key in of):
        own = sorted((r for key, r in of.items() if key[:2] == (method, codec)), key=lambda r: r["bytes"])
        fitting = [[r for r in own if 0.9 * b < r["bytes"] <= b] for b in budgets]
        cells = [f"{_percent(r[-1]['accuracies'])} ({r[-1]['ipc']})" if r else "-" for r in fitting]
        lines.append((f"`{method}`", codec, *cells, np.size(own[0]["accuracies"])))
    head = [f"{b / 1024:.1f} KiB" for b in budgets]
    return _table(("method", "stored as", *head, "n"), lines)


def _queue_pace(record):
    """A row a number of steps that each network took."""
    rows = [(row["steps"], _percent(row["accuracies"]), np.size(row["accuracies"])) for row in record["rows"]]
    return _table(("steps", "accuracy", "n"), rows)


def _economy(record):
    """A row a way and mark: accuracy after so many CPU seconds; and when each way was near the best."""
    rows = [
        (
            row["way"],
            f"{row['iterations']:,}",
            f"{row['seconds']:.0f}",
            _percent(row["accuracies"]),
            np.size(row["accuracies"]),
        )
        for row in record["rows"]
    ]
    head = (f"`{record['settings']['method']}`", "iterations", "CPU seconds", "accuracy", "n")
    return f"{_table(head, rows)}\n{_to_accuracy(record['rows'])}\n"


def _to_accuracy(rows):
    """After how many CPU seconds each way was first seen within a point of the best of all."""
    best, times = max(np.mean(row["accuracies"]) for row in rows), {}
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        near = [row["seconds"] for row in own if np.mean(row["accuracies"]) > best - 0.01]
        times[way] = f"{min(near):.0f}" if near else f"more than {max(row['seconds'] for row in own):.0f}"
    said = "; ".join(f"{way}, {seconds}" for way, seconds in times.items())
    return f"CPU seconds until it was seen within a point of the best, {100 * best:.1f}: {said}."


def _compositions(record):
    """A row a candidate, those that came furthest first; a column a rung and number of images per class."""
    rows = record["rows"]
    found = {(r["candidate"], (r["rung"], r["ipc"])): 100 * np.mean(r["accuracies"]) for r in rows}
    columns = dict.fromkeys((r["rung"], r["ipc"]) for r in rows)
    seconds = {ipc: each for ipc, each, _ in record["settings"]["budgets"]}

    def reached(candidate):
        rung = max(r for c, (r, _) in found if c == candidate)
        return rung, np.mean([a for (c, (r, _)), a in found.items() if (c, r) == (candidate, rung)])

    lines = [
        (f"`{name}`", *(f"{found[name, c]:.1f}" if (name, c) in found else "" for c in columns))
        for name in sorted(dict.fromkeys(name for name, _ in found), key=reached, reverse=True)
    ]
    heads = [f"{ipc} image{'s' * (ipc > 1)}, {seconds[ipc] * 2**rung:g} s" for rung, ipc in columns]
    return _table(("candidate", *heads), lines)


def _speed(record):
    """A row a comparison: seconds of an iteration, or of a training, of both sides, and the ratio."""
    rows = []
    for row in record["rows"]:
        sides = [row[side]["seconds"] for side in ("reference", "ours")]
        ratios = [a / b for a, b in zip(*sides, strict=True)]
        plain, ours = (f"{statistics.median(times):.3g} s" for times in sides)
        ours += f", {row['precision']}" if row["precision"] != "float32" else ""
        ours += ", compiled" if row.get("compiled") else ""
        spread = f" ({min(ratios):.1f} to {max(ratios):.1f})" if len(ratios) > 1 else ""
        ratio = f"{statistics.median(ratios):.1f}{spread}"
        memory = [f"{row[side]['peak_bytes'] / 2**20:.0f}" for side in ("reference", "ours")]
        each = f"{row['ipc']} image{'s' * (row['ipc'] > 1)} per class"
        sizes = f"{row['classes']} classes, {each}, {row['size']} px, width {row['width']}"
        rows.append(
            (row["method"], sizes, plain, ours, ratio, f"{memory[0]} MiB, ours {memory[1]}", len(ratios))
        )
    return _table(("method", "sizes", "plain loop", "ours", "ratio", "peak memory", "n"), rows)


def steady_memory(record):
    """A row for each thing that was watched: how much its samples grew after the first tenth of them."""
    rows = []
    for row in record["rows"]:
        at, found = row["at"], row["resident_bytes"]
        warm = len(at) // 10
        at, found = at[warm:], [n / 2**20 for n in found[warm:]]
        slope = 1000 * statistics.linear_regression(at, found).slope
        most = max(found) - found[0]
        rows.append(
            (
                row["what"],
                f"{at[-1]:,} {row['unit']}",
                len(at),
                f"{found[0]:.0f}",
                f"{most:.1f}",
                f"{slope:.2f}",
            )
        )
    heads = ("of", "work", "samples", "MiB at first", "most above it, MiB", "slope, MiB a thousand")
    return _table(heads, rows)


def kills(record):
    """A row a job: how often it was killed, by what, and that it ended as the undisturbed one did."""
    rows = []
    for row in record["rows"]:
        signals = ", ".join(f"{name} {n}" for name, n in row["killed"].items())
        same = "the same" if row["equal"] else "others"
        number = sum(row["killed"].values())
        rows.append((f"`{row['job']}`", f"{row['seconds']:.0f}", number, signals, same))
    return _table(("command", "seconds undisturbed", "killed", "by", "results in the end"), rows)


def mutations(record):
    """A row a format: how many damaged files of it were read, and how many led to anything but a right end."""
    rows = [(f"`{row['format']}`", f"{row['files']:,}", row["faults"]) for row in record["rows"]]
    return _table(("format, by a file", "damaged files", "neither read nor named in one line"), rows)


def launches(record):
    """A row a method and number of classes: operations that an iteration launches, and waits for the device."""
    rows = []
    for row in record["rows"]:
        sides = [row["reference"], row["ours"]]
        plain, ours = (side and statistics.mean(side["launches"]) for side in sides)
        waits = ["-" if side is None else f"{statistics.mean(side['waits']):.3g}" for side in sides]
        ratio = f"{plain / ours:.1f}" if plain else "-"
        counts = ["-" if n is None else f"{n:,.0f}" for n in (plain, ours)]
        rows.append((f"`{row['method']}`", row["classes"], *counts, ratio, *waits))
    head = ("method", "classes", "plain loop", "ours", "ratio", "waits, plain loop", "waits, ours")
    return _table(head, rows)


def roofline(record):
    """A row a method and number of classes: an iteration on paper, by launches, memory and arithmetic."""
    h100, rows = record["settings"]["paper"], []
    precisions = ("float32", "tf32", "bfloat16")
    for row in record["rows"]:
        sides = [row["reference"], row["ours"]]
        launched = [side and statistics.mean(side["launches"]) * h100["launch_us"] / 1e3 for side in sides]
        work, traffic = row["paper"]["flops"], row["paper"]["bytes"]
        found = [*launched, traffic / h100["memory_tbs"] / 1e9]
        found += [work / h100[f"{name}_tflops"] / 1e9 for name in precisions]
        times = ["-" if ms is None else f"{ms:,.1f}" for ms in found]
        rows.append((f"`{row['method']}`", row["classes"], f"{traffic / 1e9:,.0f} GB", *times))
    head = ["method", "classes", "traffic", "launches, plain loop, ms", "launches, ours, ms", "memory, ms"]
    return _table([*head, *(f"{name}, ms" for name in precisions)], rows)


def beyond_memory(record):
    """A row a piece of work: what it held beside what importing takes, of a set of how much."""
    rows = []
    for row in record["rows"]:
        held = row["anonymous_bytes"], row["anonymous_bytes"] - row["imported_bytes"], row["peak_bytes"]
        mib = [f"{each / 2**20:,.0f}" for each in held]
        rows.append((f"`{row['work']}`", f"{row['set_bytes'] / 2**20:,.0f}", *mib, f"{row['seconds']:.0f}"))
    heads = ("work", "set, MiB", "held, MiB", "of it not by importing", "with pages of the file", "seconds")
    return _table(heads, rows)


def growth(record):
    """Rows a method, a column a number of ranks."""
    head, rows = shown(record)
    return _table(head, [(f"`{name}`", *cells) for name, *cells in rows])


def precision(record):
    """A row a set: accuracies at both precisions, their differences network by network, seconds."""
    rows = []
    for row in record["rows"]:
        full, less = (100 * np.array(row[p]["accuracies"]) for p in ("float32", "bfloat16"))
        apart = less - full
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        seconds = (f"{row[p]['seconds']:.0f}" for p in ("float32", "bfloat16"))
        means = (_percent(row[p]["accuracies"]) for p in ("float32", "bfloat16"))
        rows.append((f"`{row['set']}`", *means, f"{apart.mean():+.2f} ± {error:.2f}", *seconds, len(apart)))
    heads = ("set", "float32", "bfloat16", "by network, ± its error", "seconds", "in bfloat16", "n")
    return _table(heads, rows)


def averaging(record):
    """A row a number of iterations and share: over all draws, and beside the last images network by network."""
    rows = {}
    for row in record["rows"]:
        own = rows.setdefault((row["iterations"], row["averaged"]), {"seconds": [], "accuracies": []})
        for name, seen in own.items():
            seen.append(row[name])
    lines = []
    for (iterations, share), own in rows.items():
        apart = 100 * (np.array(own["accuracies"]) - rows[iterations, 0]["accuracies"]).flatten()
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        more = f"{apart.mean():+.2f} ± {error:.2f}" if share else "-"
        seconds = f"{np.mean(own['seconds']):.0f}"
        begins = f"the mean of the last {100 * share:g} %" if share else "the last images"
        lines.append((f"{iterations:,}", begins, seconds, _percent(own["accuracies"]), more, len(apart)))
    heads = ("iterations", "the end begins with", "CPU seconds", "accuracy", "by network, ± its error", "n")
    return _table((f"`{record['settings']['method']}`: {heads[0]}", *heads[1:]), lines)


def grids(record):
    """A row a number of workers: seconds of the grid, and of them the share of the first row's."""
    rows = []
    for row in record["rows"]:
        by = f"Ray, {row['workers']} worker{'s' * (row['workers'] > 1)}" if row["workers"] else "one process"
        share = f"{row['seconds'] / record['rows'][0]['seconds']:.2f}"
        same = "the same" if row["equal"] else "others"
        rows.append((by, row["cells"], f"{row['seconds']:.0f}", share, f"{row['load']:.1f}", same))
    return _table(("by", "cells", "seconds", "of the first row", "load before", "accuracies"), rows)


def shrinking(record):
    """A row a size; for each method and way the accuracy there, and the seconds of coming to it."""
    columns, sizes = [], record["settings"]["sizes"]
    for row in record["rows"]:
        each = [[own[i] for own in row["seeds"]] for i in range(len(sizes))]
        seconds = [f"{sum(r['seconds'] for r in rows) / len(rows):.2f} s" for rows in each]
        cells = [
            f"{_percent([r['accuracies'] for r in rows])}, {s}" for rows, s in zip(each, seconds, strict=True)
        ]
        columns.append([f"`{row['method']}`, {row['way']}", *cells])
    counts = [np.size([own[i]["accuracies"] for own in record["rows"][0]["seeds"]]) for i in range(len(sizes))]
    nbytes = [record["rows"][0]["seeds"][0][i]["bytes"] for i in range(len(sizes))]
    rows = zip(sizes, nbytes, *(column[1:] for column in columns), counts, strict=True)
    return _table(("images a class", "bytes", *(column[0] for column in columns), "n"), rows)


FORMS = {
    "steps": ("run", _steps),
    "methods": ("run", _methods),
    "held_out": ("held_out", _held_out),
    "published": ("table", _published),
    "less_work": ("less_work", _less_work),
    "queue_pace": ("queue_pace", _queue_pace),
    "codecs": ("equal_bytes", _codecs),
    "compositions": ("compositions", _compositions),
    "economy": ("economy", _economy),
    "averaging": ("averaging", averaging),
    "equal_bytes": ("equal_bytes", _equal_bytes),
    "speed": ("speed", _speed),
    "grids": ("grids", grids),
    "precision": ("precision", precision),
    "shrinking": ("shrinking", shrinking),
    "kills": ("kills", kills),
    "launches": ("launches", launches),
    "roofline": ("launches", roofline),
    "mutations": ("mutations", mutations),
    "steady_memory": ("steady_memory", steady_memory),
    "beyond_memory": ("beyond_memory", beyond_memory),
    "growth": ("growth", growth),
}
"""Form: the kind of record that has it, and what writes it."""


def _lines(record):
    """The records that a run wrote, as report.py takes them."""
    lines = []
    for row in record["rows"]:
        facts = {k: v for k, v in row.items() if not isinstance(v, list)}
        facts["dataset"] = record["settings"]["dataset"]
        columns = {k: v for k, v in row.items() if isinstance(v, list)}
        for values in zip(*columns.values(), strict=True):
            lines.append(facts | dict(zip(columns, values, strict=True)))
    return lines


def _percent(accuracies):
    """Mean ± std of accuracies of any shape, fractions of 1."""
    pool = 100 * np.array(accuracies, dtype=np.float64).flatten()
    return f"{pool.mean():.1f}" + (f" ± {pool.std():.1f}" if pool.size > 1 else "")


def _mean_seconds(values):
    if not values or None in values:
        return "-"
    mean = sum(values) / len(values)
    return f"{mean:.{int(mean < 10)}f}"


def _table(head, rows):
    lines = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _command(record):
    """The command in lines that fit the page."""
    lines = [""]
    for word in shlex.split(record["command"]):
        text = shlex.quote(word)
        if len(lines[-1]) + len(text) > _WIDTH - 4 and word.startswith("--"):
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {text}" if lines[-1] else text
    return "```\n" + "\n".join(lines) + "\n```"


def _origin(record, name):
    threads = record["threads"]
    facts = [f"Commit {record['commit']}", f"seed {record['seed']}", record["device"] or "device not recorded"]
    facts.append(f"{threads} thread{'' if threads == 1 else 's'}" if threads else "threads not recorded")
    facts += [f"{package} {version}" for package, version in record["versions"].items()]
    facts.append(record["date"] or "date not recorded")
    link = f"[the record](docs/records/{name}.json)"
    text = ", ".join(facts) + f"; {link} has every figure.{_unfinished(record)}"
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _unfinished(record):
    """What of the command had not been done when the record was made."""
    rows, s = record["rows"], record["settings"]
    if record["kind"] == "run":
        done, wanted, what = (
            sum(len(r["step"]) for r in rows),
            len(s["methods"]) * s["orders"] * s["steps"] * len(s.get("trainers", "1")),
            "steps",
        )
    elif record["kind"] in ("held_out", "equal_bytes"):
        done, wanted, what = len({row["method"] for row in rows}), len(s["methods"]), "methods"
    else:
        return ""
    return "" if done == wanted else f" **Not all of the command had run: {done} of {wanted} {what}.**"

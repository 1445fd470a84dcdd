"""Results of `cl-condense table` added to those that docs/campaign keeps, without their images."""

import json
from pathlib import Path

from cl_condense.common.files import atomic
from cl_condense.papers.bench import read_scores
from cl_condense.reports.html.results import read_json
from cl_condense.runs import records

_FREE = ("orders", "device", "threads", "data")  # of a run that went on


def merge(source, home):
    """Adds what ``source`` has to ``home``, each once, and yields a line for people on each kind.

    What was measured with code that no commit has is left out.

    Raises:
        ValueError: for a folder without results, for damaged ones, and where both have other accuracies, or
            other records of a set; nothing is written then.
    """
    if not (source / "scores.jsonl").is_file() and not any(source.glob("streams/*/records.jsonl")):
        raise ValueError(f"{source} holds no scores.jsonl and no streams: name what table --results was given")
    out = {}
    scores, new, dirty = _scores(source, home, out)
    runs, more = _runs(source, home, out, dirty)
    for path, text in out.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_text(text)
    yield f"{len(scores)} scores, {new} of them new; {runs} class-incremental runs, {more} of their lines new"
    for name, commit in dirty.items():
        yield f"left out {name}: measured with code that no commit has ({commit})"


def _scores(source, home, out):
    """The scores of both, with the records of their sets; new files go to ``out``, scores after their sets."""
    path, dirty, new = home / "scores.jsonl", {}, 0
    scores = {_key(score): score for score in read_scores(path)}
    for score in read_scores(source / "scores.jsonl"):
        name = Path(score["work"]["set"]).with_suffix(".json").name
        made = read_json(source / "sets" / name)
        if commit := _dirty(score, made):
            dirty[name] = commit
            continue
        there = scores.setdefault(_key(score), score)
        if there["accuracies"] != score["accuracies"]:
            raise ValueError(f"{source} and {home} have other accuracies of {name}: take one of them out")
        kept = home / "sets" / name
        new += there is score
        if kept.exists() and read_json(kept) != made:
            raise ValueError(f"{kept} is another record than in {source}: take one of them and its scores out")
        if not kept.exists():
            out[kept] = json.dumps(made, indent=1) + "\n"
    out[path] = _lines(scores.values())
    return scores, new, dirty


def _runs(source, home, out, dirty):
    names = {path.parent.name for folder in (source, home) for path in folder.glob("streams/*/records.jsonl")}
    have, new = 0, 0
    for name in sorted(names):
        theirs, kept = source / "streams" / name, home / "streams" / name
        lines = {_unit(line): line for line in records.read(kept / "records.jsonl")}
        own = records.read(theirs / "records.jsonl")
        if commit := _dirty(*own):
            dirty[name] = commit
            continue
        for line in own:
            there = lines.setdefault(_unit(line), line)
            new += there is line
            if there["accuracies"] != line["accuracies"]:
                raise ValueError(f"{theirs} and {kept} have other accuracies of {_unit(line)}: take one out")
        have += bool(lines)
        if own:
            settings = read_json(theirs / "settings.json")
            if (kept / "settings.json").exists():
                before = read_json(kept / "settings.json")
                if any(settings.get(k) != before.get(k) for k in {*settings, *before} - {*_FREE}):
                    raise ValueError(f"{theirs} and {kept} are of other settings: take one of them out")
                settings["orders"] = max(settings["orders"], before["orders"])
            out[kept / "settings.json"] = json.dumps(settings, indent=1) + "\n"
            out[kept / "records.jsonl"] = _lines(lines.values())
    return have, new


def _dirty(*made):
    """Commits of code that was changed, or None for no commit, in words; empty where all have one."""
    said = dict.fromkeys(str(each.get("commit")) for each in made)
    return ", ".join(commit for commit in said if commit.endswith("+") or commit == "None")


def _lines(values):
    return "".join(json.dumps(value) + "\n" for value in values)


def _key(score):
    return json.dumps(score["work"], sort_keys=True)


def _unit(line):
    return f"{line['method']}, order {line['order']}, step {line['step']}"

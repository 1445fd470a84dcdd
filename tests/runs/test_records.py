"""Records: each once, whole lines, and a clear word for what is none."""

import json

import pytest

from cl_condense.papers.bench import Bench
from cl_condense.runs.records import append, mend, read

RECORD = {"order": 0, "method": "dm", "step": 1, "accuracies": [0.5, 0.25], "condense_seconds": 1.0}
RECORD |= {"accuracy": 0.375, "classes_seen": 2, "date": "2020-01-01", "dataset": "digits"}
RECORD |= {"stored_images": 4, "stored_bytes": 256, "train_seconds": 1.0}
SCORE = {"work": {"set": "a", "eval_net": "convnet"}, "accuracies": [0.5, 0.25], "seconds": 1.0}


def scores(path):
    return Bench(path.parent, None, {}).scores()


@pytest.fixture(params=["records.jsonl", "scores.jsonl"])
def kind(request, tmp_path):
    """A file, a record for it, what reads it, and changes that make a record another one."""
    if request.param == "records.jsonl":
        return tmp_path / request.param, RECORD, read, [{"order": 1}, {"method": "ddm"}, {"step": 2}]
    others = [{"work": {**SCORE["work"], "set": "b"}}, {"work": {**SCORE["work"], "epochs": 3}}]
    return tmp_path / request.param, SCORE, scores, others


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def fault(path, reader):
    with pytest.raises(ValueError, match=path.name) as error:
        reader(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_file_has_no_records(kind):
    path, _, reader, _ = kind
    assert reader(path) == []


def test_equal_duplicates_are_one_and_others_are_not(kind):
    path, record, reader, others = kind
    again = {**record, "date": "2030-12-31", "seconds": 2.0, "condense_seconds": 9.0}
    different = [record | change for change in others]
    write(path, record, *different, again, *different)
    assert reader(path) == [record, *different]


def test_other_accuracies_of_the_same_name_both_lines_and_the_remedy(kind):
    path, record, reader, others = kind
    write(path, record, record | others[0], record | {"accuracies": [0.5, 0.125]})
    said = fault(path, reader)
    for words in ("line 3", "line 1", "take one of the two lines out"):
        assert words in said


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_counts_for_nothing_and_its_writer_mends_it(kind, cut):
    path, record, reader, others = kind
    write(path, record, record | others[0])
    path.write_bytes(path.read_bytes()[:-cut])
    torn = path.read_bytes()
    assert reader(path) == [record]
    assert path.read_bytes() == torn, "another process may be writing in it"
    mend(path)
    append(path, record | others[1])
    assert reader(path) == [record, record | others[1]]


def test_a_record_without_a_key_is_named_with_it(kind):
    path, record, reader, _ = kind
    for key in record.keys() - {"seconds", "date", "accuracy"}:
        write(path, record, {k: v for k, v in record.items() if k != key})
        assert f"is damaged in line 2 (no '{key}'): take the line out" in fault(path, reader)


@pytest.mark.parametrize(
    "change",
    [
        *({"accuracies": bad} for bad in ([], ["0.5"], [2.0], [-0.1], [float("nan")], [True], 1, None, {})),
        *({"work": bad, "order": bad, "step": bad} for bad in (None, 1.5, "x", -1, [1])),
    ],
)
def test_a_record_of_another_shape_is_damaged(kind, change):
    path, record, reader, _ = kind
    write(path, record, record | change)
    assert "is damaged in line 2" in fault(path, reader)


@pytest.mark.parametrize("line", ["", "{]", "[]", "1", "null", "[" * 100_000, "\xff"])
def test_a_line_that_is_no_object_is_damaged(kind, line):
    path, record, reader, _ = kind
    path.write_bytes(json.dumps(record).encode() + b"\n" + line.encode("latin-1") + b"\n")
    assert "is damaged in line 2" in fault(path, reader)

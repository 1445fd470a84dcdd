import io
import re

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cl_condense.reports.summary import Summary, accuracy_plot, accuracy_table, summarise

PNG = b"\x89PNG\r\n\x1a\n"


def record(method="dm", order=0, step=1, accuracies=(0.5, 0.7), **others):
    base = {
        "method": method,
        "dataset": "digits",
        "order": order,
        "step": step,
        "classes_seen": 2 * step,
        "accuracy": float(np.mean(accuracies)),
        "accuracies": list(accuracies),
        "stored_images": 10 * step,
        "stored_bytes": 640 * step,
        "condense_seconds": 20.0,
        "train_seconds": 1.5,
        "commit": "ignored",
    }
    return base | others


def runs(methods=("random", "dm"), orders=2, steps=3, networks=3):
    g = np.random.default_rng(0)
    keys = [(m, o, t) for m in methods for o in range(orders) for t in range(1, steps + 1)]
    return [record(m, o, t, g.uniform(0.3, 0.6, networks).tolist()) for m, o, t in keys]


def text(table, width=200, **options):
    console = Console(width=width, file=io.StringIO(), **options)
    console.print(table)
    return console.file.getvalue()


def rows(table, width=200):
    """Cells of each row by its first cell."""
    lines = text(table, width).splitlines()
    return {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", line.strip()) for line in lines)}


# summarise


def test_accuracies_are_pooled_over_orders_and_networks():
    a, b = [0.5, 0.7, 0.9], [0.2]
    (s,) = summarise([record(accuracies=a), record(order=1, accuracies=b)])
    mean = (0.5 + 0.7 + 0.9 + 0.2) / 4
    assert s.mean == pytest.approx(mean)
    assert s.std == pytest.approx((sum((x - mean) ** 2 for x in a + b) / 4) ** 0.5)
    assert s.std == pytest.approx(np.std(a + b, ddof=0))
    assert (s.method, s.step, s.seen, s.n) == ("dm", 1, 2, 4)


def test_methods_keep_the_order_of_the_records_and_steps_are_sorted():
    records = [record("random", step=2), record("dm", step=1), record("random", step=1), record("dm", step=2)]
    assert [(s.method, s.step) for s in summarise(records)] == [
        ("random", 1),
        ("random", 2),
        ("dm", 1),
        ("dm", 2),
    ]


def test_classes_seen_are_averaged_where_orders_differ():
    (s,) = summarise([record(classes_seen=18), record(order=1, classes_seen=23)])
    assert s.seen == 20


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no records"),
        ([record(), record(dataset="cifar10", order=1)], r"several data sets \(cifar10, digits\)"),
        ([record(), record()], "two records of method dm, order 0, step 1"),
        ([record(accuracies=[0.5], step=4) | {"accuracies": []}], "step 4 has no accuracies"),
    ],
)
@pytest.mark.parametrize("report", [summarise, accuracy_table, lambda r: accuracy_plot(r, "never.png")])
def test_records_without_sense_are_refused_in_one_line(records, message, report):
    with pytest.raises(ValueError, match=message) as error:
        report(records)
    assert "\n" not in str(error.value)


# the table


def test_the_table_has_the_cells():
    records = [
        record("dm", 0, 1, [0.8, 0.9]),
        record("dm", 1, 1, [0.9, 1.0]),
        record("dm", 0, 2, [0.5, 0.5]),
        record("dm", 1, 2, [0.6, 0.6]),
        *(record("random", o, t, [0.25, 0.25], condense_seconds=0.5) for o in (0, 1) for t in (1, 2)),
    ]
    table = accuracy_table(records)
    assert rows(table)["dm"] == ["90.0 ± 7.1", "55.0 ± 5.0", "72.5", "20", "1.2", "86"]
    assert rows(table)["random"] == ["25.0 ± 0.0", "25.0 ± 0.0", "25.0", "20", "1.2", "8.0"]
    assert "mean ± std over n = 4 accuracies (2 orders x 2 networks); average: over 2 steps" in table.caption
    assert rows(table)["method"] == ["2 classes", "4 classes", "average", "images", "KiB", "seconds"]


def test_the_best_final_mean_alone_is_bold():
    records = [record("a", accuracies=[0.9]), record("a", step=2, accuracies=[0.4])]
    records += [record("b", accuracies=[0.8]), record("b", step=2, accuracies=[0.5])]
    lines = text(accuracy_table(records), force_terminal=True, color_system="standard").splitlines()
    a, b = (next(line for line in lines if line.startswith(m)) for m in "ab")
    assert "\x1b[1m" not in a
    assert re.findall(r"\x1b\[1m\s*(.*?)\x1b", b) == ["50.0"]


def test_one_accuracy_shows_no_spread():
    table = accuracy_table([record(accuracies=[0.5])])
    assert rows(table)["dm"][0] == "50.0"
    assert "n = 1 accuracy (1 order x 1 network)" in table.caption


def test_unequal_networks_are_not_called_a_product():
    table = accuracy_table([record(accuracies=[0.5] * 3), record(order=1, accuracies=[0.5])])
    assert "over n = 4 accuracies; average" in table.caption


def test_partial_runs_show_a_dash_and_their_n():
    records = runs(steps=3)
    records = [r for r in records if r["method"] == "random" or (r["order"] == 0 and r["step"] < 3)]
    table = rows(accuracy_table(records))
    assert table["random"][-1] == "6"
    assert table["dm"][2:4] == ["-", "-"], "neither the missing step nor an average over other steps"
    assert table["dm"][-1] == "3"
    assert table["method"][-1] == "n"


def test_an_order_that_is_half_through_shows_the_range_of_n():
    records = [r for r in runs(["dm"]) if r["order"] == 0 or r["step"] == 1]
    assert rows(accuracy_table(records))["dm"][-1] == "3–6"


def test_one_class_is_not_called_classes():
    shown = text(accuracy_table([record(step=1, classes_seen=1), record(step=2, classes_seen=2)]))
    assert re.search(r"1 class\b.*2 classes", shown)


def test_a_step_of_differing_classes_shows_the_range():
    records = [record(classes_seen=18), record(order=1, classes_seen=22)]
    assert "18–22 classes" in text(accuracy_table(records))


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("steps", [10, 20, 50])
def test_the_table_fits(steps, width):
    shown = text(accuracy_table(runs(steps=steps), width), 300).splitlines()
    assert max(len(line.rstrip()) for line in shown) <= width
    found = [int(step) for step in re.findall(r"step (\d+)", "\n".join(shown))]
    assert found[0] == 1
    assert found[-1] == steps
    assert found == sorted(set(found))
    assert f"average: over {steps} steps, {len(found)} of them shown" in " ".join(" ".join(shown).split())


def test_markup_in_a_name_is_only_text():
    assert "dm[bold]" in text(accuracy_table([record("dm[bold]")]))


# the plot


@pytest.mark.parametrize(
    "records",
    [
        runs(),
        runs(steps=1),
        [r for r in runs() if r["method"] == "random" or r["step"] == 1],
        runs([f"m{i}" for i in range(23)], orders=1, steps=2),
        runs(["a\ud800$x\x00", "_$^{y\u4e2d"], orders=1, steps=2),
    ],
    ids=["curves", "one step", "partial", "many methods", "names of any kind"],
)
def test_the_plot_is_a_png_of_sensible_size(records, tmp_path):
    path = tmp_path / "plot.png"
    accuracy_plot(records, path, "costs $5 and $6")
    assert path.read_bytes().startswith(PNG)
    with Image.open(path) as image:
        width, height = image.size
        colours = {c for _, c in image.convert("RGB").getcolors(1 << 20)}
    assert 900 <= width <= 2000
    assert 1 <= width / height <= 2
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours, "a line of each of two methods"
    assert list(tmp_path.iterdir()) == [path]


def test_the_plot_changes_no_settings(tmp_path):
    before = dict(mpl.rcParams)
    accuracy_plot(runs(), tmp_path / "plot.png")
    assert dict(mpl.rcParams) == before


def test_a_failing_write_keeps_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ValueError, match="no space"):
        accuracy_plot(runs(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_summary_reads_in_percent():
    assert str(Summary("dm", 1, 2, "class", 0.8734, 0.0118, 15)) == "87.3 ± 1.2"


@pytest.mark.parametrize("width", [48, 60, 80, 200])
def test_a_table_fits_a_terminal_with_whole_words(width):
    records = [record("datadam+sm", order, step, [0.5, 1.0]) for order in range(2) for step in range(1, 6)]
    lines = text(accuracy_table(records, width), width=width).splitlines()
    assert max(map(len, lines)) <= width
    head = " ".join(lines[:4])
    assert "average" in head
    assert "step 1" in head
    assert "step 5" in head
    assert ("seconds" in head) is (width >= 80)

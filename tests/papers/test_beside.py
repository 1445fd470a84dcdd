"""Published and ours as pairs: which cells, at which settings, and the pictures of them."""

import io
from dataclasses import replace

import pytest
from campaigns import PAPERS, fill
from commands import call
from made_up import cells, load
from rich.console import Console

from cl_condense.papers.bench import Bench, runnable
from cl_condense.papers.beside import Comparison, axis, filled, side_by_side
from cl_condense.papers.published import published, tables
from cl_condense.reports.dots import Dots
from cl_condense.reports.html.dots import dot_plot
from cl_condense.reports.html.found import benches

DDM = published("ddm-1", "cifar10", 10)


def refuse(name, why):
    pytest.fail(f"{name}: {why}")


@pytest.fixture
def two(tmp_path):
    """A row at the papers' settings, one at settings that have a name, and one at both."""
    fill(tmp_path, cells("random", "dm"))
    fill(tmp_path, cells("ddm", "dm"), off=-2, changes={})
    return Comparison(DDM, benches(tmp_path, refuse))


def text(renderable, width=100, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width).print(renderable)
    file.flush()
    return file.buffer.getvalue().decode()


def test_pairs_have_both_numbers_and_the_time(two):
    found = {pair.label: pair for pair in two.pairs}
    assert [*found] == ["Random", "DM", "DM, economy", "DDM(Ours), economy"]
    dm = found["DM, economy"]
    assert dm.published == (48.9, 0.6)
    assert (dm.mean, dm.std, dm.n) == (pytest.approx(46.9), pytest.approx(0.5), 2)
    assert (dm.seconds, dm.column) == (180, "cifar10, 10 images per class")
    assert [pair.outside for pair in two.pairs] == [False, False, True, True]


def test_settings_are_never_mixed_in_a_row(two):
    table = side_by_side("", two, measured=True)
    rows = dict(zip(*(column.cells for column in table.columns), strict=True))
    assert rows == {
        "Random": "26.0 ± 1.2 | 26.0 ± 0.5 (2)\n3 min",
        "DM": "48.9 ± 0.6 | 48.9 ± 0.5 (2)\n3 min",
        "DM, economy": "48.9 ± 0.6 | 46.9 ± 0.5 (2)*\n3 min",
        "DDM(Ours), economy": "53.0 ± 0.2 | 51.0 ± 0.5 (2)*\n3 min",
    }
    assert "Not the papers' settings: economy (2,500 iterations, 64 real" in table.caption.plain
    assert (
        filled(DDM, two.pairs) == "3 of the 9 cells that are ours to run: 2 at the papers' settings, 2 economy"
    )


def test_rows_of_a_method_begin_with_the_papers_settings(tmp_path):
    fill(tmp_path, [*published("ddm-1", "cifar10", 1, "dm"), *cells("dm")], changes={})
    fill(tmp_path, cells("dm"))
    comparison = Comparison(published("ddm-1", "cifar10"), benches(tmp_path, refuse))
    table = side_by_side("", comparison, measured=True)
    assert [*table.columns[0].cells] == ["DM", "DM, economy"]
    assert table.columns[1].header == "cifar10, 1"
    assert [*table.columns[1].cells] == ["", "26.0 ± 0.8 | 26.0 ± 0.5 (2)\n3 min"]


def test_other_settings_have_a_row_for_each(tmp_path):
    for n in (1, 2):
        fill(tmp_path, cells("random", "dm"), changes=PAPERS | {"iterations": n})
    comparison = Comparison(DDM, benches(tmp_path, refuse))
    # Iterations of condensation make no difference to what selects at random.
    assert [p.label for p in comparison.pairs] == ["Random", "DM, other settings", "DM, other settings 2"]
    assert [line.partition(". At")[0] for line in comparison.warnings()] == [
        "Not the papers' settings (other settings): iterations 1",
        "Not the papers' settings (other settings 2): iterations 2",
    ]


def test_what_was_trained_in_bfloat16_has_a_name(tmp_path):
    fill(tmp_path, cells("random", "dm"), changes={"training_precision": "bfloat16"})
    fill(tmp_path, cells("dm"), changes={})
    fill(tmp_path, cells("dm"), changes={"precision": "bfloat16", "training_precision": "bfloat16"})
    comparison = Comparison(DDM, benches(tmp_path, refuse))
    reduced = ["Random, trained in bfloat16", "DM, economy, trained in bfloat16", "DM, economy, bfloat16"]
    assert sorted(p.label for p in comparison.pairs) == sorted([*reduced, "DM, economy"])
    assert any("training precision bfloat16" in line for line in comparison.warnings())


@pytest.mark.parametrize("changes", [{}, {"networks": 3}])
def test_what_has_no_economy_stands_beside_what_has(changes, tmp_path):
    idc = published("frontier-hard", "cifar10", 10, "idc")
    wanted = [*idc, *DDM]
    fill(tmp_path, [*idc, *cells("random", "dm")], changes=changes)
    (bench,) = benches(tmp_path, refuse)
    comparison, way = Comparison(wanted, [bench]), ", other settings" if changes else ""
    labels = [p.label for p in comparison.pairs]
    assert labels == [f"IDC{way}", f"Random{way}", f"DM{way or ', economy'}"]
    unlike, lacking = comparison.warnings()
    assert unlike.startswith("Not the papers' settings: economy (2,500 iterations, 64 real images a class, ")
    assert ("networks 3" in unlike) == bool(changes)
    assert lacking.startswith("idc has no economy: "), "of what is there"
    if not changes:
        (names, _) = (column.cells for column in side_by_side("", comparison, measured=True).columns)
        assert [name.partition(" [")[0] for name in names] == labels
        fill(tmp_path, cells("dm"))
        papers, economy = benches(tmp_path, refuse)
        assert [len(bench.scored) for bench in (papers, economy)] == [3, 3]
        both = Comparison(wanted, [papers, economy])
        assert [p.label for p in both.pairs] == ["IDC", "Random", "DM", "DM, economy"]


def test_what_was_compiled_is_at_the_papers_settings(tmp_path):
    wanted = [*cells("dm"), *published("ddm-fig3b", method="dm")]
    fill(tmp_path, wanted, changes=PAPERS | {"compiled": True})
    pairs = Comparison(wanted, benches(tmp_path, refuse)).pairs
    assert [pair.way for pair in pairs] == ["", ""]


def test_a_whole_table_is_filled(tmp_path):
    every = tables()["ddm-2"].cells
    fill(tmp_path, [cell for cell in every if runnable(cell)])
    comparison = Comparison(every, benches(tmp_path, refuse))
    assert {pair.cell for pair in comparison.pairs} == {cell for cell in every if runnable(cell)}
    assert (
        filled(every, comparison.pairs) == "27 of the 27 cells that are ours to run: 27 at the papers' settings"
    )
    assert "not measured" not in text(side_by_side("", comparison, measured=True), 300)


def test_class_incremental_cells_are_found_with_their_whole_orders(tmp_path):
    wanted = published("ddm-fig3b", method="dm")
    fill(tmp_path, wanted, orders=3)
    (bench,) = benches(tmp_path, refuse)
    (pair,) = Comparison(wanted, [bench]).pairs
    assert (pair.n, pair.seconds, pair.way) == (6, 3 * 5 * 120, "other settings")
    (records,) = tmp_path.glob("streams/*/records.jsonl")
    lines = records.read_text().splitlines()
    records.write_text("\n".join(lines[:-1]) + "\n")
    (bench,) = benches(tmp_path, refuse)
    assert bench.orders == 2
    (pair,) = Comparison(wanted, [bench]).pairs
    assert pair.n == 4


@pytest.mark.parametrize("gone", ["sets", "seconds"])
def test_a_time_that_was_not_recorded_is_not_made_up(gone, tmp_path):
    fill(tmp_path, cells("dm"), **({"seconds": None} if gone == "seconds" else {}))
    if gone == "sets":
        next(tmp_path.glob("sets/*.json")).unlink()
    comparison = Comparison(cells("dm"), [Bench(tmp_path, None, PAPERS)])
    (pair,) = comparison.pairs
    assert pair.seconds is None
    assert "time not recorded" in text(side_by_side("", comparison, measured=True))


def test_an_axis_holds_both_spreads_and_magnifies_no_noise(two):
    low, high = axis(two.pairs)
    for pair in two.pairs:
        for mean, std in (pair.published, (pair.mean, pair.std)):
            assert low <= mean - std
            assert mean + std <= high
    near = axis(two.pairs[:1])
    assert 5 <= near[1] - near[0] <= 7
    (pair,) = two.pairs[:1]
    assert axis([replace(pair, mean=0.1, std=0.0)])[0] == 0
    assert axis([replace(pair, mean=99.9, std=0.5)])[1] == 100


# on a terminal


@pytest.mark.parametrize(("encoding", "signs"), [("utf-8", "○●◉"), ("ascii", "ox@")])
def test_each_pair_has_a_row_with_its_dots_where_they_belong(encoding, signs, two):
    lines = text(Dots(two.pairs), 100, encoding).splitlines()
    published, ours, both = signs
    assert [line.split("  ")[0].strip() for line in lines[3:7]] == [pair.label for pair in two.pairs]
    for line, pair in zip(lines[3:7], two.pairs, strict=True):
        own = line[len("DDM(Ours), economy  ") :]
        if pair.outside:
            assert own.index(ours) < own.index(published)
        else:
            assert both in own
    places = [line.index(both) for line in lines[3:5]]
    assert places[0] < places[1]
    assert lines[2] == "cifar10, 10 images per class"
    numbers = lines[8].split()
    assert numbers == sorted(numbers, key=int)
    at = {int(number): lines[8].index(number) for number in numbers}
    left, right = max(n for n in at if n <= 26), min(n for n in at if n > 26)
    assert at[left] <= places[0] <= at[right] + 2, "a dot is between the numbers that it is between"


@pytest.mark.parametrize("width", [24, 40, 80, 200])
def test_a_picture_is_as_wide_as_the_terminal(width, two):
    lines = text(Dots(two.pairs), width).splitlines()
    assert max(map(len, lines)) <= width
    assert any("◉" in line for line in lines[3:])


def test_without_a_number_of_ours_there_is_no_picture():
    assert text(Dots([])).strip() == ""


def test_the_command_shows_the_picture_below_its_table(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    fill(tmp_path / "results", cells("random"))
    words = "table ddm-1 --only cifar10 --ipc 10 --method random --results results --device cpu".split()
    assert call(*words) == 0
    shown = capsys.readouterr().out
    assert shown.index("26.0 ± 1.2 | 26.0 ± 0.5 (2)") < shown.index("cifar10, 10 images per class")
    assert "Random" in shown.splitlines()[-3]
    assert "◉" in shown.splitlines()[-3]


def test_a_dry_run_says_whose_settings_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cl_condense.data.datasets.load", load)
    words = "table ddm-1 --only cifar10 --ipc 10 --method random --epochs 3 --device cpu --dry-run".split()
    assert call(*words) == 0
    assert "Not the papers' settings: epochs 3." in capsys.readouterr().out


# as a PNG


def test_a_picture_grows_with_its_rows(two):
    def size(pairs):
        head = dot_plot(pairs)
        assert head.startswith(b"\x89PNG")
        return [int.from_bytes(head[i : i + 4], "big") for i in (16, 20)]

    one, four = size(two.pairs[:1]), size(two.pairs)
    apart = size([*two.pairs, replace(two.pairs[0], column="_$x$")])
    assert one[0] == four[0] == apart[0]
    assert one[1] < four[1] < apart[1]
    unpublished = replace(two.pairs[0], cell=replace(two.pairs[0].cell, mean=None, std=None))
    assert size([unpublished]) == one

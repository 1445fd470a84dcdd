import copy
import gc
import io
import re
import sys
import threading
import time
import types

import pytest
import torch
from rich.console import Console

from cl_condense import Progress, ProgressBar
from cl_condense.common import drawing


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Loss:
    """A loss that counts how often somebody waits for it."""

    def __init__(self):
        self.looks = 0

    def __float__(self):
        self.looks += 1
        return 3.14159


def terminal(width=120, file=None, **environ):
    environ = {"TERM": "xterm", **environ}
    return Console(file=file or io.StringIO(), force_terminal=True, width=width, _environ=environ)


def log(file=None):
    return Console(file=file or io.StringIO(), width=40, _environ={})


def drive(bar, clock, steps, total, seconds, stage="condensing", loss=None, first=1):
    for i in range(first, first + steps):
        clock.now += seconds
        bar(Progress(stage, i, total, loss))


def lines(console):
    return console.file.getvalue().splitlines()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_a_terminal_sees_count_loss_and_time_left_and_the_bar_goes_away(clock):
    console, loss = terminal(), Loss()
    bar = ProgressBar("dm on digits", console, clock)
    drive(bar, clock, 400, 400, 0.5, loss=loss)
    shown = console.file.getvalue()
    assert "dm on digits: condensing" in shown
    assert "━" in shown
    assert "200 of 400, loss 3.14, 2 min so far, about 2 min left" in shown
    assert shown.endswith("\x1b[2K")  # the line is erased
    assert "\x1b[?25h" in shown  # and the cursor is back
    assert 20 <= loss.looks <= 21


def test_a_terminal_is_drawn_ten_times_a_second_at_most(clock):
    console = terminal()
    drive(ProgressBar("", console, clock), clock, 10_000, 10_001, 0.0005)
    assert 40 <= console.file.getvalue().count(" of 10001") <= 60


def test_a_terminal_shows_time_going_by_without_news(clock):
    console = terminal()
    bar = ProgressBar("", console, clock)
    drive(bar, clock, 2, 9, 30.0)
    clock.now += 45
    bar._tick()
    bar.close()
    assert "2 of 9, 30 s each, 75 s so far, nothing new for 45 s" in console.file.getvalue()


def test_stages_in_a_row_have_a_bar_each(clock):
    console = terminal()
    bar = ProgressBar("", console, clock)
    for stage, total in (("condensing", 50), ("training", 30), ("training", 30), ("evaluating", 10_000)):
        drive(bar, clock, 30, total, 1.0, stage, first=total - 29)
        assert bar._shown is None
    drive(bar, clock, 20, 50, 1.0)
    drive(bar, clock, 5, 50, 1.0)  # the one before did not come to its end
    drive(bar, clock, 5, 60, 1.0, first=6)
    bar.close()
    shown = console.file.getvalue()
    for text in ("condensing", "training", "evaluating", "5 of 50, 1 s each, 4 s so far, about 45 s left"):
        assert text in shown
    assert "9 of 60, 1 s each, 3 s so far" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 7


def test_a_narrow_terminal_has_no_part_of_a_word_and_no_power_of_ten(clock):
    console = terminal(50)
    drive(ProgressBar("folder", console, clock), clock, 60, 7000, 0.0005, stage="decoding", first=100)
    shown = console.file.getvalue()
    assert "folder: decoding" in shown  # before there is a rate
    assert "2,000 a second" in shown
    assert {*re.findall(r"\x1b\[2K([a-z]+) ", shown)} <= {"decoding"}


def test_a_narrow_terminal_and_markup_in_a_name_do_no_harm(clock):
    for width, shown in ((30, "1 of 5"), (60, "a{b}[/]: condensing"), (200, "[red]a{b}[/]: condensing")):
        console = terminal(width)
        drive(ProgressBar("[red]a{b}[/]" * 5, console, clock), clock, 5, 5, 1.0)
        assert shown in console.file.getvalue()


def test_what_is_printed_into_a_file_goes_there_while_a_terminal_has_a_bar(clock, capsys):
    console = terminal()
    bar = ProgressBar("", console, clock)
    drive(bar, clock, 3, 9, 1.0)
    print("accuracy 45")
    bar.close()
    assert capsys.readouterr().out == "accuracy 45\n"
    assert "accuracy" not in console.file.getvalue()


def test_a_log_has_a_line_soon_and_then_every_half_minute_with_few_looks(clock):
    console, loss = log(), Loss()
    bar = ProgressBar("dm on cifar10", console, clock)
    drive(bar, clock, 960, 960, 0.125, loss=loss)
    assert lines(console)[:2] == [
        "dm on cifar10: condensing 41 of 960, loss 3.14, 5 s so far, about 2 min left",
        "dm on cifar10: condensing 241 of 960, loss 3.14, 30 s so far, about 90 s left",
    ]
    assert len(lines(console)) == loss.looks == 5


@pytest.mark.parametrize(
    ("news", "said"),
    [  # when chunks of a first iteration are done, and when the log speaks
        ({2.0: 0.25, 4.0: 0.5, 6.0: 0.75}, {6.0: "0.7 of 100, 8 s each, 4 s so far, about 13 min left"}),
        ({3.0: 0.25, 6.5: 0.5, 9.0: 0.75}, {6.5: "0.5 of 100, 14 s each, 4 s so far, about 23 min left"}),
        ({6.0: 0.5, 11.5: 1.0}, {11.5: "1 of 100, 11 s each, 6 s so far, about 18 min left"}),
    ],
)
def test_a_log_has_a_first_estimate_within_ten_seconds_or_with_the_second_news(news, said, clock):
    console = log()
    with ProgressBar("ddm", console, clock) as bar:
        for second in range(1, 30):
            now = 1000 + second / 2
            clock.now = now
            bar._tick()
            if now - 1000 in news:
                bar(Progress("condensing", news[now - 1000], 100))
            found = lines(console)
            if found and "left" in found[-1]:
                break
    assert (now - 1000, found[-1]) == next((at, f"ddm: condensing {text}") for at, text in said.items())


def test_a_log_of_what_is_quick_stays_empty_and_waits_for_no_loss(clock):
    console, loss = log(), Loss()
    drive(ProgressBar("", console, clock), clock, 40, 40, 0.1, loss=loss)
    assert (lines(console), loss.looks) == ([], 0)


def test_a_log_has_lines_where_single_stages_are_shorter_than_the_time_between_lines(clock):
    console = log()
    bar = ProgressBar("", console, clock)
    for _ in range(30):
        drive(bar, clock, 4, 4, 1.0, "training")
    assert len(lines(console)) == 5


def test_a_log_says_that_something_takes_long_and_does_not_wait_for_its_loss(clock):
    console, loss = log(), Loss()
    with ProgressBar("ddm", console, clock) as bar:
        for seconds in (9.0, 2.0, 20.0, 10.5):
            clock.now += seconds
            bar._tick()
        assert lines(console) == ["ddm: starting, 11 s so far", "ddm: starting, 42 s so far"]
        bar(Progress("condensing", 1, 3, loss))
        bar(Progress("condensing", 2, 3, loss))
        assert loss.looks == 0
        clock.now += 31
        bar._tick()
        clock.now += 10
        bar(Progress("condensing", 3, 3, loss))
        clock.now += 100
        bar._tick()
    assert lines(console)[2:] == [
        "ddm: condensing 2 of 3, 31 s so far, nothing new for 31 s",
        "ddm: after condensing, 2 min so far",
    ]


def test_the_log_speaks_by_itself(monkeypatch):
    """The thread: without news, and without a call from the work."""
    monkeypatch.setattr("cl_condense.common.progress_bar._TICK", 0.01)
    monkeypatch.setattr(drawing.Log, "rhythm", drawing.Rhythm(0.02, 0.02, 0.05, looks=True))
    console = log()
    with ProgressBar("ddm", console):
        end = time.monotonic() + 10
        while len(lines(console)) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    said = lines(console)
    assert len(said) >= 3
    time.sleep(0.1)
    assert lines(console) == said
    assert said[0] == "ddm: starting"


def test_a_bar_that_nobody_has_any_more_gives_the_terminal_back(clock):
    console = terminal()
    bar = ProgressBar("", console, clock)
    drive(bar, clock, 3, 9, 1.0)
    assert "\x1b[?25h" not in console.file.getvalue()
    del bar
    gc.collect()
    assert "\x1b[?25h" in console.file.getvalue()


def test_an_error_inside_takes_the_bar_away(clock):
    console, stdout = terminal(), sys.stdout

    def work():
        with ProgressBar("", console, clock) as bar:
            drive(bar, clock, 3, 9, 1.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert console.file.getvalue().endswith("\x1b[2K")
    assert sys.stdout is stdout


class Shown:
    def __init__(self, cells, forms):
        self.forms, self._cells = [forms], cells
        cells.append(self)

    def update(self, forms, *, raw):
        assert raw
        self.forms.append(forms)


@pytest.fixture
def notebook(monkeypatch):
    cells, ipython, display = [], types.ModuleType("IPython"), types.ModuleType("IPython.display")
    display.display = lambda forms, *, raw, display_id: Shown(cells, forms)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return cells


def test_a_notebook_has_one_output_a_stage_that_changes_and_stays(notebook, clock):
    console = Console(file=io.StringIO(), force_jupyter=True)
    with ProgressBar("<dm>", console, clock) as bar:
        drive(bar, clock, 1000, 1000, 0.01, loss=torch.tensor(2.5))
        drive(bar, clock, 30, 30, 1.0, "training")
    condensing, training = notebook
    assert 35 <= len(condensing.forms) <= 45
    last = condensing.forms[-1]
    assert last["text/plain"] == "<dm>: condensing 1000 of 1000, loss 2.5, 10 s so far"
    assert last["text/html"].startswith('&lt;dm&gt;: condensing <progress value="1.0000" max="1"')
    assert training.forms[9]["text/plain"] == "<dm>: training 10 of 30, 1 s each, 9 s so far, about 20 s left"
    assert console.file.getvalue() == ""


def test_a_notebook_without_ipython_has_lines(monkeypatch, clock):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    console = Console(file=io.StringIO(), force_jupyter=True)
    drive(ProgressBar("", console, clock), clock, 10, 10, 4.0)
    assert [line.split(",")[0] for line in lines(console)] == ["condensing 3 of 10", "condensing 10 of 10"]


@pytest.mark.parametrize(
    ("make", "fault"),
    [  # no terminal is a pipe
        (terminal, OSError("gone")),
        (terminal, ValueError("I/O operation on closed file")),
        (log, OSError("gone")),
        (log, ValueError("I/O operation on closed file")),
        (log, BrokenPipeError()),
    ],
)
def test_a_stream_that_dies_is_no_error(make, fault, clock):
    class Dying(io.StringIO):
        writes = 0

        def write(self, text):
            if clock.now > 1040:
                Dying.writes += 1
                raise fault
            return super().write(text)

    with ProgressBar("", make(file=Dying()), clock) as bar:
        drive(bar, clock, 200, 300, 1.0)
    assert 1 <= Dying.writes < 10


@pytest.mark.parametrize("stream", [None, "closed"])
def test_no_stderr_at_all_is_no_error(stream, monkeypatch, clock):
    file = io.StringIO()
    file.close()
    monkeypatch.setattr(sys, "stderr", file if stream else None)
    drive(ProgressBar("", clock=clock), clock, 100, 100, 1.0)


@pytest.mark.parametrize("make", [terminal, log])
def test_a_stream_of_another_encoding_gets_what_it_can_show(make, clock):
    raw = io.BytesIO()
    console = make(file=io.TextIOWrapper(raw, "ascii", write_through=True))
    drive(ProgressBar("Blüte \udcff", console, clock), clock, 30, 31, 1.0)
    assert b"Bl?te ?: condensing" in raw.getvalue()


def test_colours_do_not_make_a_terminal_of_a_log(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(drawing.surface_of(drawing.stderr()), drawing.Log)


def test_a_dumb_terminal_has_lines(clock):
    console = terminal(TERM="dumb")
    drive(ProgressBar("", console, clock), clock, 10, 10, 4.0)
    assert len(lines(console)) == 2


def test_a_bar_is_copied_and_saved_without_what_it_draws(clock):
    bar = ProgressBar("dm", log(), clock)
    drive(bar, clock, 3, 9, 1.0)
    assert copy.deepcopy(bar)._name == "dm"
    bar.close()


@pytest.mark.parametrize(
    ("done", "said"), [(2, "2 of 9"), (2.0, "2 of 9"), (2.5, "2.5 of 9"), (2.99, "2.9 of 9")]
)
def test_shares_of_long_work_are_never_ahead(done, said, clock):
    console = log()
    bar = ProgressBar("", console, clock)
    bar(Progress("training", 0, 9))
    clock.now += 6
    bar(Progress("training", done, 9))
    bar.close()
    assert lines(console) == [f"training {said}, 6 s so far"]

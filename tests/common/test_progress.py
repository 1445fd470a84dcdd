import io

import torch
from rich.console import Console

from cl_condense.common.progress import Progress, ProgressBar, decoding


def test_a_terminal_sees_the_loss_and_the_line_ends_with_the_last_iteration():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    bar = ProgressBar("digits", console)
    for _ in range(2):  # two condensations, one after the other
        for i in range(1, 41):
            bar(Progress("condensing", i, 40, torch.tensor(1000.0 - i)))
            assert (bar._bar is None) == (i == 40)
    shown = console.file.getvalue()
    assert "digits" in shown
    assert "loss 960" in shown


def test_a_pipe_sees_nothing_and_waits_for_no_loss():
    class Loss:
        def __float__(self):
            raise AssertionError

    console = Console(file=io.StringIO(), width=100)
    ProgressBar(console=console)(Progress("condensing", 20, 20, Loss()))
    assert console.file.getvalue() == ""


def test_coresets_report_without_a_loss():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    ProgressBar("herding", console)(Progress("condensing", 3, 9))
    assert "herding" in console.file.getvalue()


def test_decoding_says_whose_images_and_how_far(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr("cl_condense.common.progress.Console", lambda **options: console)
    on_progress = decoding("imagenette")
    on_progress(1024, 2048)
    on_progress(2048, 2048)
    assert "decoding imagenette" in console.file.getvalue()

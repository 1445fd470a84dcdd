"""Commands that are killed again and again, in every phase, leave what an undisturbed one does.

``tests/support/kills.py`` does the same for as long, and at the sizes, that one wants.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from kills import SIGNALS, campaign, states
from made_up import in_place_of_files

AS_A_SHELL = """
import signal
from cl_condense.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored
main()
"""
SMALL = "--width 8 --device cpu".split()
RUN = "--steps 2 --orders 1 --networks 2 --method dm --method herding --iterations 40 --epochs 40".split()
TABLE = "ddm-1 --only cifar10 --ipc 1 --method dm --networks 2 --iterations 60 --epochs 60".split()
JOBS = {
    "run": [*RUN, *SMALL],
    "condense": ["--method", "dm+queue", "--ipc", "2", "--iterations", "60", *SMALL],
    "table": [*TABLE, *SMALL],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="it has no signals that a process can be ended with"),
]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_is_killed_again_and_again_ends_with_the_same_results(job, tmp_path):
    prepare = in_place_of_files if job == "table" else None
    found = campaign(job, JOBS[job], tmp_path, wait=states(10), times=4, keep=0.0, prepare=prepare)
    assert found["killed"] == dict.fromkeys(SIGNALS, 1)


def test_ctrl_c_while_the_interpreter_ends_leaves_the_exit_code(tmp_path):
    words = "condense --method random --ipc 1 --device cpu --out".split()
    for wait in range(3):
        command = [sys.executable, "-c", AS_A_SHELL, *words, tmp_path / f"{wait}.safetensors"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert any("images of" in line for line in iter(process.stdout.readline, ""))
            time.sleep(0.02 * (1 + wait))
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
        assert process.returncode in (0, 130)

"""Trials in a process of their own, which may hang, crash, take memory without end or run anything."""

import json
import os
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path

SECONDS, CLOCK, BYTES = 10, 120, 2**30
"""Of one trial: of a core, by the clock (other work may keep the cores, and a trial may wait for ever), and of
address space beyond what the process has."""

_RUN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn", "socket.connect")


def failures(trial, numbers):
    """What went wrong in ``trial(number)``, by number: the last line of an error, or how the process ended."""
    numbers, found = list(numbers), {}
    while numbers:
        for number, fault in _process(trial, numbers):
            numbers.remove(number)
            if fault:
                found[number] = fault
    return found


def fork():
    """As os.fork, without what Python 3.12 warns of: other threads are not in the child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def _process(trial, numbers):
    """The numbers that one process got through, with what went wrong; the last one may have ended it."""
    ours, theirs = os.pipe()
    child = fork()
    if child == 0:
        os.close(ours)
        _do(trial, numbers, theirs)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        said = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    done = {number: fault for number, fault in said if fault is not None}
    if len(done) < len(numbers):
        begun = said[-1][0] if said else numbers[0]
        ended = os.waitstatus_to_exitcode(status)
        name = signal.Signals(-ended).name if ended < 0 else f"exit code {ended}"
        late = ended in (-signal.SIGALRM, -signal.SIGPROF)
        done[begun] = f"no end within {SECONDS} s" if late else f"the process ended with {name}"
    return done.items()


def _do(trial, numbers, pipe):
    try:
        for late in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(late, signal.SIG_DFL)
        limit_memory(BYTES)
        sys.addaudithook(_watch)
        for number in numbers:
            _say(pipe, number, None)
            _limit_time(SECONDS, CLOCK)
            try:
                fault = trial(number) or ""
            except BaseException as error:
                fault = _last(error)
            _limit_time(0, 0)
            _say(pipe, number, fault)
    finally:
        os._exit(0)


def _limit_time(seconds, clock):
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(clock)


def limit_memory(more):
    """So many bytes of address space, beyond what this process has, are all that it gets."""
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(event, arguments):
    if event in _RUN:
        raise SystemExit(f"{event} {arguments}")


def _say(pipe, number, fault):
    os.write(pipe, json.dumps([number, fault]).encode() + b"\n")


def _last(error):
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text} ({Path(where.filename).name}:{where.lineno})"

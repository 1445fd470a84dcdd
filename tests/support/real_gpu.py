"""The GPU that is here, watched as the one that is not (benchmarks/stand_in.py)."""

import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

import torch

import cl_condense

_HOME = str(Path(cl_condense.__file__).parent)


class RealGpu:
    """Inside, what waits for the GPU is put down, and convolutions are in float32, not TF32.

    Attributes:
        waits: what waited: the operation, as torch says it, and where in the package.
    """

    device = torch.device("cuda:0")

    def __init__(self):
        self.waits: list[str] = []

    def __enter__(self):
        self._stack = ExitStack()
        self._stack.callback(setattr, torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)
        torch.backends.cudnn.allow_tf32 = False
        self._stack.enter_context(warnings.catch_warnings())
        self._stack.callback(torch.cuda.set_sync_debug_mode, torch.cuda.get_sync_debug_mode())
        warnings.simplefilter("always")
        warnings.showwarning = self._warned
        torch.cuda.set_sync_debug_mode("warn")
        return self

    def __exit__(self, *error):
        self._stack.close()

    def clear(self):
        self.waits.clear()

    def _warned(self, message, *where, **more):
        if "synchronizing CUDA operation" not in str(message):
            return
        frame = sys._getframe(1)
        while frame and not frame.f_code.co_filename.startswith(_HOME):
            frame = frame.f_back
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "elsewhere"
        self.waits.append(f"{message}: {place}")

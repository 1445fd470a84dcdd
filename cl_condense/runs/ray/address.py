"""Where a Ray cluster is said to be, and whether one is there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from cl_condense.common.foreign import reason

AUTO = "auto"
_REACH, _ANSWER = 5.0, 30.0  # seconds for a port to open, and for Ray to answer at it

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what it does anyway later on, without a warning
}


def quiet() -> None:
    """Keeps Ray silent, and off the network; before it is imported."""
    os.environ.update({k: v for k, v in _QUIET.items() if k not in os.environ})


def check_address(address: str) -> None:
    """Raises ValueError where Ray is not installed, and for an address at which no cluster answers."""
    quiet()
    try:
        import ray  # noqa: F401, PLC0415
    except ImportError:
        raise ValueError("--ray needs the package ray: pip install 'cl-condense[ray]'") from None
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS", AUTO)
        if address in ("", AUTO, "local"):
            return
    host, _, port = address.rpartition(":")
    remedy = "start one there with ray start --head, or give auto"
    try:
        socket.create_connection((host, int(port)), timeout=_REACH).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(f"--ray {address}: no Ray cluster is there ({reason(error)}): {remedy}") from None
    ask = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)"  # its own time limit is minutes
    try:
        subprocess.run([sys.executable, "-c", ask, address], capture_output=True, timeout=_ANSWER, check=True)
    except (subprocess.SubprocessError, OSError):
        raise ValueError(
            f"--ray {address}: what is there is no Ray cluster that this machine is of: {remedy}"
        ) from None

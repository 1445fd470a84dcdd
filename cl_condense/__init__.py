"""Dataset condensation as memory for continual learning.

>>> from cl_condense import MakeConvNet, condense, load
>>> train, test = load("digits")
>>> condensed = condense(train, "ddm", ipc=2, iterations=100, network=MakeConvNet(train.shape, width=32))
>>> condensed.save("digits.safetensors")

The public names are those of ``__init__.pyi``. Each is loaded when it is first asked for: torch takes a second,
Avalanche several, and neither is needed for --help.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

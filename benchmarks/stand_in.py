"""A CUDA device that is not there: its tensors carry values on the CPU, its operations are watched.

    with StandIn() as device:
        step()  # on tensors of device.device

What torch would refuse on a GPU is refused here: operands of two devices, a generator of another one, an index
of the GPU into a tensor of the host. What would wait for the GPU is put down in ``waits``, what would be
launched in ``launches``. Branches of code for ``is_cuda`` are gone through, and the values that come out are a
CPU's. It cannot show time, memory, races of streams, how a GPU's kernels round, autocast and torch.compile.
"""

import contextlib
import functools
import sys
import weakref
from collections import Counter
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

import cl_condense

DEVICE = torch.device("cuda:0")
_BELOW, _HOST = torch.device("meta"), torch.device("cpu")
aten = torch.ops.aten

_HOMES = tuple(str(Path(p).resolve().parent) for p in (cl_condense.__file__, __file__))
_INDEXED = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index)
_COPIES = (aten._to_copy, aten.copy_, aten.copy)
_NO_KERNEL = ("aten::empty", "aten::lift", "aten::_local_scalar_dense", "aten::_unsafe_view", "aten::set_")
_MEMORY = 64 * 2**30


class OnDevice(Tensor):
    """A tensor of the device; its values are in ``value``, on the CPU."""

    value: Tensor

    @staticmethod
    def __new__(cls, value, requires_grad=False):
        made = Tensor._make_wrapper_subclass(
            cls,
            value.shape,
            strides=value.stride(),
            storage_offset=value.storage_offset(),
            dtype=value.dtype,
            layout=value.layout,
            device=_BELOW,
            requires_grad=requires_grad,
        )
        made.value = value
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func}: a tensor of the stand-in is used outside of it")

    def record_stream(self, stream):
        """Of streams there is one."""

    def __repr__(self, *, tensor_contents=None):
        return f"OnDevice({tuple(self.shape)}, {self.dtype})"

    def __deepcopy__(self, memo):
        made = OnDevice(self.value.clone(), self.requires_grad)
        if getattr(self, "_is_param", False):
            made._is_param = True
        memo[id(self)] = made
        return made


class StandIn(TorchDispatchMode):
    """Inside, there is a CUDA device.

    Attributes:
        waits: what would have waited for the device: the operation, and where.
        launches: how often each operation that takes a kernel was done on the device.
    """

    device = DEVICE

    def __init__(self):
        super().__init__()
        self.waits: list[str] = []
        self.launches: Counter[str] = Counter()
        self._pinned: list[weakref.ref[Tensor]] = []

    def __enter__(self):
        stack = self._stack = contextlib.ExitStack()
        overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # net.to(device) makes new parameters
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwritten)
        stack.enter_context(_driver(self))
        stack.enter_context(_Named(self))
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._stack.close()

    def clear(self):
        """Forgets what was seen."""
        self.waits.clear()
        self.launches.clear()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        ours = {id(x.value): x for x in tensors if isinstance(x, OnDevice)}
        device = kwargs.get("device")
        there = bool(ours) if device is None else device.type == "meta"
        if not ours and not there:
            return func(*args, **kwargs)
        if func.overloadpacket in _COPIES:
            there = self._copied(func, args, kwargs, there)
        else:
            _check_placed(func, tensors)
            _check_generator(func, kwargs, there)
            self._watch(func, args, kwargs)
        if device is not None:
            kwargs["device"] = _HOST
        own, named = tree_map_only(OnDevice, lambda x: x.value, (args, kwargs))
        out = func(*own, **named)
        if torch.Tag.inplace_view in func.tags:
            with torch._C._DisableTorchDispatch():
                func(*args, **kwargs)  # such as unsqueeze_: the outer shape is to change too
        if there and _launches(func):
            self.launches[str(func.overloadpacket)] += 1
        if not there:
            return out
        return tree_map_only(Tensor, lambda x: ours[id(x)] if id(x) in ours else OnDevice(x), out)

    def _copied(self, func, args, kwargs, there):
        """Whether a copy's result is on the device.

        One from the other side waits, but for one from pinned memory that says that it need not.
        """
        made = func.overloadpacket is aten._to_copy
        source, there = (args[0], there) if made else (args[1], isinstance(args[0], OnDevice))
        if isinstance(source, OnDevice) != there:
            asynchronous = kwargs.get("non_blocking", len(args) > 2 and args[2])
            if not (there and asynchronous and self.pinned(source)):
                self._wait(f"a copy to the {'device' if there else 'host'}")
        return there

    def pin(self, tensor):
        """Takes a tensor of the host to be in pinned memory; returns it."""
        self._pinned.append(weakref.ref(tensor))
        return tensor

    def pinned(self, tensor):
        return any(each() is tensor for each in self._pinned)

    def _watch(self, func, args, kwargs):
        packet = func.overloadpacket
        if packet in _INDEXED:
            for index in args[1]:
                if index is None:
                    continue
                if index.dtype in (torch.bool, torch.uint8):
                    self._wait("an index by a mask")
                if not isinstance(index, OnDevice) and isinstance(args[0], OnDevice):
                    self._wait("an index of the host")
        elif packet is aten.repeat_interleave and kwargs.get("output_size") is not None:
            pass
        elif {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output} & {*func.tags}:
            self._wait(func.name())
        elif packet is aten._linalg_eigh:
            self._wait("eigenvectors, whose solver says whether it converged")

    def _wait(self, what):
        self.waits.append(f"{what}: {_where()}")


class _Named(TorchFunctionMode):
    """Calls from Python: to them the device is called cuda, below them meta, which needs no driver."""

    def __init__(self, device):
        super().__init__()
        self._device = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in _GETTERS:
            return _GETTERS[func](args[0]) if _of_device(args[0]) else func(*args)
        kwargs = dict(kwargs or {})
        if func is torch.device:
            return func(*args, **kwargs)
        if func is Tensor.__setitem__ and _of_device(args[0]) and not isinstance(args[2], Tensor):
            self._device._wait("a number put in a place")  # it goes there as a tensor of the host
        if func in _OWN:
            return _OWN[func](self._device, args[0])
        pinned = kwargs.pop("pin_memory", False)
        listed = func in _MADE_OF_LISTS and not isinstance(args[0], Tensor)
        if listed and _named(kwargs.get("device")) == _BELOW:
            return func(*args, **kwargs | {"device": _HOST}).to(_BELOW)
        args, kwargs = tree_map(_named, (args, kwargs))
        made = func(*args, **kwargs)
        return self._device.pin(made) if pinned else made


_GETTERS = {
    Tensor.device.__get__: lambda x: DEVICE,
    Tensor.is_cuda.__get__: lambda x: True,
    Tensor.is_cpu.__get__: lambda x: False,
    Tensor.is_meta.__get__: lambda x: False,
}


_OWN = {
    Tensor.pin_memory: lambda device, x: device.pin(x.clone()),
    Tensor.is_pinned: lambda device, x: device.pinned(x),
    Tensor.tolist: lambda device, x: x.cpu().tolist(),
}

_MADE_OF_LISTS = (torch.tensor, torch.as_tensor)


def _of_device(x):
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    return isinstance(x, OnDevice)


def _named(x):
    """What a device is called below."""
    cuda = isinstance(x, torch.device | str) and str(x) in ("cuda", "cuda:0")
    return _BELOW if cuda else x


def _check_placed(func, tensors):
    """Operands are of one device, but for numbers of the host and what an index is taken of."""
    host = [x for x in tensors if not isinstance(x, OnDevice)]
    if len(host) == len(tensors) or not host:
        return
    if func.overloadpacket in _INDEXED and isinstance(tensors[0], OnDevice):
        return  # torch brings such an index over, which waits
    if any(x.ndim for x in host):
        shapes = ", ".join(f"{'cuda' if isinstance(x, OnDevice) else 'cpu'} {tuple(x.shape)}" for x in tensors)
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found {shapes}")


def _check_generator(func, kwargs, there):
    generator = kwargs.get("generator")
    if generator is not None and there != (generator.device.type == "cuda"):
        raise RuntimeError(f"{func}: a generator of {generator.device} for tensors of another device")


@functools.cache
def _launches(func):
    """Whether an operation takes a kernel: neither a view nor an allocation."""
    view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    return not view and not func.name().startswith(_NO_KERNEL)


def _where():
    """The innermost line of this repository."""
    frame = sys._getframe(1)
    while frame and (frame.f_code.co_filename == __file__ or not frame.f_code.co_filename.startswith(_HOMES)):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "elsewhere"


@contextlib.contextmanager
def _driver(stand_in):
    """What torch asks the driver."""
    state = [torch.zeros(16, dtype=torch.uint8)]
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "get_device_name": lambda device=None: "stand-in",
        "is_bf16_supported": lambda *a, **k: True,
        "get_rng_state": lambda device=0: state[0],
        "set_rng_state": lambda new, device=0: state.__setitem__(0, new),
        "manual_seed": lambda seed: state.__setitem__(0, torch.full((16,), seed % 251, dtype=torch.uint8)),
        "device": lambda device: contextlib.nullcontext(),
        "memory_reserved": lambda device=0: 0,
        "memory_allocated": lambda device=0: 0,
        "max_memory_allocated": lambda device=0: 0,
        "reset_peak_memory_stats": lambda device=0: None,
        "mem_get_info": lambda device=0: (_MEMORY, _MEMORY),
        "Stream": lambda device=0: mock.Mock(spec=["record_event"]),
        "stream": lambda stream: contextlib.nullcontext(),
        "current_stream": lambda device=0: mock.Mock(spec=["wait_event"]),
        "synchronize": lambda device=0: stand_in._wait("torch.cuda.synchronize"),
    }
    with mock.patch.multiple(torch.cuda, **answers):
        yield

"""Ranks that torchrun started, one or several on each host, on torch.distributed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NoReturn, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from cl_condense.common.foreign import out_of_memory, reason
from cl_condense.common.ranks import Lost, Over, Ranks

T = TypeVar("T")

_PATIENCE = timedelta(days=30)
"""How long a rank waits for another that lives: one may train networks alone for hours."""

_SAID, _WHY, _CODE = (f"cl_condense.{name}" for name in ("said", "why", "code"))


class Distributed(Ranks):
    """Ranks on torch.distributed: gloo between CPUs, nccl between GPUs, and gloo for what is no tensor there.

    Args:
        rank, size: see ``Ranks``.
        group: of torch.distributed; None: all processes.
        root: the ranks that these are some of.
    """

    def __init__(
        self, rank: int, size: int, group: dist.ProcessGroup | None = None, root: Distributed | None = None
    ) -> None:
        self.rank, self.size, self._group, self._root = rank, size, group, root or self
        self._some: dict[int, dist.ProcessGroup] = {}
        self._busy = False

    def check_device(self, device: torch.device) -> None:
        if device.type != "cuda":
            return
        gpus, here = torch.cuda.device_count(), _here()
        if here > gpus:
            raise ValueError(f"{here} ranks on a host of {gpus} GPUs: start no more, or give --device cpu")
        if device.index not in (None, torch.cuda.current_device()):
            raise ValueError(f"{device} for {self.size} ranks, which take a GPU each: give --device cuda")

    def first(self, most: int) -> Ranks:
        if most >= self.size:
            return self
        with _met():
            group = self._some.get(most) or dist.new_group([*range(most)], timeout=_PATIENCE)
        self._some[most] = group
        return Distributed(self.rank if self.rank < most else -1, most, group, self)

    def call(self, work: Callable[..., None], args: Callable[[], tuple[object, ...]]) -> None:
        self._root._busy = True
        self._root.told((work, args()))

    def rest(self) -> None:
        self._root._busy = False

    def told(self, value: T) -> T:
        box: list[T] = [value]
        with _met():
            dist.broadcast_object_list(box, 0, self._group, device=torch.device("cpu"))
        return box[0]

    def once(self, find: Callable[[], T]) -> T:
        return cast("T", self.told(find() if self.leads else None))

    def spread(self, tensors: Sequence[Tensor], owner: int) -> None:
        for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.detach().flatten() for tensor in alike])  # one message for all
            with _met():
                dist.broadcast(flat, owner, self._group)
            if owner == self.rank:
                continue
            with torch.no_grad():
                for tensor, part in zip(alike, flat.split([t.numel() for t in alike]), strict=True):
                    tensor.copy_(part.view(tensor.shape))

    def gathered(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        return _Gathered.apply(own, self, tuple(sizes))

    def collected(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        even = _filled(own, max(sizes))
        parts = [torch.empty_like(even) for _ in sizes] if self.leads else None
        with _met():
            dist.gather(even, parts, 0, self._group)
        return own if parts is None else _cut(parts, sizes)

    def total(self, own: Tensor) -> Tensor:
        summed = own.detach().clone()
        with _met():
            dist.all_reduce(summed, group=self._group)
        return summed

    def union(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
        found: list[dict[str, Tensor]] | None = [{}] * self.size if self.leads else None
        sent = {name: value.detach().cpu() for name, value in own.items()}
        with _met():
            dist.gather_object({} if self.leads else sent, found, 0, self._group)
        return {k: v for each in found or () for k, v in each.items()} | own

    def follow(self) -> int:
        """Does what the leader calls for until that ends; the exit code. For all ranks but the leader.

        What asks the processes to end asks the leader too, and it says when.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                called: object = self.told(None)
                if isinstance(called, int):
                    dist.destroy_process_group()
                    return called
                work, args = cast("tuple[Callable[..., None], tuple[object, ...]]", called)
                work(self, *args)
            except Over:
                continue
            except ValueError as error:
                self._leave(_WHY, " ".join(str(error).split()))
                return 2
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                self._leave(_WHY, f"rank {self.rank}: the memory ran out ({reason(error)})")
                return 2

    def end(self, code: int) -> None:
        """The leader's last call: the others end too, with its exit code."""
        if self._busy:  # they look at this where they find that nobody answers
            self._leave(_CODE, str(code))
        else:
            with suppress(Lost, ValueError):
                self.told(code)
            dist.destroy_process_group()

    @staticmethod
    def _leave(name: str, text: str) -> None:
        with suppress(RuntimeError):
            dist.distributed_c10d._get_default_store().set(name, text)


def leave(code: int) -> NoReturn:
    """Ends this process, one of ranks whose work is done, at once.

    Threads of torch.distributed may still run when the interpreter takes its objects down: now and then, on a
    busy machine, the process aborted then, after all was written.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def distributed() -> Distributed | None:
    """The ranks that this process is one of, by torchrun's environment; None where it is alone.

    Raises:
        ValueError: where they do not find one another, and for more ranks on a host than it has GPUs.
    """
    try:
        rank, size = (int(os.environ.get(name, "-1")) for name in ("RANK", "WORLD_SIZE"))
    except ValueError as error:
        raise ValueError(f"RANK and WORLD_SIZE ({error}): start with torchrun, which sets them") from None
    if rank < 0 or size < 2:
        return None
    nccl = torch.cuda.device_count() >= _here()
    if nccl:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank)))
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        lost = f"rank {rank} of {size} finds no others ({reason(error)})"
        raise ValueError(f"{lost}: start them with torchrun") from None
    return Distributed(rank, size)


def _here() -> int:
    """Ranks on this host."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))


@contextmanager
def _met() -> Iterator[None]:
    """Inside, ranks exchange something.

    Raises:
        Lost: where one of them has ended; what it left to be said is.
        ValueError: for a fault that another one has found.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError:
        raise _lost() from None


def _lost() -> Exception:
    with suppress(RuntimeError):
        store = dist.distributed_c10d._get_default_store()
        if store.check([_CODE]):  # said already
            return Lost("", int(store.get(_CODE)))
        first = store.add(_SAID, 1) == 1
        if store.check([_WHY]):
            return ValueError(store.get(_WHY).decode())
        if not first:
            return Lost("", 1)
    gone = "another rank has ended before its work was done"
    return Lost(f"{gone}: the same command goes on from the last state that was kept", 1)


def _filled(own: Tensor, most: int) -> Tensor:
    """With rows of zeros up to ``most``, since what goes round has to be of one size."""
    own = own.detach().contiguous()
    return own if len(own) == most else torch.cat([own, own.new_zeros(most - len(own), *own.shape[1:])])


def _cut(parts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


class _Context(Protocol):
    place: tuple[int, int]


class _Gathered(torch.autograd.Function):
    """The tensors of all ranks; of the gradient each takes what is its own."""

    @staticmethod
    def forward(ctx: _Context, own: Tensor, ranks: Distributed, sizes: tuple[int, ...]) -> Tensor:
        ctx.place = sum(sizes[: ranks.rank]), sizes[ranks.rank]
        even = _filled(own, max(sizes))
        parts = [torch.empty_like(even) for _ in sizes]
        with _met():
            dist.all_gather(parts, even, ranks._group)
        return _cut(parts, sizes)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.narrow(0, *ctx.place), None, None

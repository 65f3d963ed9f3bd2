"""Brings batches of numpy arrays to the device that learns; pictures stay bytes until they are there."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tengen.types import Array, Transition


class TensorBatch(NamedTuple):
    """A batch of N transitions as tensors; see `tengen.types.Transition`."""

    observation: Tensor  # [N, ...]
    action: Tensor  # [N]
    reward: Tensor  # [N]
    bootstrap: Tensor  # [N]
    next_observation: Tensor  # [N, ...]
    next_legal: Tensor | None  # [N, A]
    weight: Tensor | None  # [N], of each loss; None: 1


class Upload(Protocol):
    """Turns arrays into tensors on a device."""

    def now(self, array: Array) -> Tensor:
        """Return an array that acting waits for."""
        ...

    def batch(self, batch: Transition, weights: Array | None) -> TensorBatch:
        """Return a batch and its weights, whose arrays may be written over from now on."""
        ...


class SharedMemory:
    """On the CPU a tensor is a view of the array."""

    def now(self, array: Array) -> Tensor:
        """Return a view."""
        return torch.from_numpy(array)

    def batch(self, batch: Transition, weights: Array | None) -> TensorBatch:
        """Return views: the batch is learnt from before another is sampled."""
        optional = (None if array is None else torch.from_numpy(array) for array in (batch.next_legal, weights))
        return TensorBatch(*(torch.from_numpy(array) for array in batch[:5]), *optional)


class PinnedMemory:
    """To a GPU: copies go through pinned memory on a stream of their own, while the GPU works on the update before.

    Two sets of pinned buffers are taken in turns, so that a batch is staged while the one before is still on its way.

    Args:
        device: A CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no annotations here
        self._staged: list[dict[int, Tensor]] = [{}, {}]
        self._copied = [torch.cuda.Event(), torch.cuda.Event()]  # type: ignore[no-untyped-call]  # likewise
        self._turn = 0

    def now(self, array: Array) -> Tensor:
        """Return a copy on the device."""
        return torch.from_numpy(array).to(self.device)

    def batch(self, batch: Transition, weights: Array | None) -> TensorBatch:
        """Stage the arrays, and return the tensors that they are being copied to."""
        self._turn = 1 - self._turn
        copied = self._copied[self._turn]
        copied.synchronize()  # two batches ago these buffers were being read
        with torch.cuda.stream(self._stream):
            required = [self._send(place, array) for place, array in enumerate(batch[:5])]
            optional = [
                None if array is None else self._send(place, array)
                for place, array in ((5, batch.next_legal), (6, weights))
            ]
            copied.record(self._stream)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._stream)
        tensors = TensorBatch(*required, *optional)
        for tensor in tensors:
            if tensor is not None:
                tensor.record_stream(current)  # its memory is not given away while the update still reads it
        return tensors

    def _send(self, place: int, array: Array) -> Tensor:
        source = torch.from_numpy(array)
        staged = self._staged[self._turn].get(place)
        if staged is None or staged.shape != source.shape or staged.dtype != source.dtype:
            staged = self._staged[self._turn][place] = torch.empty_like(source, pin_memory=True)
        staged.copy_(source)
        return staged.to(self.device, non_blocking=True)

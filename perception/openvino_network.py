"""Networks over boards computed by OpenVINO, which on a CPU is faster than torch, most of all for single positions.

An extra: `pip install tengen[openvino]`. Torch stays the reference; a test compares the two.
"""

from __future__ import annotations

import functools
import threading
import warnings
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tengen.errors import UserError
from tengen.perception.board_networks import BoardOutputs
from tengen.perception.network_file import Card, LoadedNetwork
from tengen.perception.precision import computes_in_bfloat16
from tengen.types import Array

Precision = Literal["auto", "float32", "bfloat16"]

_TRACING = threading.Lock()
"""Torch keeps one account of the layers that it is in while it traces, for all threads."""


class OpenVINONetwork:
    """A network with its card, called as `LoadedNetwork` is; not by two threads at once.

    It is compiled anew for each board size that it meets, in a second or so.

    Args:
        loaded: The network, on the CPU.
        precision: Arithmetic; auto takes bfloat16 where the processor has it.
        threads: Of OpenVINO; 0 lets it choose.

    Raises:
        UserError: OpenVINO is not installed.
    """

    def __init__(self, loaded: LoadedNetwork, precision: Precision = "auto", threads: int = 0) -> None:
        try:
            import openvino
        except ImportError as error:
            raise UserError(
                "OpenVINO is not installed: `pip install 'tengen[openvino]'`, or compute by torch"
            ) from error
        self.card: Card = loaded.card
        self._num_planes: int = self.card.architecture["parameters"]["planes"]
        example = torch.zeros(2, self._num_planes, 7, 7)  # of any size: what the heads make of it is traced, too
        with _TRACING, warnings.catch_warnings():  # tracing is how OpenVINO translates; torch would rather no one did
            warnings.simplefilter("ignore")
            self._model = openvino.convert_model(_Listed(loaded.network), example_input=example)
            _core()  # made once, by one thread
        in_bfloat16 = computes_in_bfloat16(precision, torch.device("cpu"))
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if in_bfloat16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # or engines side by side all compute on the first core
        }
        self._compiled: dict[int, Any] = {}

    def __call__(self, planes: Array) -> tuple[Array, Array | None]:
        """Return policy logits [B, N * N + 1] and values [B] (None without a value head) of planes [B, C, N, N]."""
        size = planes.shape[-1]
        if size not in self._compiled:
            self._compiled[size] = self._compile(size)
        found = self._compiled[size](np.ascontiguousarray(planes, np.float32), share_outputs=False)
        policy: Array = found[0]
        return policy, found[1] if len(found) > 1 else None

    def _compile(self, size: int) -> Any:
        model = self._model.clone()
        model.reshape([-1, self._num_planes, size, size])
        return _core().compile_model(model, "CPU", self._settings)


@functools.cache
def _core() -> Any:
    """Return OpenVINO's core, one for the process, which is never let go.

    The thread that compiles first is given a stack for signals. It is freed with the last core, whichever thread lets
    that go, and the next signal to the first one would end the process.
    """
    import openvino

    return openvino.Core()


class _Listed(nn.Module):
    """A network whose outputs are a plain tuple of those that are there, as tracing needs it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs: BoardOutputs = self.network(x)
        return (outputs.policy,) if outputs.value is None else (outputs.policy, outputs.value)

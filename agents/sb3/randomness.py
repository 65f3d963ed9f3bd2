"""The generators that stable-baselines3 draws from are the whole process's; this keeps an agent's apart."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tengen.types import State

_generators: Any = np.random  # numpy's annotations leave out the functions that exchange the global generator


class OwnRandomness:
    """Generators of an agent's own, in the place of numpy's and torch's global ones while it runs.

    Args:
        device: What it computes on.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._numpy = np.random.MT19937(0)
        self._torch = torch.get_rng_state()
        self._cuda = None if device == "cpu" else torch.cuda.get_rng_state(device)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Swap the agent's generators in, and the process's back at the end."""
        outside = _generators.get_bit_generator(), torch.get_rng_state()
        outside_cuda = None if self._cuda is None else torch.cuda.get_rng_state(self._device)
        _generators.set_bit_generator(self._numpy)
        torch.set_rng_state(self._torch)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
        try:
            yield
        finally:
            _generators.set_bit_generator(outside[0])
            self._torch = torch.get_rng_state()
            torch.set_rng_state(outside[1])
            if outside_cuda is not None:
                self._cuda = torch.cuda.get_rng_state(self._device)
                torch.cuda.set_rng_state(outside_cuda, self._device)

    def state_in_place(self) -> State:
        """Return the generators' state, while they are in place."""
        state: State = {"numpy": self._numpy.state, "torch": torch.get_rng_state().numpy()}
        if self._cuda is not None:
            state["cuda"] = torch.cuda.get_rng_state(self._device).numpy()
        return state

    def load_state_dict(self, state: State) -> None:
        """Go on from a state, when next in place."""
        self._numpy.state = state["numpy"]
        self._torch = torch.from_numpy(np.array(state["torch"]))
        if self._cuda is not None and "cuda" in state:
            self._cuda = torch.from_numpy(np.array(state["cuda"]))


@contextlib.contextmanager
def pythons_kept() -> Iterator[None]:
    """Put the state of Python's own generator back at the end; stable-baselines3 seeds it, and never draws."""
    before: Any = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)

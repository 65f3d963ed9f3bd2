"""DQN's learner for small multi-layer perceptrons on the processor: one compiled call for each update, and to act.

The same learning as `TorchLearner`'s to rounding, and the same states. What it can't do, `why_not_compiled` names.

B rows acted for, N transitions, K inputs, A actions, P parameters, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen.agents.dqn import _q_kernels as kernels
from tengen.agents.dqn.learner import Learnt
from tengen.errors import UserError
from tengen.perception.blas import use_one_thread
from tengen.perception.networks import is_picture
from tengen.perception.torch_state import module_state, require_finite
from tengen.schedules import LinearSchedule
from tengen.types import Array, Bools, EnvSpec, Floats, Ints, State, Transition

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tengen.agents.dqn.config import DQNConfig

_Singles: TypeAlias = NDArray[np.float32]

MOST_PARAMETERS = 400_000
"""Larger networks are left to torch; see docs/speed.md for where the two meet."""

_LOSSES = {"huber": kernels.HUBER, "squared": kernels.SQUARED}
_ALL_LEGAL = np.zeros((0, 0), np.bool_)
_ALL_ONE = np.zeros(0, np.float32)
_SINGLE = np.dtype(np.float32)  # compares in a third of the time that the class takes


def why_not_compiled(config: DQNConfig, spec: EnvSpec, device: str) -> str | None:
    """Return why the compiled learner can't take these settings, or None where it can.

    Args:
        config: The agent's settings.
        spec: The environment.
        device: "cpu", "cuda" or "cuda:N".
    """
    parts = ("dueling", "noisy", "pop_art", "overlap", "compile")
    chosen = [f"agent.{name}" for name in parts if getattr(config, name)]
    if config.distribution != "none":
        chosen.append(f"agent.distribution {config.distribution}")
    if config.precision != "float32":
        chosen.append(f"agent.precision {config.precision}")
    if device != "cpu":
        return f"it is for the processor, not for {device}"
    if is_picture(spec.observation_space):
        return "it is for vectors and numbers, not for pictures"
    if chosen:
        return f"it does not know {', '.join(chosen)}"
    sizes = layer_sizes(config, spec)
    count = sum((k + 1) * m for k, m in pairwise(sizes))
    if count > MOST_PARAMETERS:
        return f"the network has {count:,} parameters, and beyond {MOST_PARAMETERS:,} torch is as fast"
    return None


def layer_sizes(config: DQNConfig, spec: EnvSpec) -> list[int]:
    """Return the inputs of the network, and each layer's outputs."""
    space = spec.observation_space
    inputs = int(space.n) if hasattr(space, "n") else int(np.prod(space.shape or (), dtype=np.int64))
    return [inputs, *config.hidden, spec.num_actions]


class Inputs(Protocol):
    """Turns observations into the network's inputs."""

    size: int  # K

    def __call__(self, observation: Array, room: _Singles) -> _Singles:
        """Return observations [N, ...] as plain rows [N, K], which may be `room`."""
        ...


class Vectors:
    """Takes the numbers of an observation as they are.

    Args:
        size: How many there are.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, observation: Array, room: _Singles) -> _Singles:
        """Return [N, K] float32."""
        if observation.dtype == _SINGLE and observation.flags.carray:
            return observation if observation.ndim == 2 else observation.reshape(room.shape)
        room[...] = observation.reshape(room.shape)
        return room


class Indicators:
    """Turns a number into a row of zeros with a one in its place.

    Args:
        size: How many numbers there are.
        start: The least of them.
    """

    def __init__(self, size: int, start: int) -> None:
        self.size, self.start = size, start

    def __call__(self, observation: Array, room: _Singles) -> _Singles:
        """Return [N, K] float32."""
        place = observation - self.start
        assert np.all((place >= 0) & (place < self.size)), f"observations {observation} are not in the space"
        room[...] = 0
        room[np.arange(len(room)), place] = 1
        return room


class Rule(NamedTuple):
    """How an update is made; the arguments of `_q_kernels.update` that stay the same."""

    double: bool
    loss: int
    gradient_clip: float  # infinity: none
    optimizer: int
    beta_1: float
    beta_2: float
    epsilon: float
    target_period: int  # updates between moves of the target network; 0: there is none
    target_share: float  # of the online network in a move


class _Room:
    """Buffers for a number of rows."""

    def __init__(self, num_rows: int, sizes: Ints) -> None:
        self.num_rows = num_rows
        self.inputs = np.zeros((num_rows, int(sizes[0])), np.float32)
        self.next_inputs = np.zeros_like(self.inputs)
        self.outputs = np.zeros(num_rows * int(sizes[1:].sum()), np.float32)
        self.slopes = np.zeros_like(self.outputs)
        self.target = np.zeros(num_rows, np.float32)
        self.errors = np.zeros(num_rows, np.float32)


def compiled_learner(
    config: DQNConfig,
    spec: EnvSpec,
    network: nn.Module,
    generators: Sequence[torch.Generator],
    learning_rate: LinearSchedule,
) -> CompiledLearner:
    """Return the learner that a config describes.

    Args:
        config: Its settings, for which `why_not_compiled` has nothing to say.
        spec: The environment.
        network: Linear layers with ReLU between them, whose parameters it begins with.
        generators: Of noise, for the `TorchLearner` that may go on from its state; it has none itself.
        learning_rate: By environment steps.
    """
    space = spec.observation_space
    size = layer_sizes(config, spec)[0]
    inputs: Inputs = Indicators(size, int(getattr(space, "start", 0))) if hasattr(space, "n") else Vectors(size)
    if config.optimizer == "rmsprop":  # as in `build`
        optimizer = (kernels.RMSPROP, 0.95, 0.95, 0.01 / config.batch_size**2)
    else:
        optimizer = (kernels.ADAM, 0.9, 0.999, config.adam_epsilon)
    targets = {"none": (0, 0.0), "periodic": (config.target_period, 1.0), "polyak": (1, config.target_rate)}
    clip = inf if config.gradient_clip is None else config.gradient_clip
    rule = Rule(config.double, _LOSSES[config.loss], clip, *optimizer, *targets[config.target])
    parameters = module_state(network)
    initial: State = {
        "network": parameters,
        "target": parameters,
        "optimizer": {},
        "scale": {},
        "noise": [generator.get_state().numpy() for generator in generators],
        "num_updates": 0,
        "autocast": False,
    }
    return CompiledLearner(initial, inputs, rule, learning_rate)


class CompiledLearner:
    """Fits a multi-layer perceptron to the Q-learning targets of its target network.

    Args:
        initial: The state of a `TorchLearner` with a network of linear layers with ReLU between them.
        inputs: Turns observations into the network's inputs.
        rule: How an update is made.
        learning_rate: By environment steps.
    """

    def __init__(self, initial: State, inputs: Inputs, rule: Rule, learning_rate: LinearSchedule) -> None:
        use_one_thread()
        self.inputs = inputs
        self.rule = rule
        self.learning_rate = learning_rate
        self.num_updates = 0
        self._shapes = {name: np.shape(array) for name, array in initial["network"].items()}
        widths = [shape[0] for shape in self._shapes.values() if len(shape) == 2]
        self._sizes = np.array([inputs.size, *widths])
        self._parameters = self._zeros()
        self._target = self._zeros() if rule.target_period else self._parameters
        self._mean, self._square, self._gradient = self._zeros(), self._zeros(), self._zeros()
        self._acting, self._learning = _Room(1, self._sizes), _Room(1, self._sizes)
        self.load_state_dict(initial)

    @property
    def note(self) -> str | None:
        """That it is this one, and why the first start takes a while."""
        return "learning by compiled kernels (made at the first start, in some 20 seconds)"

    def _zeros(self) -> _Singles:
        return np.zeros(sum(int(np.prod(shape)) for shape in self._shapes.values()), np.float32)

    def greedy_actions(self, observation: Array, legal: Bools | None) -> Ints:
        """Return the legal action of the greatest value, [B]; of several the first."""
        num_rows = len(observation)
        room = self._acting
        if room.num_rows != num_rows:
            room = self._acting = _Room(num_rows, self._sizes)
        rows = self.inputs(observation, room.inputs)
        actions = np.empty(num_rows, np.int64)
        allowed = _ALL_LEGAL if legal is None else _plain(legal, np.bool_)
        kernels.act(self._parameters, self._sizes, rows, room.outputs, allowed, actions)
        return actions

    def exploring_actions(self, observation: Array, legal: Bools | None) -> Ints:
        """Return the same: there is no noise."""
        return self.greedy_actions(observation, legal)

    def action_values(self, observation: Array) -> Floats:
        """Return the expected return of each action, [B, A]."""
        room = _Room(len(observation), self._sizes)
        rows = self.inputs(observation, room.inputs)
        return kernels.values(self._parameters, self._sizes, rows, room.outputs).astype(np.float64)

    def publish(self) -> None:
        """Do nothing: what explores is what learns."""

    def update(self, batch: Transition, num_steps: int, weights: Array | None = None) -> Learnt:
        """Make one gradient step on a batch. The next call may write over the errors."""
        num_rows = len(batch.action)
        room = self._learning
        if room.num_rows != num_rows:
            room = self._learning = _Room(num_rows, self._sizes)
        rule = self.rule
        self.num_updates += 1
        due = rule.target_period > 0 and self.num_updates % rule.target_period == 0
        loss, q_value = kernels.update(
            self._parameters,
            self._target,
            self._sizes,
            self.inputs(batch.observation, room.inputs),
            _plain(batch.action, np.int64),
            _plain(batch.reward, np.float32),
            _plain(batch.bootstrap, np.float32),
            self.inputs(batch.next_observation, room.next_inputs),
            _ALL_LEGAL if batch.next_legal is None else _plain(batch.next_legal, np.bool_),
            _ALL_ONE if weights is None else _plain(weights, np.float32),
            rule.double,
            rule.loss,
            rule.gradient_clip,
            rule.optimizer,
            self.learning_rate(num_steps),
            rule.beta_1,
            rule.beta_2,
            rule.epsilon,
            self.num_updates,
            self._mean,
            self._square,
            rule.target_share if due else 0.0,
            room.outputs,
            room.slopes,
            self._gradient,
            room.target,
            room.errors,
        )
        return Learnt({"losses/loss": loss, "losses/q_value": q_value}, room.errors)

    def state_dict(self) -> State:
        """Return what a `TorchLearner` would: the networks, the optimizer's moments and the number of updates.

        Raises:
            UserError: A network is no longer finite.
        """
        state: State = {
            **self._idle,
            "network": require_finite(self._by_name(self._parameters)),
            "optimizer": self._moments() if self.num_updates else {},
            "num_updates": self.num_updates,
            "autocast": False,
        }
        if self._target is not self._parameters:
            state["target"] = require_finite(self._by_name(self._target))
        return state

    def load_state_dict(self, state: State) -> None:
        """Continue from a state, of this learner or of a `TorchLearner`.

        Raises:
            UserError: It is of another network, or of one that computes in bfloat16.
        """
        if state["autocast"]:
            raise UserError("the saved network learnt in bfloat16, which is torch's: set agent.backend to torch")
        self._copy(state["network"], self._parameters)
        if self._target is not self._parameters:
            self._copy(state["target"], self._target)
        names = self._moment_names()
        for array, name in zip((self._mean, self._square), names, strict=True):
            array[:] = 0
            if state["optimizer"]:
                saved = {key: state["optimizer"][str(i)][name] for i, key in enumerate(self._shapes)}
                self._copy(saved, array)
        self.num_updates = int(state["num_updates"])
        self._idle = {name: state[name] for name in ("scale", "noise")}  # what it does not use, but torch does

    def _moment_names(self) -> tuple[str, str]:
        """Return what torch's optimizer calls the two moments."""
        return ("exp_avg", "exp_avg_sq") if self.rule.optimizer == kernels.ADAM else ("mean", "square")

    def _moments(self) -> State:
        names = self._moment_names()
        mean, square = self._by_name(self._mean), self._by_name(self._square)
        moments = {str(i): {names[0]: mean[name], names[1]: square[name]} for i, name in enumerate(self._shapes)}
        if self.rule.optimizer == kernels.ADAM:
            for slots in moments.values():
                slots["step"] = np.array(self.num_updates, np.float32)
        return moments

    def _by_name(self, vector: _Singles) -> dict[str, Array]:
        """Return the layers' parts of a vector [P], by name; they share its memory."""
        parts, start = {}, 0
        for name, shape in self._shapes.items():
            stop = start + int(np.prod(shape))
            parts[name] = vector[start:stop].reshape(shape)
            start = stop
        return parts

    def _copy(self, saved: Mapping[str, Array], vector: _Singles) -> None:
        theirs = {name: tuple(np.shape(array)) for name, array in saved.items()}
        if theirs != self._shapes:
            raise UserError(f"the saved network has the layers {theirs}, but this one has {self._shapes}")
        for name, part in self._by_name(vector).items():
            part[...] = saved[name]


def _plain(array: Array, dtype: Any) -> Array:
    """Return an array of a dtype as kernels are compiled for: contiguous and writable; a copy only if it must be."""
    return array if array.dtype == dtype and array.flags.carray else np.array(array, dtype, order="C")

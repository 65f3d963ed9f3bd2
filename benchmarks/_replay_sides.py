"""The replays that `replay.py` times, behind one interface, and the experience that they are given.

Every frame has a number, which is written into it, so that what is sampled can be checked byte for byte.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np

from tengen.replay import FrameStore, PrioritizedReplay, UniformReplay
from tengen.types import Array, Decision, TimeStep

NUM_ACTIONS, STACK, SHAPE = 6, 4, (84, 84)
EXPONENT, IMPORTANCE = 0.6, 0.4
_POOL = np.random.default_rng(0).integers(256, size=(61, *SHAPE), dtype=np.uint8)


class Step(NamedTuple):
    """One step of one environment; or N of them, which were sampled."""

    observation: Array  # [4, 84, 84] uint8
    action: Any
    reward: Any
    terminated: Any
    next_observation: Array  # [4, 84, 84]


class Game:
    """Episodes of a fixed length. Episode g has the frames g (length + 1) + 1 to (g + 1) (length + 1).

    Args:
        length: Steps of an episode.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    def stack(self, number: int) -> Array:
        """Return the stack that ends with a frame, zeros before its game's start."""
        stack = np.zeros((STACK, *SHAPE), np.uint8)
        start = (number - 1) // (self.length + 1) * (self.length + 1) + 1
        for k, i in enumerate(range(number - STACK + 1, number + 1)):
            if i >= start:
                stack[k] = _POOL[i % len(_POOL)]
                stack[k, 0, :8] = np.frombuffer(np.uint64(i).tobytes(), np.uint8)
        return stack

    def place(self, number: int) -> int:
        """Return how many frames of its episode come before a frame."""
        return (number - 1) % (self.length + 1)

    def index(self, number: int) -> int:
        """Return how many steps were taken before the one upon a frame."""
        return number - 1 - (number - 1) // (self.length + 1)

    def step(self, number: int) -> Step:
        """Return the step that is taken upon a frame."""
        terminated = self.place(number) == self.length - 1
        return Step(self.stack(number), number % NUM_ACTIONS, float(number % 7 - 3), terminated, self.stack(number + 1))

    def steps(self, count: int) -> Iterator[tuple[int, Step]]:
        """Yield frame numbers and the steps taken upon them."""
        number = 0
        for _ in range(count):
            number += 1
            if self.place(number) == self.length:  # a final frame
                number += 1
            yield number, self.step(number)


def number_of(observation: Array) -> int:
    """Return the number of a stack's newest frame."""
    return int(np.ascontiguousarray(observation[-1, 0, :8]).view(np.uint64)[0])


class Side(Protocol):
    """A replay that is timed."""

    name: str
    package: str

    def add(self, step: Step, first: bool) -> None:
        """Remember a step."""
        ...

    def sample(self, batch_size: int) -> Any:
        """Draw a batch; where it is prioritized, also update the priorities of what was drawn."""
        ...

    def plain(self, sample: Any) -> Step:
        """Return a sample as arrays [N, ...]."""
        ...


class Ours:
    """Tengen's replays.

    Args:
        capacity: Frames.
        prioritized: Or uniform.
    """

    package = "tengen"

    def __init__(self, capacity: int, *, prioritized: bool = False) -> None:
        store = FrameStore(SHAPE, np.uint8, capacity=capacity, num_envs=1, frame_stack=STACK)
        rng = np.random.default_rng(0)
        self.prioritized = prioritized
        self.name = "PrioritizedReplay" if prioritized else "UniformReplay"
        self.replay: Any = UniformReplay(store, rng)
        if prioritized:
            self.replay = PrioritizedReplay(store, rng, exponent=EXPONENT, importance=lambda _: IMPORTANCE)

    def add(self, step: Step, first: bool) -> None:
        zero, one, no = np.zeros(1), np.ones(1), np.zeros(1, np.bool_)
        now = TimeStep(step.observation[None], zero, one, np.array([first]), no)
        reward, over = np.array([step.reward]), np.array([step.terminated])
        after = TimeStep(step.next_observation[None], reward, 1.0 - over, no, over)
        self.replay.add(now, Decision(np.array([step.action])), after)

    def sample(self, batch_size: int) -> Any:
        sample = self.replay.sample(batch_size)
        if self.prioritized:
            self.replay.update_priorities(sample.indices, errors(batch_size))
            return sample.transition
        return sample

    def plain(self, sample: Any) -> Step:
        over = sample.bootstrap == 0.0
        return Step(sample.observation, sample.action, sample.reward, over, sample.next_observation)


class StableBaselines:
    """stable-baselines3, which has a uniform replay only.

    Args:
        capacity: Transitions.
        optimize: `optimize_memory_usage`.
    """

    package = "stable-baselines3"

    def __init__(self, capacity: int, *, optimize: bool) -> None:
        import torch
        from stable_baselines3.common.buffers import ReplayBuffer

        torch.set_num_threads(1)  # with two, copies this small wait for each other
        self.name = "ReplayBuffer, optimize_memory_usage" if optimize else "ReplayBuffer"
        space = gym.spaces.Box(0, 255, (STACK, *SHAPE), np.uint8)
        settings: dict[str, Any] = {"optimize_memory_usage": optimize, "handle_timeout_termination": not optimize}
        self.replay: Any = ReplayBuffer(capacity, space, gym.spaces.Discrete(NUM_ACTIONS), device="cpu", **settings)

    def add(self, step: Step, first: bool) -> None:
        numbers = np.array([step.action]), np.array([step.reward]), np.array([step.terminated])
        self.replay.add(step.observation[None], step.next_observation[None], *numbers, [{}])

    def sample(self, batch_size: int) -> Any:
        return self.replay.sample(batch_size)

    def plain(self, sample: Any) -> Step:
        fields = sample.observations, sample.actions, sample.rewards, sample.dones, sample.next_observations
        observation, action, reward, over, after = (field.numpy() for field in fields)
        return Step(observation, action[:, 0], reward[:, 0], over[:, 0] > 0, after)


class Cpprb:
    """cpprb.

    Args:
        capacity: Transitions.
        prioritized: Or uniform.
        compressed: Each frame is kept once: `next_of` and `stack_compress`, which wants the stack as the last axis.
    """

    package = "cpprb"

    def __init__(self, capacity: int, *, prioritized: bool, compressed: bool) -> None:
        cpprb = importlib.import_module("cpprb")
        self.prioritized, self.compressed = prioritized, compressed
        shape = (*SHAPE, STACK) if compressed else (STACK, *SHAPE)
        fields: dict[str, Any] = {"act": {"dtype": np.int64}, "rew": {"dtype": np.float32}, "done": {}}
        fields["obs"] = {"shape": shape, "dtype": np.uint8}
        settings: dict[str, Any] = {"next_of": "obs", "stack_compress": "obs"} if compressed else {}
        if not compressed:
            fields["next_obs"] = fields["obs"]
        kind = cpprb.ReplayBuffer
        if prioritized:
            kind = cpprb.PrioritizedReplayBuffer
            settings["alpha"] = EXPONENT
        self.name = kind.__name__ + (", next_of and stack_compress" if compressed else "")
        self.replay: Any = kind(capacity, fields, **settings)

    def add(self, step: Step, first: bool) -> None:
        both = step.observation, step.next_observation
        if self.compressed:
            both = both[0].transpose(1, 2, 0), both[1].transpose(1, 2, 0)
        numbers = {"act": step.action, "rew": step.reward, "done": step.terminated}
        self.replay.add(obs=both[0], next_obs=both[1], **numbers)
        if step.terminated:
            self.replay.on_episode_end()

    def sample(self, batch_size: int) -> Any:
        if not self.prioritized:
            return self.replay.sample(batch_size)
        sample = self.replay.sample(batch_size, beta=IMPORTANCE)
        self.replay.update_priorities(sample["indexes"], errors(batch_size))
        return sample

    def plain(self, sample: Any) -> Step:
        both = sample["obs"], sample["next_obs"]
        if self.compressed:
            both = both[0].transpose(0, 3, 1, 2), both[1].transpose(0, 3, 1, 2)
        return Step(both[0], sample["act"][:, 0], sample["rew"][:, 0], sample["done"][:, 0] > 0, both[1])


class Tianshou:
    """Tianshou, each frame kept once: `stack_num`, `ignore_obs_next` and `save_only_last_obs`.

    Args:
        capacity: Transitions.
        prioritized: Or uniform.
    """

    package = "tianshou"

    def __init__(self, capacity: int, *, prioritized: bool) -> None:
        data = importlib.import_module("tianshou.data")
        self.batch: Any = data.Batch
        self.prioritized = prioritized
        settings: dict[str, Any] = {"stack_num": STACK, "ignore_obs_next": True, "save_only_last_obs": True}
        self.name = "PrioritizedReplayBuffer, stack_num" if prioritized else "ReplayBuffer, stack_num"
        if prioritized:
            self.replay: Any = data.PrioritizedReplayBuffer(capacity, alpha=EXPONENT, beta=IMPORTANCE, **settings)
        else:
            self.replay = data.ReplayBuffer(capacity, **settings)

    def add(self, step: Step, first: bool) -> None:
        numbers = {"act": step.action, "rew": step.reward, "terminated": step.terminated, "truncated": False}
        self.replay.add(self.batch(obs=step.observation, obs_next=step.next_observation, info={}, **numbers))

    def sample(self, batch_size: int) -> Any:
        batch, indices = self.replay.sample(batch_size)
        if self.prioritized:
            self.replay.update_weight(indices, errors(batch_size))
        return batch

    def plain(self, sample: Any) -> Step:
        return Step(sample.obs, sample.act, sample.rew, sample.terminated, sample.obs_next)


_ERRORS: dict[int, Array] = {}


def errors(batch_size: int) -> Array:
    """Return errors that priorities are updated with, the same ones each time."""
    if batch_size not in _ERRORS:
        _ERRORS[batch_size] = np.random.default_rng(1).gamma(1.0, size=batch_size)
    return _ERRORS[batch_size]


def sides(*, prioritized: bool) -> tuple[list[Callable[[int], Side]], list[str]]:
    """Return what makes each replay of a capacity, ours first, and the packages that are not installed.

    Args:
        prioritized: Those that are; or the uniform ones.
    """

    def make(kind: Callable[..., Side], **settings: bool) -> Callable[[int], Side]:
        return lambda capacity: kind(capacity, **settings)

    both = make(Cpprb, prioritized=prioritized, compressed=False), make(Cpprb, prioritized=prioritized, compressed=True)
    peers: dict[str, tuple[Callable[[int], Side], ...]] = {"cpprb": both}
    peers["tianshou"] = (make(Tianshou, prioritized=prioritized),)
    if not prioritized:
        peers["stable_baselines3"] = make(StableBaselines, optimize=False), make(StableBaselines, optimize=True)
    missing = [package for package in peers if importlib.util.find_spec(package) is None]
    found = [one for package, makers in peers.items() if package not in missing for one in makers]
    return [make(Ours, prioritized=prioritized), *found], missing

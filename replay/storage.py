"""A store of steps in which each frame is kept once; stacks and n-step returns are put together when they are read.

What a sampler needs: `draw` or row numbers of its own, then `gather`. See `tengen.replay._kernels` for the layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tengen.contracts import RowLog
from tengen.errors import UserError
from tengen.replay import _gather_kernels, _kernels
from tengen.replay._kernels import Rings
from tengen.types import Array, Bools, Decision, EnvSpec, Ints, State, TimeStep, Transition

_ROW_FIELDS = ("frame", "action", "reward", "discount", "age", "final")
_PIECE_BYTES = 1 << 24  # how much of a log is read at a time


class Batch(NamedTuple):
    """What transitions are gathered into."""

    transition: Transition
    observation: Array  # the same memory as bytes
    next_observation: Array  # the same memory as bytes
    next_legal: Bools  # [N, A], A = 0 where all actions are legal
    after: Ints  # [N], the rows that follow


class FrameStore:
    """Rings of rows, one ring for each environment.

    Every step takes one row, every episode one more for its final observation. A transition can be gathered once its
    n-step window is complete, until a frame of its stack is overwritten. Rewards and discounts are kept as float32, and
    summed over n steps as float64.

    Attributes:
        num_envs: E, the number of environments.
        num_rows: R, the rows of each environment's ring.
        num_stack: The frames of an observation, 1 without stacks.
        counts: What decides which rows can be sampled, for the kernels of samplers, to be read only: of `Rings` the
            fields final, age, base, head and ready.
    """

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        frame_dtype: Any,
        *,
        capacity: int,
        num_envs: int,
        frame_stack: int = 0,
        num_actions: int | None = None,
        n_step: int = 1,
        gamma: float = 0.99,
    ) -> None:
        """Make an empty store.

        Args:
            frame_shape: The shape of one frame; of the observation where there is no stack. () for numbers.
            frame_dtype: Its dtype.
            capacity: Frames held over all environments; each has a ring of `capacity // num_envs`.
            num_envs: Environments side by side.
            frame_stack: Frames of a stacked observation [K, ...], newest last and zero-padded; 0 without stacks.
            num_actions: The size of legal-action masks; None where all actions are legal.
            n_step: Steps whose rewards are summed in a transition.
            gamma: The discount factor of each step, in [0, 1].

        Raises:
            UserError: A size is out of range, or the capacity can't hold one transition of each environment.
        """
        if not 0.0 <= gamma <= 1.0:
            raise UserError(f"gamma must be from 0 to 1, got {gamma}")
        if n_step < 1:
            raise UserError(f"n_step must be at least 1, got {n_step}")
        if not 0 <= frame_stack <= 255:
            raise UserError(f"frame_stack must be from 0 to 255, got {frame_stack}")
        self.num_envs = num_envs
        self.num_rows = capacity // num_envs
        smallest = num_envs * (n_step + frame_stack + 2)
        if capacity < smallest:
            raise UserError(
                f"a replay of {capacity} frames is too small for {num_envs} environments, stacks of {frame_stack} "
                f"and n_step {n_step}: give it at least {smallest}"
            )
        self._frame_shape = tuple(frame_shape)
        self._frame_dtype = np.dtype(frame_dtype)
        if self._frame_dtype.hasobject:
            raise UserError(f"frames of dtype {self._frame_dtype} can't be stored: use an observation of plain numbers")
        self._frame_stack = frame_stack
        self.num_stack = max(frame_stack, 1)
        self._shape = (*((frame_stack,) if frame_stack else ()), *self._frame_shape)  # of an observation
        self._shared = frame_stack > 1 and n_step == 1
        self._has_legal = num_actions is not None
        self._row_fields = (*_ROW_FIELDS, "legal") if self._has_legal else _ROW_FIELDS
        self._n_step = n_step
        self._gamma = gamma

        num_bytes = self._frame_dtype.itemsize * int(np.prod(self._frame_shape, dtype=np.int64))
        size = next(size for size in (8, 4, 1) if num_bytes % size == 0)  # no more: kernels are compiled for each
        self._word = np.dtype(f"u{size}")
        ring = (num_envs, self.num_rows)
        # Zeroed memory is only mapped when it is first written, so that an unfilled ring costs nothing.
        self._rings = Rings(
            frame=np.zeros((*ring, num_bytes // size), self._word),
            action=np.zeros(ring, np.int64),
            reward=np.zeros(ring, np.float32),
            discount=np.zeros(ring, np.float32),
            age=np.zeros(ring, np.uint8),
            final=np.zeros(ring, np.bool_),
            legal=np.zeros((*ring, num_actions or 0), np.bool_),
            base=np.zeros(num_envs, np.int64),
            head=np.full(num_envs, -1, np.int64),
            ready=np.zeros(num_envs, np.int64),
            live=np.zeros(num_envs, np.int64),
        )
        self._no_legal = np.empty((num_envs, 0), np.bool_)
        self._typed = self._rings._replace(
            frame=self._rings.frame.view(self._frame_dtype).reshape(*ring, *self._frame_shape)
        )
        rings = self._rings
        self.counts = rings.final, rings.age, rings.base, rings.head, rings.ready
        numbers = rings.action, rings.reward, rings.discount, rings.age, rings.final, rings.legal
        self._held = _bytes(rings.frame), *numbers
        self._count: int | None = None  # of transitions that can be gathered, where it is known
        self._timeline = object()  # another one as soon as rows change by more than appending

    @classmethod
    def for_env(cls, spec: EnvSpec, *, capacity: int, n_step: int = 1, gamma: float = 0.99) -> FrameStore:
        """Make an empty store for what happens in an environment.

        Raises:
            UserError: Its observations are not one array of a fixed shape.
        """
        space = spec.observation_space
        if space.shape is None or space.dtype is None:
            raise UserError(f"{spec.id} has the observation space {space}, which is not one array: flatten it")
        shape = tuple(space.shape)
        if spec.frame_stack:
            if shape[:1] != (spec.frame_stack,):
                raise UserError(f"{spec.id} declares stacks of {spec.frame_stack} frames, but observations {shape}")
            shape = shape[1:]
        return cls(
            shape,
            space.dtype,
            capacity=capacity,
            num_envs=spec.num_envs,
            frame_stack=spec.frame_stack,
            num_actions=spec.num_actions if spec.has_legal else None,
            n_step=n_step,
            gamma=gamma,
        )

    def __len__(self) -> int:
        """The exact number of transitions that can be gathered."""
        if self._count is None:
            self._count = int(_kernels.count(self._rings, self.num_stack))
        return self._count

    @property
    def rings(self) -> Rings:
        """The rows, for the kernels of samplers: to be read only."""
        return self._rings

    @property
    def capacity(self) -> int:
        """The greatest number of rows held."""
        return self.num_envs * self.num_rows

    @property
    def nbytes(self) -> int:
        """The bytes that a full store takes."""
        return sum(array.nbytes for array in self._rings)

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        """Remember one step of every environment.

        Raises:
            UserError: The observations are not what was declared (dtype, shape, zero-padded stacks, newest last), or
                a step was left out.
        """
        observation = self._words(step.observation)
        next_observation = self._words(next_step.observation)
        shape = (self.num_envs,)
        assert step.first.shape == decision.actions.shape == next_step.last.shape == shape, "must be [num_envs]"
        assert next_step.reward.shape == next_step.discount.shape == shape, "must be [num_envs]"
        assert len(observation) == len(next_observation) == self.num_envs, "observations must be [num_envs, ...]"
        self._count = None
        problem, e = _kernels.add_step(
            *self._rings,
            self._n_step,
            observation,
            self._legal(step),
            step.first,
            decision.actions,
            next_step.reward,
            next_step.discount,
            next_step.last,
            next_observation,
            self._legal(next_step),
        )
        if problem != _kernels.FINE:
            raise UserError(f"environment {e}: {_PROBLEMS[problem]}")

    def allocate(self, batch_size: int) -> Batch:
        """Return a batch of N transitions to gather into.

        Where stacks are one step apart, `observation` and `next_observation` are views of the same N stacks of K + 1
        frames, which takes a third less to write.
        """
        if self._shared:
            frames = np.zeros((batch_size, self._frame_stack + 1, *self._frame_shape), self._frame_dtype)
            both = frames[:, :-1], frames[:, 1:]
            flat = _bytes(frames), _bytes(frames[:0])
        else:
            shape = (batch_size, *self._shape)
            both = np.zeros(shape, self._frame_dtype), np.zeros(shape, self._frame_dtype)
            flat = _bytes(both[0]), _bytes(both[1])
        legal = np.zeros((batch_size, self._rings.legal.shape[2]), np.bool_)
        transition = Transition(
            observation=both[0],
            action=np.zeros(batch_size, np.int64),
            reward=np.zeros(batch_size, np.float32),
            bootstrap=np.zeros(batch_size, np.float32),
            next_observation=both[1],
            next_legal=legal if self._has_legal else None,
        )
        return Batch(transition, *flat, legal, np.zeros(batch_size, np.int64))

    def draw(self, rng: np.random.Generator, env: Ints, row: Ints) -> None:
        """Write uniform draws, with replacement, of what can be gathered to `env` [N] and `row` [N]. There is some."""
        final, age, base, head, ready = self.counts
        num_drawn = 0
        while num_drawn < row.size:
            uniform = rng.random(row.size - num_drawn)
            num_drawn = _kernels.draw(final, age, base, head, ready, uniform, num_drawn, env, row)

    def gather(self, env: Ints, row: Ints, out: Batch) -> None:
        """Write the transitions of environments [N] that begin with rows [N] to a batch from `allocate`."""
        _gather_kernels.gather(
            *self._held,
            self.num_stack,
            self._n_step,
            self._gamma,
            env,
            row,
            out.after,
            self._shared,
            out.observation,
            out.transition.action,
            out.transition.reward,
            out.transition.bootstrap,
            out.next_observation,
            out.next_legal,
        )

    def _words(self, observation: Array) -> Array:
        """View observations [N, (K,) ...] as words [N, K, W]."""
        if observation.dtype != self._frame_dtype or observation.shape[1:] != self._shape:
            raise UserError(
                f"the replay takes observations of {self._frame_dtype} {self._shape}, "
                f"got {observation.dtype} {observation.shape[1:]}: the environment's observation space is wrong"
            )
        flat = np.ascontiguousarray(observation).reshape(len(observation), self.num_stack, -1)
        words = flat.view(self._word)
        return words if words.flags.aligned else words.copy()

    def _legal(self, step: TimeStep) -> Bools:
        if not self._has_legal:
            return self._no_legal
        if step.legal is None:
            raise UserError("the replay was told to keep legal actions, but a step has none: `has_legal` is wrong")
        assert step.legal.shape == (self.num_envs, self._rings.legal.shape[2]), (
            "`legal` must be [num_envs, num_actions]"
        )
        return step.legal

    def state_dict(self) -> State:
        """The contents: a `RowLog` of the complete rows of each environment, and the open rows."""
        slots = self._rings.head % self.num_rows
        envs = np.arange(self.num_envs)
        open_rows = {name: getattr(self._typed, name)[envs, slots] for name in self._row_fields}
        for array in open_rows.values():
            array[self._rings.head < self._rings.base] = 0  # there is no open row
        return {
            "layout": self._layout(),
            "logs": [RingLog(self._typed, e, self._row_fields, self._timeline) for e in range(self.num_envs)],
            "head": self._rings.head.copy(),
            "open": open_rows,
        }

    def load_state_dict(self, state: State) -> None:
        """Hold what another store held. An environment whose log is empty starts with an empty ring.

        Raises:
            UserError: The contents are of another capacity, number of environments or kind of observation.
        """
        if state["layout"] != self._layout():
            raise UserError(
                f"the replay's contents are of {state['layout']}, and this run's replay of {self._layout()}"
            )
        logs: list[RowLog] = state["logs"]
        head = np.asarray(state["head"], np.int64)
        if len(logs) != self.num_envs or head.shape != (self.num_envs,):
            raise UserError(f"the replay's contents are of {len(logs)} environments, expected {self.num_envs}")
        self._timeline = object()
        self._count = None
        rings = self._typed
        for e, log in enumerate(logs):
            if log.start == log.stop:
                rings.base[e] = max(log.stop, head[e])  # rows keep their numbers, though none is held
                rings.head[e] = rings.base[e] - 1
                continue
            if log.stop != head[e] or not 0 < log.stop - log.start < self.num_rows:
                raise UserError(
                    f"the replay's rows {log.start} to {log.stop} of environment {e} don't fit a ring of "
                    f"{self.num_rows} rows with {head[e]} rows written: the checkpoint is damaged"
                )
            rings.base[e] = log.start
            rings.head[e] = log.stop
            for first_row, rows in self._pieces(log):
                slots = np.arange(first_row, first_row + len(rows["action"])) % self.num_rows
                for name in self._row_fields:
                    getattr(rings, name)[e, slots] = rows[name]
            for name in self._row_fields:
                getattr(rings, name)[e, log.stop % self.num_rows] = state["open"][name][e]
        _kernels.recount(self._rings, self._n_step)

    def _pieces(self, log: RowLog) -> Iterator[tuple[int, Mapping[str, Array]]]:
        size = max(1, _PIECE_BYTES // (self.nbytes // self.capacity))
        for start in range(log.start, log.stop, size):
            stop = min(start + size, log.stop)
            rows = log.read(start, stop)
            for name in self._row_fields:
                expected = (stop - start, *getattr(self._typed, name).shape[2:])
                dtype = getattr(self._typed, name).dtype
                if name not in rows or rows[name].shape != expected or rows[name].dtype != dtype:
                    got = f"{rows[name].dtype} {rows[name].shape}" if name in rows else "nothing"
                    raise UserError(f"the replay's stored rows have for {name!r} {got}, expected {dtype} {expected}")
            yield start, rows

    def _layout(self) -> State:
        return {
            "num_envs": self.num_envs,
            "num_rows": self.num_rows,
            "frame_shape": list(self._frame_shape),
            "frame_dtype": self._frame_dtype.str,
            "frame_stack": self._frame_stack,
            "num_actions": self._rings.legal.shape[2] if self._has_legal else None,
        }


class RingLog:
    """The complete rows of one environment's ring, as a `RowLog`.

    Logs of the same `timeline` differ in what was appended only, so that a checkpoint need not read older rows again.
    """

    def __init__(self, rings: Rings, env: int, fields: tuple[str, ...], timeline: object) -> None:
        self.timeline = timeline
        self._rings = rings
        self._env = env
        self._fields = fields
        self.start = int(_kernels.oldest(rings, env))
        self.stop = max(self.start, int(rings.head[env]))

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        """Return the rows start..stop-1: views where they lie together, copies where they wrap around."""
        assert self.start <= start <= stop <= self.stop, f"rows {start}..{stop} are not in {self.start}..{self.stop}"
        num_rows = self._rings.action.shape[1]
        low, high = start % num_rows, start % num_rows + stop - start
        rows = {}
        for name in self._fields:
            ring = getattr(self._rings, name)[self._env]
            rows[name] = ring[low:high] if high <= num_rows else np.concatenate([ring[low:], ring[: high - num_rows]])
        return rows


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)


_PROBLEMS = {
    _kernels.NOT_PADDED: "the stack of a first step is not zeros before its newest, last frame: `frame_stack` is wrong",
    _kernels.NOT_SHIFTED: "the next stack is not this one with one frame shifted in at the end: `frame_stack` is wrong",
    _kernels.NOT_CONTINUED: "the step does not begin with what the last one ended with: add every step, in order",
    _kernels.PAST_LAST: "the step follows a last one, but is not marked as first: reset finished environments",
}

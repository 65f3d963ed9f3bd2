"""Experience for replays, in which every frame and every action occurs once, and a slow twin of what is held of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tengen.contracts import RowLog
from tengen.replay import FrameStore, UniformReplay
from tengen.types import Array, Bools, Decision, State, TimeStep

NUM_ACTIONS = 3
FRAMES = [
    ((), np.int64),
    ((3,), np.uint8),
    ((2, 3), np.uint8),
    ((2, 4), np.uint8),
    ((3,), np.float32),
    ((2,), np.float64),
]
# What a step can be: its discount, whether it is `last`, whether the game is given up (reset) after it all the same.
EVENTS = {
    "goes on": (1.0, False, False),
    "passes the turn": (-1.0, False, False),
    "dreams": (0.3, False, False),
    "loses a life": (0.0, False, False),
    "terminates": (0.0, True, False),
    "is truncated": (1.0, True, False),
    "is truncated, the turn passed": (-1.0, True, False),
    "is given up": (1.0, False, True),
}


@dataclass
class Row:
    """An observation, and what was done upon it."""

    observation: Array
    legal: Bools
    start: int  # the row at which its game started
    final: bool = False
    action: int | None = None
    reward: float = 0.0
    discount: float = 1.0


class Single(NamedTuple):
    """One row of a Transition."""

    observation: Array
    action: np.int64
    reward: np.float32
    bootstrap: np.float32
    next_observation: Array
    next_legal: Bools | None


class Twin:
    """Rows of whole observations in plain lists."""

    def __init__(self, num_rows: int, num_envs: int, frame_stack: int, n_step: int, gamma: float) -> None:
        self.num_rows, self.frame_stack, self.n_step, self.gamma = num_rows, frame_stack, n_step, gamma
        self.rows: list[list[Row]] = [[] for _ in range(num_envs)]

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        for e, rows in enumerate(self.rows):
            if step.first[e]:
                if rows:
                    rows[-1].final = True
                rows.append(Row(step.observation[e], _legal(step, e), len(rows)))
            rows[-1].action = int(decision.actions[e])
            rows[-1].reward = float(np.float32(next_step.reward[e]))
            rows[-1].discount = float(np.float32(next_step.discount[e]))
            start = rows[-1].start
            rows.append(Row(next_step.observation[e], _legal(next_step, e), start, final=bool(next_step.last[e])))

    def transitions(self) -> dict[int, Single]:
        """All that can be sampled, by action: the tests take each action once."""
        found = {}
        for rows in self.rows:
            for i, row in enumerate(rows):
                oldest_frame = max(row.start, i - max(self.frame_stack, 1) + 1)
                after = self._follow(rows, i)
                if after is None or oldest_frame < len(rows) - self.num_rows:
                    continue
                reward, bootstrap, last = after
                assert row.action is not None
                numbers = np.int64(row.action), np.float32(reward), np.float32(bootstrap)
                found[row.action] = Single(row.observation, *numbers, last.observation, last.legal)
        return found

    def _follow(self, rows: list[Row], i: int) -> tuple[float, float, Row] | None:
        reward, bootstrap = 0.0, 1.0
        for row, after in zip(rows[i : i + self.n_step], rows[i + 1 :], strict=False):
            if row.action is None:
                return None
            reward += bootstrap * row.reward
            bootstrap *= self.gamma * row.discount
            if row.discount == 0 or after.final:
                return reward, bootstrap, after
        return (reward, bootstrap, rows[i + self.n_step]) if i + self.n_step < len(rows) else None


def _legal(step: TimeStep, e: int) -> Bools:
    return np.zeros(0, np.bool_) if step.legal is None else step.legal[e]


class Added(NamedTuple):
    step: TimeStep
    decision: Decision
    next_step: TimeStep


def invent(kind: Kind, events: list[list[str]]) -> Iterator[Added]:
    """Yield steps in which every frame and every action occurs once. `events` is [T][E]."""
    rng = np.random.default_rng(len(events))
    num_frames = 0
    stacks = [np.zeros((max(kind.frame_stack, 1), *kind.frame_shape), kind.frame_dtype) for _ in range(kind.num_envs)]

    def show(e: int, first: bool) -> Array:
        nonlocal num_frames
        num_frames += 1
        digits = np.resize([num_frames % 200 + 1, num_frames // 200 + 1], kind.frame_shape)
        older = np.zeros_like(stacks[e][1:]) if first else stacks[e][1:]
        frame = (digits if kind.frame_shape else np.array(num_frames))[None].astype(kind.frame_dtype)
        stacks[e] = np.concatenate([older, frame])
        return stacks[e] if kind.frame_stack else stacks[e][0]

    def step_of(observations: list[Array], first: list[bool], legal: Bools | None) -> TimeStep:
        num_envs = kind.num_envs
        return TimeStep(
            np.stack(observations),
            np.zeros(num_envs),
            np.ones(num_envs),
            np.array(first),
            np.zeros(num_envs, bool),
            legal,
        )

    def masks() -> Bools | None:
        return rng.random((kind.num_envs, NUM_ACTIONS)) < 0.5 if kind.has_legal else None

    envs = range(kind.num_envs)
    none = [False] * kind.num_envs
    step = step_of([show(e, True) for e in envs], [True] * kind.num_envs, masks())
    for t, now in enumerate(events):
        discount, last, over = (np.array(column) for column in zip(*(EVENTS[event] for event in now), strict=True))
        next_step = step_of([show(e, False) for e in envs], none, masks())
        next_step = next_step._replace(reward=rng.normal(size=kind.num_envs), discount=discount, last=last)
        yield Added(step, Decision(t * kind.num_envs + np.arange(kind.num_envs)), next_step)
        anew = last | over
        observations = [show(e, True) if anew[e] else next_step.observation[e] for e in envs]
        legal = masks()
        if legal is not None and next_step.legal is not None:
            legal = np.where(anew[:, None], legal, next_step.legal)
        step = step_of(observations, list(anew), legal)


class Kind(NamedTuple):
    """What is remembered, and how."""

    frame_shape: tuple[int, ...] = (2, 4)
    frame_dtype: Any = np.uint8
    num_envs: int = 2
    frame_stack: int = 3
    has_legal: bool = False
    n_step: int = 1
    gamma: float = 0.9
    num_rows: int = 12

    def store(self) -> FrameStore:
        return FrameStore(
            self.frame_shape,
            self.frame_dtype,
            capacity=self.num_rows * self.num_envs,
            num_envs=self.num_envs,
            frame_stack=self.frame_stack,
            num_actions=NUM_ACTIONS if self.has_legal else None,
            n_step=self.n_step,
            gamma=self.gamma,
        )

    def replay(self, seed: int = 0) -> UniformReplay:
        return UniformReplay(self.store(), np.random.default_rng(seed))

    def twin(self) -> Twin:
        return Twin(self.num_rows, self.num_envs, self.frame_stack, self.n_step, self.gamma)


@st.composite
def experience(draw: st.DrawFn) -> tuple[Kind, list[list[str]]]:
    shape, dtype = draw(st.sampled_from(FRAMES))
    frame_stack, n_step, num_envs = draw(st.integers(0, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    num_rows = frame_stack + n_step + 2 + draw(st.integers(0, 12))
    gamma = draw(st.sampled_from([1.0, 0.99, 0.5, 0.0]))
    kind = Kind(shape, dtype, num_envs, frame_stack, draw(st.booleans()), n_step, gamma, num_rows)
    event = st.sampled_from(["goes on"] * draw(st.integers(1, 12)) + list(EVENTS))
    length = draw(st.integers(1, 60))
    events = [[draw(event) for _ in range(num_envs)] for _ in range(length)]
    return kind, events


@dataclass
class StoredLog:
    """A RowLog as a checkpoint would give it back."""

    start: int
    stop: int
    rows: dict[str, Array]
    longest_read: int = 0

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        assert self.start <= start <= stop <= self.stop
        self.longest_read = max(self.longest_read, stop - start)
        return {name: rows[start - self.start : stop - self.start] for name, rows in self.rows.items()}


def stored(state: State) -> State:
    """Return a state as it comes back from a checkpoint: JSON for scalars, copies for arrays."""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        if isinstance(node, np.ndarray):
            return node.copy()
        if isinstance(node, RowLog):
            rows = node.read(node.start, node.stop)
            return StoredLog(node.start, node.stop, {name: array.copy() for name, array in rows.items()})
        return json.loads(json.dumps(node))

    walked: State = walk(state)
    return walked


def written(state: State) -> str:
    def default(node: Any) -> Any:
        if isinstance(node, StoredLog):
            return [
                node.start,
                node.stop,
                {name: [str(a.dtype), a.shape, a.tobytes().hex()] for name, a in node.rows.items()},
            ]
        return [str(node.dtype), node.shape, node.tobytes().hex()]

    return json.dumps(stored(state), default=default)

"""The rules of a Replay of Transitions, and the check that tries them. Read `check_replay` from the top."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import gymnasium as gym
import numpy as np

from tengen.contracts import Replay
from tengen.testing.trees import (
    FrozenRows,
    freeze_state,
    freeze_step,
    frozen_state_of,
    row_logs,
    same_array,
    state_difference,
    step_difference,
    wrong_leaf,
)
from tengen.testing.violation import Rules, Violation
from tengen.types import Array, Bools, Decision, EnvSpec, State, TimeStep, Transition

BuildReplay: TypeAlias = Callable[[EnvSpec, np.random.Generator], Replay[Transition]]

REPLAY_RULES: Rules = {
    "protocol": "A replay has every method of tengen.Replay.",
    "batch": "sample(N) returns a Transition of N rows.",
    "observation": "A sampled observation is one that was acted upon, whole stacks included.",
    "action": "A sampled action is the one that was taken upon its observation.",
    "reward": "The reward is the discounted sum over n steps, cut after a discount of 0 and at `last`.",
    "bootstrap": "Bootstrap is the product of gamma and discount over the steps that the reward sums.",
    "next-observation": "The next observation is what followed the last step of the sum: at `last` the final one.",
    "next-legal": "Next legal actions are those of the next observation, and None where spec.has_legal is False.",
    "complete": "A transition is sampled only once all of its n steps are known.",
    "held": "No more than the newest `capacity` transitions are held.",
    "newest": "The newest complete transition of each row can be sampled.",
    "keeps": "At least half of what `capacity` could hold is held.",
    "len": "len is the number of transitions that can be sampled now.",
    "uniform": "Each transition is drawn with the same probability.",
    "read-only": "A replay never writes into what is added.",
    "seeded": "The same generator and the same experience give the same samples.",
    "row-logs": "Rows of a RowLog are numbered by insertion: neither start nor stop ever goes down.",
    "immutable-rows": "Rows of a RowLog never change once they are in.",
    "state-leaves": "A state is a tree of dicts and lists of numpy arrays, RowLogs and JSON scalars.",
    "state-peek": "Taking a state changes nothing that comes after.",
    "state-restores": "A fresh replay that loads a state continues exactly where it was taken.",
    "state-same": "Equal histories have equal states, whenever states were taken or loaded on the way.",
}


def check_replay(
    build: BuildReplay,
    *,
    gamma: float,
    n_step: int = 1,
    frame_stack: int = 4,
    uniform: bool = True,
    seed: int = 0,
) -> None:
    """Check that a replay of n-step transitions keeps `REPLAY_RULES`, against a plain list of what it was given.

    It is fed invented experience of one row and of three: vector observations, masks of legal actions, and stacks of
    frames; with episodes of one step and more, terminated and truncated, life losses and changes of side.

    Args:
        build: Makes an empty replay for a spec; with a capacity of some hundred rows, so that it is full soon.
        gamma: What it discounts by.
        n_step: The steps that it sums.
        frame_stack: The stacks to try, at least 2; 0 where the replay keeps no stacks.
        uniform: It draws every transition with the same probability.
        seed: Of everything random.

    Raises:
        Violation: A rule is broken.
        ValueError: The replay is too large to be tried.
    """
    for spec in replay_specs(frame_stack):
        try:
            _check_kind(build, spec, _Target(gamma, n_step), uniform, seed)
        except Violation as violation:
            violation.args = (f"{violation} ({spec.id})",)
            raise


def replay_specs(frame_stack: int) -> Iterator[EnvSpec]:
    """Yield the kinds of experience that replays are tried with; `frame_stack` 0: no stacks."""
    vector = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    stack = gym.spaces.Box(0, 255, (frame_stack, 2, 4), np.uint8)
    actions = gym.spaces.Discrete(5)
    for num_envs in (1, 3):
        yield EnvSpec(f"vectors of {num_envs} environments", vector, actions, num_envs)
        yield EnvSpec(f"vectors with legal actions of {num_envs} environments", vector, actions, num_envs, 0, True)
        if frame_stack:
            yield EnvSpec(f"frames of {num_envs} environments", stack, actions, num_envs, frame_stack)


class _Target(NamedTuple):
    gamma: float
    n_step: int


class Given(NamedTuple):
    """One call of `add`."""

    step: TimeStep
    decision: Decision
    next_step: TimeStep


def _check_kind(build: BuildReplay, spec: EnvSpec, target: _Target, uniform: bool, seed: int) -> None:
    def fresh() -> Replay[Transition]:
        return build(spec, np.random.default_rng(seed))

    replay = fresh()
    if not isinstance(replay, Replay):
        raise _violation("protocol", repr(replay))
    capacity = replay.capacity
    if not 0 < capacity <= 2000:
        raise ValueError(f"build a replay of some hundred rows for this check, not of {capacity}")
    num_adds = int(2.6 * capacity) // spec.num_envs
    given = list(invent_experience(spec, num_adds, seed))
    twin = _Twin(spec, target)
    for i, one in enumerate(given):
        replay.add(*copy_given(one))
        twin.add(one)
        if len(replay) and (i % (num_adds // 40 + 1) == 0 or i == num_adds - 1):
            _check_samples(replay, twin, 8, f"after {i + 1} steps")
        if i + 1 in (num_adds // 4, num_adds // 2, num_adds):
            _check_all(replay, twin, uniform, f"after {i + 1} steps")
    _check_histories(fresh, given)


class _Twin:
    """All that was added, as plain lists, and what has to be sampled from it."""

    def __init__(self, spec: EnvSpec, target: _Target) -> None:
        self.spec = spec
        self.target = target
        self.rows: list[list[Given]] = [[] for _ in range(spec.num_envs)]
        self.found: dict[bytes, tuple[int, int]] = {}  # an observation -> its row and number in the row

    def add(self, given: Given) -> None:
        for row, steps in enumerate(self.rows):
            self.found[given.step.observation[row].tobytes()] = (row, len(steps))
            steps.append(given)

    def expected(self, row: int, number: int) -> tuple[float, float, TimeStep] | None:
        """Return reward, bootstrap and the TimeStep they lead to; None if the n steps are not complete."""
        reward, bootstrap = 0.0, 1.0
        steps = self.rows[row][number : number + self.target.n_step]
        for given in steps:
            after = given.next_step
            reward += bootstrap * after.reward[row]
            bootstrap *= self.target.gamma * after.discount[row]
            if after.last[row] or after.discount[row] == 0:
                return reward, bootstrap, after
        return (reward, bootstrap, after) if len(steps) == self.target.n_step else None

    def newest(self, row: int) -> int | None:
        numbers = range(len(self.rows[row]) - 1, -1, -1)
        return next((number for number in numbers if self.expected(row, number) is not None), None)


def _check_samples(replay: Replay[Transition], twin: _Twin, batch_size: int, where: str) -> list[tuple[int, int]]:
    """Check one sample, row by row; return which transitions were drawn."""
    batch = replay.sample(batch_size)
    fields = zip(Transition._fields, batch, strict=True)
    wrong = [name for name, value in fields if value is not None and len(value) != batch_size]
    if wrong:
        raise _violation("batch", f"{where}: sample({batch_size}) with {len(batch.action)} rows of {wrong[0]}")
    if (batch.next_legal is not None) != twin.spec.has_legal:
        raise _violation("next-legal", f"{where}: {batch.next_legal} for has_legal {twin.spec.has_legal}")
    drawn = []
    for n in range(batch_size):
        key = twin.found.get(batch.observation[n].tobytes())
        if key is None or batch.observation.dtype != twin.spec.observation_space.dtype:
            raise _violation("observation", f"{where}: {batch.observation[n]} was never acted upon")
        row, number = key
        seen = f"{where}: step {number} of row {row}"
        expected = twin.expected(row, number)
        if expected is None:
            raise _violation("complete", f"{seen} was drawn, of {len(twin.rows[row])} steps that were added")
        num_newer = twin.spec.num_envs * (len(twin.rows[row]) - 1 - number)
        if num_newer >= replay.capacity + twin.spec.num_envs * twin.target.n_step:
            raise _violation("held", f"{seen} was drawn after {num_newer} newer ones, capacity {replay.capacity}")
        _check_transition(batch, n, twin.rows[row][number].decision.actions[row], row, expected, seen)
        drawn.append(key)
    return drawn


def _check_transition(
    batch: Transition, n: int, action: int, row: int, expected: tuple[float, float, TimeStep], seen: str
) -> None:
    reward, bootstrap, after = expected
    if batch.action[n] != action:
        raise _violation("action", f"{seen}: {batch.action[n]} instead of {action}")
    if not math.isclose(batch.reward[n], reward, rel_tol=1e-5, abs_tol=1e-5):
        raise _violation("reward", f"{seen}: {batch.reward[n]} instead of {reward}")
    if not math.isclose(batch.bootstrap[n], bootstrap, rel_tol=1e-5, abs_tol=1e-6):
        raise _violation("bootstrap", f"{seen}: {batch.bootstrap[n]} instead of {bootstrap}")
    if not same_array(batch.next_observation[n], after.observation[row]):
        got, wanted = batch.next_observation[n].ravel()[-4:], after.observation[row].ravel()[-4:]
        raise _violation("next-observation", f"{seen}: one that ends in {got} instead of {wanted}")
    if batch.next_legal is not None and after.legal is not None and any(batch.next_legal[n] != after.legal[row]):
        raise _violation("next-legal", f"{seen}: {batch.next_legal[n]} instead of {after.legal[row]}")


def _check_all(replay: Replay[Transition], twin: _Twin, uniform: bool, where: str) -> None:
    """Sample so often that everything held is drawn; compare with len."""
    size = len(replay)
    draws = 30 * size  # to miss one of some hundred is a matter of 1e-10
    counts: dict[tuple[int, int], int] = {}
    for key in _check_samples(replay, twin, draws, where):
        counts[key] = counts.get(key, 0) + 1
    if len(counts) > size or (uniform and len(counts) < size):
        raise _violation("len", f"{where}: {size}, and {len(counts)} different transitions in {draws} draws")
    num_envs, num_added = twin.spec.num_envs, sum(len(steps) for steps in twin.rows)
    slack = num_envs * (twin.target.n_step + twin.spec.frame_stack + 1)
    if size < min(num_added, replay.capacity) // 2 - slack:
        raise _violation("keeps", f"{where}: {size} of {num_added} that were added, capacity {replay.capacity}")
    for row in range(num_envs):
        newest = twin.newest(row)
        if uniform and newest is not None and (row, newest) not in counts:
            raise _violation("newest", f"{where}: step {newest} of row {row} in none of {draws} draws")
    if uniform:
        expected = draws / size
        chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
        if abs(chi_square - size) > 6 * np.sqrt(2 * size) + 6:  # its mean and standard deviation, with room
            most, least = max(counts.values()), min(counts.values())
            raise _violation("uniform", f"{where}: drawn {least} to {most} times, expected about {expected:.0f}")


@dataclass
class _History:
    """The samples that a replay gave while it was fed, and its states."""

    samples: list[list[Array | None]] = field(default_factory=list)
    states: dict[int, State] = field(default_factory=dict)


def _feed(replay: Replay[Transition], given: list[Given], start: int = 0, keep: Container[int] = ()) -> _History:
    """Add `given` from `start` on, with a sample after each; keep states after those numbers of steps."""
    history = _History()
    for i in range(start, len(given)):
        one = copy_given(given[i])
        replay.add(*one)
        changed = step_difference(given[i].step, one.step) or step_difference(given[i].next_step, one.next_step)
        if changed or not same_array(given[i].decision.actions, one.decision.actions):
            raise _violation("read-only", f"add number {i}, {changed or 'actions'}")
        if i + 1 in keep:
            state = replay.state_dict()
            wrong = wrong_leaf(state)
            if wrong:
                raise _violation("state-leaves", wrong)
            history.states[i + 1] = freeze_state(state)
        history.samples.append([None if a is None else a.copy() for a in replay.sample(4)] if len(replay) else [])
    return history


def _check_histories(fresh: Callable[[], Replay[Transition]], given: list[Given]) -> None:
    num_adds = len(given)
    replay = fresh()
    history = _feed(replay, given)
    end = frozen_state_of(replay)
    _compare(_feed(fresh(), given), history, "seeded", "a second time")
    peeked = fresh()
    peeks = _feed(peeked, given, keep={num_adds // 5, num_adds // 2, num_adds - 3})
    _compare(peeks, history, "state-peek", "with states taken on the way")
    _compare_states(frozen_state_of(peeked), end, "of which states were taken on the way")
    _check_row_logs([*peeks.states.values(), end])
    for number, state in peeks.states.items():
        restored = fresh()
        restored.load_state_dict(freeze_state(state))
        loaded = frozen_state_of(restored)
        first = [None if a is None else a.copy() for a in restored.sample(4)] if len(restored) else []
        _compare_samples(first, history.samples[number - 1], "state-restores", f"right after loading {number} steps")
        rest = _feed(restored, given, number)
        _compare(rest, history, "state-restores", f"having loaded the state of {number} steps", number)
        _compare_states(loaded, state, f"that has just loaded the state of {number} steps")
        _compare_states(frozen_state_of(restored), end, f"that loaded the state of {number} steps on the way")


def _check_row_logs(states: list[State]) -> None:
    for earlier, later in itertools.pairwise(states):
        now = dict(row_logs(later))
        for path, log in row_logs(earlier):
            after = now.get(path)
            if after is None or after.start < log.start or after.stop < log.stop:
                rows = "nothing" if after is None else f"{after.start} to {after.stop}"
                raise _violation("row-logs", f"{path} went from {log.start} to {log.stop} to {rows}")
            start, stop = max(log.start, after.start), log.stop
            if start < stop:
                assert isinstance(log, FrozenRows)
                assert isinstance(after, FrozenRows)
                difference = state_difference(dict(log.read(start, stop)), dict(after.read(start, stop)), path)
                if difference:
                    raise _violation("immutable-rows", f"rows {start} to {stop - 1}: {difference}")


def _compare(history: _History, expected: _History, rule: str, when: str, start: int = 0) -> None:
    for i, samples in enumerate(history.samples, start):
        _compare_samples(samples, expected.samples[i], rule, f"{when}, after {i + 1} steps")


def _compare_samples(samples: list[Array | None], expected: list[Array | None], rule: str, when: str) -> None:
    difference = state_difference(list(samples), list(expected), "sample")
    if difference:
        raise _violation(rule, f"{when}: {difference}")


def _compare_states(state: State, expected: State, which: str) -> None:
    difference = state_difference(state, expected)
    if difference:
        raise _violation("state-same", f"in a replay {which}, {difference}")


def copy_given(given: Given) -> Given:
    """Return a copy that may be written to."""
    return Given(freeze_step(given.step), Decision(given.decision.actions.copy()), freeze_step(given.next_step))


def invent_experience(spec: EnvSpec, num_adds: int, seed: int) -> Iterator[Given]:
    """Yield steps of made-up episodes in which every observation is unlike every other."""
    rng = np.random.default_rng([seed, 2])
    num_envs = spec.num_envs
    step = _observe(spec, None, np.ones(num_envs, np.bool_), 0, rng)
    for number in range(1, num_adds + 1):
        actions = rng.integers(spec.num_actions, size=num_envs)
        last = rng.random(num_envs) < 0.15
        discount = rng.choice([1.0, -1.0, 0.0], p=[0.7, 0.2, 0.1], size=num_envs)  # not last: 0 is a life loss
        discount = np.where(last, rng.choice([1.0, -1.0, 0.0], p=[0.3, 0.2, 0.5], size=num_envs), discount)
        next_step = _observe(spec, step, np.zeros(num_envs, np.bool_), number, rng)
        legal = next_step.legal
        if legal is not None:
            legal = legal | (last & (discount == 0))[:, None]
        reward = rng.integers(-8, 9, num_envs) / 4
        next_step = next_step._replace(reward=reward, discount=discount, last=last, legal=legal)
        yield Given(step, Decision(actions), next_step)
        again = _observe(spec, next_step, last, number, rng)
        merged = [
            None if new is None or old is None else np.where(last.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(again, next_step, strict=True)
        ]
        step = TimeStep(*merged)  # type: ignore[arg-type]  # the Nones are where the fields may be None


def _observe(spec: EnvSpec, previous: TimeStep | None, first: Bools, number: int, rng: np.random.Generator) -> TimeStep:
    """Return a TimeStep of new observations: each names its row, whether it is first, and its number."""
    num_envs = spec.num_envs
    rows = np.arange(num_envs)
    if spec.frame_stack:
        frame = np.ones((num_envs, 2, 4), np.uint8)
        frame[:, 0, 0] = 1 + 2 * rows + first
        frame[:, 1, 2] = number // 256
        frame[:, 1, 3] = number % 256
        older = np.zeros((num_envs, spec.frame_stack - 1, 2, 4), np.uint8)
        if previous is not None:
            older = np.where(first[:, None, None, None], older, previous.observation[:, 1:])
        observation: Array = np.concatenate([older, frame[:, None]], axis=1)
    else:
        observation = np.stack([rows, first, np.full(num_envs, number)], axis=1).astype(np.float32)
    legal = None
    if spec.has_legal:
        legal = rng.random((num_envs, spec.num_actions)) < 0.5
        legal[rows, rng.integers(spec.num_actions, size=num_envs)] = True
    return TimeStep(
        observation, np.zeros(num_envs), np.ones(num_envs), first.copy(), np.zeros(num_envs, np.bool_), legal
    )


def _violation(rule: str, seen: str) -> Violation:
    return Violation(REPLAY_RULES, rule, seen)

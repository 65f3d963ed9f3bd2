"""The rules of a PrioritizingReplay, and the check that tries them. Read `check_prioritizing_replay` from the top."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tengen.contracts import PrioritizingReplay
from tengen.testing.replay import Given, check_replay, copy_given, invent_experience, replay_specs
from tengen.testing.trees import frozen_state_of, state_difference
from tengen.testing.violation import Rules, Violation
from tengen.types import Array, Decision, EnvSpec, Ints, PrioritizedSample, State, TimeStep, Transition

BuildPrioritizingReplay: TypeAlias = Callable[[EnvSpec, np.random.Generator], PrioritizingReplay]

PRIORITIZING_RULES: Rules = {
    "protocol": "A prioritizing replay has every method of tengen.contracts.PrioritizingReplay.",
    "sample": "sample(N) returns a PrioritizedSample with N weights and N integer indices.",
    "indices": "A transition has one index for as long as it is held, and no other transition has it.",
    "weights": "Weights are above 0, and the greatest of a batch is 1.",
    "weights-order": "What is drawn more often weighs less, and what is drawn equally often weighs the same.",
    "priorities": "Transitions of a greater error are drawn more often.",
    "newest": "A new transition is drawn at least as often as one of the greatest error so far.",
    "stale": "Errors of transitions that are no longer held change nothing.",
    "read-only": "update_priorities never writes into what it is given.",
}
_SMALL, _LARGE = 0.05, 5.0  # errors


def check_prioritizing_replay(
    build: BuildPrioritizingReplay, *, gamma: float, n_step: int = 1, frame_stack: int = 4, seed: int = 0
) -> None:
    """Check that a replay keeps `REPLAY_RULES`, but for drawing uniformly, and `PRIORITIZING_RULES`.

    Args:
        build: Makes an empty replay for a spec; with a capacity of some hundred rows, so that it is full soon, a
            prioritization that shows (an exponent well above 0), and weights that show it (the same).
        gamma: What it discounts by.
        n_step: The steps that it sums.
        frame_stack: The stacks to try, at least 2; 0 where the replay keeps no stacks.
        seed: Of everything random.

    Raises:
        Violation: A rule is broken, of either kind.
        ValueError: The replay is too large to be tried.
    """
    for spec in replay_specs(frame_stack):
        replay = build(spec, np.random.default_rng(seed))
        if not isinstance(replay, PrioritizingReplay):
            raise _violation("protocol", repr(replay))
        try:
            _check(replay, spec, seed)
        except Violation as violation:
            violation.args = (f"{violation} ({spec.id})",)
            raise

    def learning(spec: EnvSpec, rng: np.random.Generator) -> _Learning:
        return _Learning(build(spec, rng))

    check_replay(learning, gamma=gamma, n_step=n_step, frame_stack=frame_stack, uniform=False, seed=seed)


class _Learning:
    """A prioritizing replay as a plain one, of which every sample is learnt from."""

    def __init__(self, replay: PrioritizingReplay) -> None:
        self._replay = replay

    @property
    def capacity(self) -> int:
        return self._replay.capacity

    def __len__(self) -> int:
        return len(self._replay)

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        self._replay.add(step, decision, next_step)

    def sample(self, batch_size: int) -> Transition:
        sample = self._replay.sample(batch_size)
        self._replay.update_priorities(sample.indices, 1.0 + np.sin(sample.indices.astype(np.float64)))
        return sample.transition

    def state_dict(self) -> State:
        return self._replay.state_dict()

    def load_state_dict(self, state: State) -> None:
        self._replay.load_state_dict(state)


def _check(replay: PrioritizingReplay, spec: EnvSpec, seed: int) -> None:
    half = replay.capacity // spec.num_envs // 2
    given = list(invent_experience(spec, 7 * half, seed))
    known: dict[int, bytes] = {}  # an index -> what was acted upon
    _add(replay, given[:half])
    for _ in range(20):
        _draw(replay, len(replay), known)
    indices = np.array(sorted(known), np.int64)
    large = set(indices[::2].tolist())
    errors = np.where(np.isin(indices, indices[::2]), _LARGE, -_SMALL)
    before = indices.copy(), errors.copy()
    replay.update_priorities(indices, errors)
    if not (np.array_equal(before[0], indices) and np.array_equal(before[1], errors)):
        raise _violation("read-only", f"{len(indices)} indices and errors, which changed")
    _check_draws(replay, known, large)
    _add(replay, given[half : half + 1])
    _check_newest(replay, known, large)
    _add(replay, given[half + 1 :])
    state = frozen_state_of(replay)
    replay.update_priorities(indices, np.full(len(indices), 100.0))
    difference = state_difference(frozen_state_of(replay), state)
    if difference:
        raise _violation("stale", f"after {len(given)} steps, errors of the first {half}: {difference}")


def _add(replay: PrioritizingReplay, given: list[Given]) -> None:
    for one in given:
        replay.add(*copy_given(one))


def _draw(replay: PrioritizingReplay, batch_size: int, known: dict[int, bytes]) -> tuple[Ints, Array]:
    """Return indices and weights of a sample; check their form, and that indices mean what they did."""
    sample = replay.sample(batch_size)
    if not isinstance(sample, PrioritizedSample):
        raise _violation("sample", f"a {type(sample).__name__}")
    indices, weights = sample.indices.copy(), sample.weights.copy()
    if indices.shape != (batch_size,) or weights.shape != (batch_size,) or indices.dtype.kind != "i":
        raise _violation("sample", f"weights {weights.shape}, indices {indices.dtype} {indices.shape}")
    if not np.all(weights > 0) or weights.max() != 1:
        raise _violation("weights", f"{weights.min()} to {weights.max()}")
    for index, observation in zip(indices.tolist(), sample.transition.observation, strict=True):
        if known.setdefault(index, observation.tobytes()) != observation.tobytes():
            raise _violation("indices", f"{index} of two transitions")
    if len(set(known.values())) < len(known):
        raise _violation("indices", f"{len(known)} of {len(set(known.values()))} transitions")
    return indices, weights


def _check_draws(replay: PrioritizingReplay, known: dict[int, bytes], large: set[int]) -> None:
    num_large = num_small = 0
    for _ in range(100):
        indices, weights = _draw(replay, 10, known)
        is_large = np.array([index in large for index in indices.tolist()])
        num_large += int(is_large.sum())
        num_small += int((~is_large).sum())
        for kind in (weights[is_large], weights[~is_large]):
            if len(kind) and not np.allclose(kind, kind[0], rtol=1e-5):
                raise _violation("weights-order", f"{kind.min()} and {kind.max()} of equal errors")
        if is_large.any() and not is_large.all() and weights[is_large].max() >= weights[~is_large].min():
            wrong = f"{weights[is_large].max()} of error {_LARGE}, {weights[~is_large].min()} of {_SMALL}"
            raise _violation("weights-order", wrong)
    if num_large <= 1.1 * num_small:
        drawn = f"{num_large} draws of those of error {_LARGE}, {num_small} of as many of {_SMALL}"
        raise _violation("priorities", drawn)


def _check_newest(replay: PrioritizingReplay, known: dict[int, bytes], large: set[int]) -> None:
    """Compare how often what has come is drawn with how often what had the greatest error is."""
    counts: dict[int, int] = {}
    before = set(known)
    num_draws = 200 * len(replay)
    for index in _draw(replay, num_draws, known)[0].tolist():
        counts[index] = counts.get(index, 0) + 1
    greatest = np.mean([counts.get(index, 0) for index in large])
    for index in set(known) - before:
        if counts[index] < 0.7 * greatest:
            drawn = f"{counts[index]} of {num_draws} draws, {greatest:.0f} of each of error {_LARGE}"
            raise _violation("newest", drawn)


def _violation(rule: str, seen: str) -> Violation:
    return Violation(PRIORITIZING_RULES, rule, seen)

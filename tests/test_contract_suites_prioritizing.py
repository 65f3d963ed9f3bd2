"""The contract suite of prioritizing replays: ours passes, and a planted violation of each rule is caught."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from tengen.contracts import PrioritizingReplay
from tengen.replay import FrameStore, PrioritizedReplay
from tengen.testing import PRIORITIZING_RULES, REPLAY_RULES, Violation, check_prioritizing_replay
from tengen.types import Array, Decision, EnvSpec, Ints, PrioritizedSample, TimeStep

N_STEP, GAMMA = 3, 0.9


class NoUpdate(PrioritizedReplay):
    update_priorities = None  # type: ignore[assignment]  # the violation


class NoWeights(PrioritizedReplay):
    def sample(self, batch_size: int) -> PrioritizedSample:
        return cast(PrioritizedSample, super().sample(batch_size).transition)


class OneWeightTooMany(PrioritizedReplay):
    def sample(self, batch_size: int) -> PrioritizedSample:
        sample = super().sample(batch_size)
        return sample._replace(weights=np.append(sample.weights, 1))


class Slots(PrioritizedReplay):
    """Its indices are places in memory without the environment."""

    def sample(self, batch_size: int) -> PrioritizedSample:
        sample = super().sample(batch_size)
        return sample._replace(indices=sample.indices // self._store.num_envs % self._store.num_rows % 20)


class NewIndices(PrioritizedReplay):
    """A transition is called something else each time."""

    count = 0

    def sample(self, batch_size: int) -> PrioritizedSample:
        sample = super().sample(batch_size)
        self.count += batch_size
        return sample._replace(indices=self.count + np.arange(batch_size))


class NotScaled(PrioritizedReplay):
    def sample(self, batch_size: int) -> PrioritizedSample:
        sample = super().sample(batch_size)
        return sample._replace(weights=sample.weights * 3)


class WeighsUpsideDown(PrioritizedReplay):
    def sample(self, batch_size: int) -> PrioritizedSample:
        sample = super().sample(batch_size)
        return sample._replace(weights=sample.weights.min() / sample.weights)


class PrefersTheKnown(PrioritizedReplay):
    def update_priorities(self, indices: Ints, errors: Array) -> None:
        super().update_priorities(indices, 1.0 / np.abs(errors))

    def sample(self, batch_size: int) -> PrioritizedSample:
        sample = super().sample(batch_size)
        return sample._replace(weights=sample.weights.min() / sample.weights)


class NewIsUnimportant(PrioritizedReplay):
    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        self._greatest = 0.01
        super().add(step, decision, next_step)


class ForgetsTheRowNumber(PrioritizedReplay):
    """Takes an index for whatever lies in its slot now."""

    def update_priorities(self, indices: Ints, errors: Array) -> None:
        num_envs, num_rows = self._store.num_envs, self._store.num_rows
        row, env = indices // num_envs, indices % num_envs
        head = self._store.rings.head[env]
        super().update_priorities((head - (head - row) % num_rows) * num_envs + env, errors)


class TakesAbsolutesInPlace(PrioritizedReplay):
    def update_priorities(self, indices: Ints, errors: Array) -> None:
        np.abs(errors, out=errors)
        super().update_priorities(indices, errors)


class LoadForgetsPriorities(PrioritizedReplay):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        priorities = np.where(state["priorities"] > 0, 1.0, 0.0)
        super().load_state_dict({**state, "priorities": priorities})


PLANTED: list[tuple[str, type[PrioritizedReplay]]] = [
    ("protocol", NoUpdate),
    ("sample", NoWeights),
    ("sample", OneWeightTooMany),
    ("indices", Slots),
    ("indices", NewIndices),
    ("weights", NotScaled),
    ("weights-order", WeighsUpsideDown),
    ("priorities", PrefersTheKnown),
    ("newest", NewIsUnimportant),
    ("stale", ForgetsTheRowNumber),
    ("read-only", TakesAbsolutesInPlace),
    ("state-restores", LoadForgetsPriorities),
]


def check(kind: type[PrioritizedReplay], n_step: int = N_STEP) -> None:
    def build(spec: EnvSpec, rng: np.random.Generator) -> PrioritizingReplay:
        store = FrameStore.for_env(spec, capacity=120, n_step=n_step, gamma=GAMMA)
        return kind(store, rng, exponent=0.7, importance=lambda _: 0.6)

    check_prioritizing_replay(build, gamma=GAMMA, n_step=n_step)


@pytest.mark.parametrize("n_step", [1, 3])
def test_a_right_prioritizing_replay_passes(n_step: int) -> None:
    check(PrioritizedReplay, n_step)


@pytest.mark.parametrize(("rule", "broken"), PLANTED)
def test_a_broken_prioritizing_replay_is_caught_by_the_rule_that_it_breaks(
    rule: str, broken: type[PrioritizedReplay]
) -> None:
    with pytest.raises(Violation) as caught:
        check(broken)
    assert caught.value.rule == rule
    assert {**REPLAY_RULES, **PRIORITIZING_RULES}[rule] in str(caught.value)


def test_every_rule_of_prioritizing_replays_has_a_planted_violation() -> None:
    assert {rule for rule, _ in PLANTED} >= set(PRIORITIZING_RULES)

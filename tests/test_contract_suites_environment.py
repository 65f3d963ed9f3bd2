"""Each rule of the environments' suite catches an environment that was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest

from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.testing import (
    ENVIRONMENT_RULES,
    Violation,
    check_environment,
)
from tengen.types import Bools, EnvSpec, Ints, State, TimeStep

GOAL, LIMIT, STACK, ACTIONS = 8, 12, 3, 4


class Walk:
    """A walk along 0..GOAL against a random drift: it ends at either end, and is cut after LIMIT steps.

    Passing the middle costs a life (discount 0 without `last`). Waiting (action 3) is legal in even places only.
    An observation is a stack of frames [place + 1, 1]. Everything in it is right.
    """

    def __init__(self, num_envs: int) -> None:
        self.spec = EnvSpec(
            id="Walk",
            observation_space=gym.spaces.Box(0, GOAL + 1, (STACK, 2), np.uint8),
            action_space=gym.spaces.Discrete(ACTIONS),
            num_envs=num_envs,
            frame_stack=STACK,
            has_legal=True,
            max_episode_steps=LIMIT,
        )
        self.rngs = [np.random.default_rng() for _ in range(num_envs)]
        self.place = np.zeros(num_envs, np.int64)
        self.age = np.zeros(num_envs, np.int64)
        self.stack = np.zeros((num_envs, STACK, 2), np.uint8)
        self.reward = np.zeros(num_envs)
        self.discount = np.ones(num_envs)

    def reset(self, seed: int | Ints) -> TimeStep:
        self.seed_rows(seed)
        for row in range(self.spec.num_envs):
            self.start(row)
        return self.look()

    def seed_rows(self, seed: int | Ints) -> None:
        seeds = np.random.SeedSequence(seed).spawn(self.spec.num_envs) if isinstance(seed, int) else list(seed)
        self.rngs = [np.random.default_rng(s) for s in seeds]

    def start(self, row: int) -> None:
        self.place[row] = self.rngs[row].integers(2, GOAL - 1)
        self.age[row] = 0
        self.reward[row] = 0
        self.discount[row] = 1
        self.stack[row] = 0
        self.stack[row, -1] = self.frame(row)

    def frame(self, row: int) -> tuple[int, int]:
        return int(self.place[row]) + 1, 1

    def step(self, actions: Ints) -> TimeStep:
        for row, action in enumerate(actions):
            self.move(row, int(action))
        return self.look()

    def move(self, row: int, action: int) -> None:
        before = self.place[row]
        drift = int(self.rngs[row].integers(-1, 2))
        self.place[row] = np.clip(before + (action - 1 if action < 3 else 0) + drift, 0, GOAL)
        self.age[row] += 1
        self.reward[row] = self.place[row] - before
        over = self.place[row] in (0, GOAL)
        self.discount[row] = 0.0 if over or before < GOAL // 2 <= self.place[row] else 1.0
        self.stack[row, :-1] = self.stack[row, 1:].copy()
        self.stack[row, -1] = self.frame(row)

    def last(self) -> Bools:
        last: Bools = np.isin(self.place, (0, GOAL)) | (self.age == LIMIT)
        return last

    def look(self) -> TimeStep:
        legal = np.ones((self.spec.num_envs, ACTIONS), np.bool_)
        legal[:, 3] = (self.place % 2 == 0) | (self.last() & (self.discount == 0))
        return TimeStep(
            self.stack.copy(), self.reward.copy(), self.discount.copy(), self.age == 0, self.last(), legal, None,
            score=2 * self.reward,
        )  # fmt: skip

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        for row in np.flatnonzero(self.last()):
            if seeds is not None:
                self.rngs[row] = np.random.default_rng(seeds[row])
            self.start(int(row))
        return self.look()

    def state_dict(self) -> State:
        arrays = {name: getattr(self, name) for name in ("place", "age", "stack", "reward", "discount")}
        return {**arrays, "rngs": [rng.bit_generator.state for rng in self.rngs]}

    def load_state_dict(self, state: State) -> None:
        for name in ("place", "age", "stack", "reward", "discount"):
            getattr(self, name)[:] = state[name]
        for rng, saved in zip(self.rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved

    def close(self) -> None: ...


def looks(change: Callable[[TimeStep], TimeStep]) -> type[Walk]:
    """A walk whose TimeSteps are changed."""

    class Looks(Walk):
        def look(self) -> TimeStep:
            return change(super().look())

    return Looks


FIRST = np.arange(ACTIONS) == 0


def with_legal(step: TimeStep) -> Bools:
    assert step.legal is not None
    return step.legal


class TooManyRows(Walk):
    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs + 1)


class NoReset(Walk):
    reset_done = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        if name == "reset_done":
            raise AttributeError(name)
        return super().__getattribute__(name)


class RewardsTheStart(Walk):
    def start(self, row: int) -> None:
        super().start(row)
        self.reward[row] = 1.0


class NotFirstAfterReset(Walk):
    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        return super().reset_done(seeds)._replace(first=np.zeros(self.spec.num_envs, np.bool_))


class PadsWithTheFirstFrame(Walk):
    def start(self, row: int) -> None:
        super().start(row)
        self.stack[row] = self.stack[row, -1]


class ClearsTheStackAtALifeLoss(Walk):
    def move(self, row: int, action: int) -> None:
        super().move(row, action)
        if self.discount[row] == 0:
            self.stack[row, :-1] = 0


class NewestFrameFirst(Walk):
    def look(self) -> TimeStep:
        step = super().look()
        return step._replace(observation=step.observation[:, ::-1].copy())


class KeepsItsArrays(Walk):
    def look(self) -> TimeStep:
        return super().look()._replace(observation=self.stack)


class ReturnsOneRewardArray(Walk):
    def look(self) -> TimeStep:
        return super().look()._replace(reward=self.reward)


class ResetsItself(Walk):
    """As Gymnasium's SAME_STEP mode: the last step shows the next episode's first observation."""

    def step(self, actions: Ints) -> TimeStep:
        step = super().step(actions)
        for row in np.flatnonzero(step.last):
            self.start(int(row))
            self.finished[row] = True
        return step._replace(observation=self.stack.copy())

    finished = np.zeros(16, np.bool_)

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        self.finished[:] = False
        return self.look()


class TruncationIsTermination(Walk):
    def move(self, row: int, action: int) -> None:
        super().move(row, action)
        if self.age[row] == LIMIT:
            self.discount[row] = 0.0


class GoesOnPastTheLimit(Walk):
    def last(self) -> Bools:
        last: Bools = np.isin(self.place, (0, GOAL)) | (self.age == LIMIT + 3)
        return last


class Endless(Walk):
    def last(self) -> Bools:
        return np.zeros(self.spec.num_envs, np.bool_)


class SeedsNothing(Walk):
    def seed_rows(self, seed: int | Ints) -> None:
        self.rngs = [np.random.default_rng() for _ in self.rngs]


class RemembersBeforeReset(Walk):
    num_resets = 0

    def reset(self, seed: int | Ints) -> TimeStep:
        step = super().reset(seed)
        self.num_resets += 1
        if self.num_resets > 1:
            self.rngs[0].random()
        return step


class OneSeedForAll(Walk):
    def seed_rows(self, seed: int | Ints) -> None:
        super().seed_rows(0 if isinstance(seed, int) else seed)


class RowsShareAStream(Walk):
    def seed_rows(self, seed: int | Ints) -> None:
        super().seed_rows(np.full(self.spec.num_envs, seed) if isinstance(seed, int) else seed)


class StartsByPlaceInTheBatch(Walk):
    def start(self, row: int) -> None:
        super().start(row)
        if row > 1:
            self.rngs[row].random()


class DriftsTogether(Walk):
    """The rows of a batch draw from the first row's generator."""

    def seed_rows(self, seed: int | Ints) -> None:
        super().seed_rows(seed)
        if not isinstance(seed, int):
            self.rngs = [self.rngs[0]] * len(self.rngs)


class ResetsEveryRow(Walk):
    """As CartPole's own vector environment does with a `reset_mask`."""

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        if self.last().any():
            for row in range(self.spec.num_envs):
                self.start(row)
        return self.look()


class ClearsRewardsOfAll(Walk):
    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        if self.last().any():
            step = super().reset_done(seeds)
            return step._replace(reward=np.zeros_like(step.reward))
        return self.look()


class LookDraws(Walk):
    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        if not self.last().any():
            self.rngs[0].random()
        return super().reset_done(seeds)


class LookForgets(Walk):
    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        none = not self.last().any()
        step = super().reset_done(seeds)
        return step._replace(reward=np.zeros_like(step.reward)) if none else step


class IgnoresResetSeeds(Walk):
    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        return super().reset_done(None)


class SavesATuple(Walk):
    def state_dict(self) -> State:
        return {**super().state_dict(), "spec": (1, 2)}


class SavesObjects(Walk):
    def state_dict(self) -> State:
        return {**super().state_dict(), "more": [np.array([None, object()])]}


class LoadForgetsGenerators(Walk):
    def load_state_dict(self, state: State) -> None:
        super().load_state_dict({**state, "rngs": [rng.bit_generator.state for rng in self.rngs]})


class HidesAHabit(Walk):
    """What is not in the state decides what comes next."""

    habit = 0

    def seed_rows(self, seed: int | Ints) -> None:
        super().seed_rows(seed)
        self.habit = 0

    def move(self, row: int, action: int) -> None:
        self.habit += 1
        super().move(row, (action + (self.habit > 130)) % 3)


class StateDraws(Walk):
    def state_dict(self) -> State:
        self.rngs[0].random()
        return super().state_dict()


class CountsItsStates(Walk):
    taken = 0

    def state_dict(self) -> State:
        self.taken += 1
        return {**super().state_dict(), "taken": self.taken}


class CountsItsLoads(Walk):
    loads = 0

    def state_dict(self) -> State:
        return {**super().state_dict(), "loads": self.loads}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.loads += 1


def another_boards_state(num_envs: int) -> Environment:
    env = make_env(EnvConfig(id="tengen/TicTacToe-v0", num_envs=num_envs), training=True)
    step = env.step

    def stale(actions: Ints) -> TimeStep:
        before = env.reset_done().state
        return step(actions)._replace(state=before)

    env.step = stale  # type: ignore[method-assign]  # broken on purpose
    return env


PLANTED: list[tuple[str, Callable[[int], Environment]]] = [
    ("protocol", TooManyRows),
    ("protocol", cast(Any, NoReset)),
    ("fields", looks(lambda s: s._replace(reward=s.reward.astype(np.float32)))),
    ("fields", looks(lambda s: s._replace(last=s.last.astype(np.int64)))),
    ("fields", looks(lambda s: s._replace(observation=s.observation.astype(np.int64)))),
    ("fields", looks(lambda s: s._replace(legal=np.ones((len(s.reward), 2), np.bool_)))),
    ("observation-space", looks(lambda s: s._replace(observation=s.observation * np.uint8(2)))),
    ("discount", looks(lambda s: s._replace(discount=np.where(s.first, 1.0, 1.5)))),
    ("first", RewardsTheStart),
    ("first", NotFirstAfterReset),
    ("first", looks(lambda s: s._replace(first=np.ones_like(s.first)))),
    ("legal", looks(lambda s: s._replace(legal=with_legal(s) & ~s.last[:, None]))),
    ("legal", looks(lambda s: s._replace(legal=with_legal(s) & (FIRST | ~s.last[:, None])))),
    ("has-legal", looks(lambda s: s._replace(legal=None))),
    ("score", looks(lambda s: s._replace(score=s.reward.astype(np.float32)))),
    ("frame-stack", PadsWithTheFirstFrame),
    ("frame-stack", ClearsTheStackAtALifeLoss),
    ("frame-stack", NewestFrameFirst),
    ("simulator-state", another_boards_state),
    ("owned-arrays", KeepsItsArrays),
    ("owned-arrays", ReturnsOneRewardArray),
    ("never-resets-itself", ResetsItself),
    ("truncation", TruncationIsTermination),
    ("truncation", GoesOnPastTheLimit),
    ("seeded", SeedsNothing),
    ("reset-forgets", RemembersBeforeReset),
    ("seeds-differ", OneSeedForAll),
    ("seeds-differ", RowsShareAStream),
    ("rows-independent", StartsByPlaceInTheBatch),
    ("rows-independent", DriftsTogether),
    ("reset-done-rows", ResetsEveryRow),
    ("reset-done-rows", ClearsRewardsOfAll),
    ("reset-done-look", LookDraws),
    ("reset-done-look", LookForgets),
    ("reset-done-seeds", IgnoresResetSeeds),
    ("state-leaves", SavesATuple),
    ("state-leaves", SavesObjects),
    ("state-restores", LoadForgetsGenerators),
    ("state-restores", HidesAHabit),
    ("state-peek", StateDraws),
    ("state-same", CountsItsStates),
    ("state-same", CountsItsLoads),
]


def test_a_right_environment_passes() -> None:
    check_environment(Walk)


@pytest.mark.parametrize(("rule", "broken"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_a_broken_environment_is_caught_by_the_rule_that_it_breaks(
    rule: str, broken: Callable[[int], Environment]
) -> None:
    with pytest.raises(Violation) as caught:
        check_environment(broken, num_steps=80, deterministic=broken is another_boards_state)
    assert caught.value.rule == rule
    assert ENVIRONMENT_RULES[rule] in str(caught.value)


def test_every_rule_of_environments_has_a_planted_violation() -> None:
    assert {rule for rule, _ in PLANTED} == set(ENVIRONMENT_RULES)


def test_a_check_in_which_no_episode_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="raise num_steps"):
        check_environment(Endless, num_steps=5)


def test_the_message_names_call_step_and_row() -> None:
    with pytest.raises(Violation, match=r"step\(\) after \d+ steps.*row \d: discount 1.5"):
        check_environment(looks(lambda s: s._replace(discount=np.where(s.first, 1.0, 1.5))), num_steps=80)

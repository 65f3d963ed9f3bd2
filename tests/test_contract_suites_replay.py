"""Each rule of the replays' suite catches a replay that was broken on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest

from tengen.contracts import Replay
from tengen.testing import REPLAY_RULES, Violation, check_replay
from tengen.types import Array, Decision, EnvSpec, Ints, State, TimeStep, Transition

GAMMA, N_STEP, CAPACITY = 0.9, 3, 40


class Log:
    """Rows start..stop-1 of a list of transitions."""

    def __init__(self, start: int, rows: list[Transition]) -> None:
        self.start, self.stop, self.rows = start, start + len(rows), rows

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        return stack(self.rows[start - self.start : stop - self.start])


def stack(rows: list[Transition]) -> dict[str, Array]:
    columns = dict(zip(Transition._fields, zip(*rows, strict=True), strict=False))
    return {name: np.array(column) for name, column in columns.items() if column[0] is not None}


class Plain:
    """The newest transitions in a list, put together as soon as their windows are complete. All of it is right."""

    capacity = CAPACITY

    def __init__(self, spec: EnvSpec, rng: np.random.Generator) -> None:
        self.spec = spec
        self.rng = rng
        self.start = 0
        self.rows: list[Transition] = []
        self.open: list[list[dict[str, Any]]] = [[] for _ in range(spec.num_envs)]  # steps of incomplete windows

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        for row, steps in enumerate(self.open):
            steps.append(self.one(step, decision, next_step, row))
            while steps and self.complete(steps[:N_STEP]):
                self.keep(self.sum(steps[:N_STEP]))
                steps.pop(0)

    def one(self, step: TimeStep, decision: Decision, next_step: TimeStep, row: int) -> dict[str, Any]:
        return {
            "observation": step.observation[row].copy(),
            "action": int(decision.actions[row]),
            "reward": float(next_step.reward[row]),
            "discount": float(next_step.discount[row]),
            "last": bool(next_step.last[row]),
            "next_observation": next_step.observation[row].copy(),
            "next_legal": None if next_step.legal is None else next_step.legal[row].copy(),
        }

    def cut(self, one: dict[str, Any]) -> bool:
        return bool(one["last"] or one["discount"] == 0)

    def complete(self, window: list[dict[str, Any]]) -> bool:
        return len(window) == N_STEP or any(self.cut(one) for one in window)

    def sum(self, window: list[dict[str, Any]]) -> Transition:
        reward, bootstrap = 0.0, 1.0
        for one in window:
            reward += bootstrap * one["reward"]
            bootstrap *= GAMMA * one["discount"]
            if self.cut(one):
                break
        begin = window[0]
        return Transition(
            begin["observation"],
            begin["action"],
            cast(Array, reward),
            cast(Array, bootstrap),
            one["next_observation"],
            one["next_legal"],
        )

    def keep(self, transition: Transition) -> None:
        self.rows.append(transition)
        if len(self.rows) > self.capacity:
            self.rows.pop(0)
            self.start += 1

    def draw(self, batch_size: int) -> Ints:
        return self.rng.integers(len(self.rows), size=batch_size)

    def sample(self, batch_size: int) -> Transition:
        return Transition(**stack([self.rows[i] for i in self.draw(batch_size)]))

    def state_dict(self) -> State:
        return {
            "rows": Log(self.start, self.rows),
            "open": [list(steps) for steps in self.open],
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: State) -> None:
        log = state["rows"]
        self.start = log.start
        columns = log.read(log.start, log.stop)
        self.rows = [
            Transition(**{name: column[i] for name, column in columns.items()}) for i in range(log.stop - log.start)
        ]
        self.open = [list(steps) for steps in state["open"]]
        self.rng.bit_generator.state = state["rng"]


class NoLen(Plain):
    __len__ = None  # type: ignore[assignment]


class OneTooMany(Plain):
    def sample(self, batch_size: int) -> Transition:
        return super().sample(batch_size + 1)


class KeepsHalfPrecision(Plain):
    def one(self, step: TimeStep, decision: Decision, next_step: TimeStep, row: int) -> dict[str, Any]:
        return {
            **super().one(step, decision, next_step, row),
            "observation": step.observation[row].astype(np.float16),
        }


class StackRunsOverTheStart(Plain):
    """The older frames of a game's first stacks are those of the game before."""

    frames: Any = None

    def one(self, step: TimeStep, decision: Decision, next_step: TimeStep, row: int) -> dict[str, Any]:
        one = super().one(step, decision, next_step, row)
        if self.spec.frame_stack:
            self.frames = self.frames or [[] for _ in self.open]
            self.frames[row] = [*self.frames[row][1 - self.spec.frame_stack :], step.observation[row, -1].copy()]
            older = np.array(self.frames[row])
            one["observation"][-len(older) :] = older
        return one


class ActionOfTheFirstRow(Plain):
    def one(self, step: TimeStep, decision: Decision, next_step: TimeStep, row: int) -> dict[str, Any]:
        return {**super().one(step, decision, next_step, row), "action": int(decision.actions[0])}


class SumsOneStepTooFew(Plain):
    def sum(self, window: list[dict[str, Any]]) -> Transition:
        right = super().sum(window)
        return right._replace(reward=super().sum(window[: N_STEP - 1]).reward)


class ForgetsTheSign(Plain):
    """Sums rewards of the other side as its own."""

    def sum(self, window: list[dict[str, Any]]) -> Transition:
        reward = super().sum([{**one, "discount": abs(one["discount"])} for one in window]).reward
        return super().sum(window)._replace(reward=reward)


class SumsPastALifeLoss(Plain):
    def cut(self, one: dict[str, Any]) -> bool:
        return bool(one["last"])

    def sum(self, window: list[dict[str, Any]]) -> Transition:
        total = sum(GAMMA**k * one["reward"] for k, one in enumerate(window))
        return super().sum(window)._replace(reward=cast(Array, total))


class TruncationIsTermination(Plain):
    def sum(self, window: list[dict[str, Any]]) -> Transition:
        return super().sum([{**one, "discount": 0.0 if one["last"] else one["discount"]} for one in window])


class BootstrapsPastTheEnd(Plain):
    def sum(self, window: list[dict[str, Any]]) -> Transition:
        right = super().sum(window)
        return right._replace(bootstrap=cast(Array, right.bootstrap or GAMMA))


class OneGammaTooFew(Plain):
    def sum(self, window: list[dict[str, Any]]) -> Transition:
        right = super().sum(window)
        return right._replace(bootstrap=right.bootstrap / GAMMA)


class NextIsTheReset(Plain):
    """Where an episode was truncated, the next observation is the first of the next episode."""

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        for row in np.flatnonzero(step.first):
            for i, transition in enumerate(self.rows):
                if transition.next_observation.tobytes() == self.ends.get(row):
                    self.rows[i] = transition._replace(next_observation=step.observation[row].copy())
        super().add(step, decision, next_step)
        self.ends = {row: next_step.observation[row].tobytes() for row in np.flatnonzero(next_step.last)}

    ends: Mapping[Any, bytes] = {}


class NextOfOneStep(Plain):
    def sum(self, window: list[dict[str, Any]]) -> Transition:
        return super().sum(window)._replace(next_observation=window[0]["next_observation"])


class LegalBefore(Plain):
    def one(self, step: TimeStep, decision: Decision, next_step: TimeStep, row: int) -> dict[str, Any]:
        one = super().one(step, decision, next_step, row)
        return {**one, "next_legal": None if step.legal is None else step.legal[row].copy()}


class NoLegal(Plain):
    def sample(self, batch_size: int) -> Transition:
        return super().sample(batch_size)._replace(next_legal=None)


class TooSoon(Plain):
    def complete(self, window: list[dict[str, Any]]) -> bool:
        return True


class HoldsTooMuch(Plain):
    def keep(self, transition: Transition) -> None:
        self.capacity = 2 * CAPACITY
        super().keep(transition)
        self.capacity = CAPACITY


class KeepsTheOldest(Plain):
    def keep(self, transition: Transition) -> None:
        self.rows.append(transition)
        if len(self.rows) > self.capacity:
            self.rows.pop(10)  # the ten oldest stay for ever


class NewestComesLater(Plain):
    """A transition can be drawn only after the next one of any row is there."""

    def __len__(self) -> int:
        return max(0, len(self.rows) - 1)

    def draw(self, batch_size: int) -> Ints:
        return self.rng.integers(len(self), size=batch_size)


class HoldsASixth(Plain):
    def keep(self, transition: Transition) -> None:
        self.capacity = CAPACITY // 6
        super().keep(transition)
        self.capacity = CAPACITY


class CountsOpenOnes(Plain):
    def __len__(self) -> int:
        return len(self.rows) + sum(map(len, self.open)) if self.rows else 0


class NeverDrawsTheFirst(Plain):
    def draw(self, batch_size: int) -> Ints:
        return np.maximum(super().draw(batch_size), min(1, len(self) - 1))


class PrefersTheNewest(Plain):
    def draw(self, batch_size: int) -> Ints:
        rows, others = super().draw(batch_size), super().draw(batch_size)
        return np.where(self.rng.random(batch_size) < 0.7, np.maximum(rows, others), rows)


class ClipsInPlace(Plain):
    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        super().add(step, decision, next_step)
        np.clip(next_step.reward, -1, 1, out=next_step.reward)


class DrawsElsewhere(Plain):
    elsewhere = np.random.default_rng(0)

    def draw(self, batch_size: int) -> Ints:
        return self.elsewhere.integers(len(self), size=batch_size)


class NumbersFromZero(Plain):
    """Numbers its rows anew when old ones go."""

    def state_dict(self) -> State:
        return {**super().state_dict(), "rows": Log(0, self.rows)}


class NumbersDownwards(Plain):
    def state_dict(self) -> State:
        return {**super().state_dict(), "rows": Log(1000 - self.start, self.rows)}


class NewestFirst(Plain):
    def state_dict(self) -> State:
        return {**super().state_dict(), "rows": Log(self.start, self.rows[::-1])}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.rows.reverse()


class SavesTuples(Plain):
    def state_dict(self) -> State:
        return {**super().state_dict(), "more": tuple(self.open)}


class StateDraws(Plain):
    def state_dict(self) -> State:
        self.rng.random()
        return super().state_dict()


class LoadForgetsTheGenerator(Plain):
    def load_state_dict(self, state: State) -> None:
        super().load_state_dict({**state, "rng": self.rng.bit_generator.state})


class LoadForgetsOpenWindows(Plain):
    def load_state_dict(self, state: State) -> None:
        super().load_state_dict({**state, "open": self.open})


class LoadShiftsARow(Plain):
    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.rows = self.rows[1:] + self.rows[:1]


class CountsItsStates(Plain):
    taken = 0

    def state_dict(self) -> State:
        self.taken += 1
        return {**super().state_dict(), "taken": self.taken}


class CountsItsLoads(Plain):
    loads = 0

    def state_dict(self) -> State:
        return {**super().state_dict(), "loads": self.loads}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.loads += 1


PLANTED: list[tuple[str, type[Plain]]] = [
    ("protocol", NoLen),
    ("batch", OneTooMany),
    ("observation", KeepsHalfPrecision),
    ("observation", StackRunsOverTheStart),
    ("action", ActionOfTheFirstRow),
    ("reward", SumsOneStepTooFew),
    ("reward", ForgetsTheSign),
    ("reward", SumsPastALifeLoss),
    ("bootstrap", TruncationIsTermination),
    ("bootstrap", BootstrapsPastTheEnd),
    ("bootstrap", OneGammaTooFew),
    ("next-observation", NextIsTheReset),
    ("next-observation", NextOfOneStep),
    ("next-legal", LegalBefore),
    ("next-legal", NoLegal),
    ("complete", TooSoon),
    ("held", HoldsTooMuch),
    ("held", KeepsTheOldest),
    ("newest", NewestComesLater),
    ("keeps", HoldsASixth),
    ("len", CountsOpenOnes),
    ("len", NeverDrawsTheFirst),
    ("uniform", PrefersTheNewest),
    ("read-only", ClipsInPlace),
    ("seeded", DrawsElsewhere),
    ("row-logs", NumbersDownwards),
    ("immutable-rows", NewestFirst),
    ("immutable-rows", NumbersFromZero),
    ("state-leaves", SavesTuples),
    ("state-peek", StateDraws),
    ("state-restores", LoadForgetsTheGenerator),
    ("state-restores", LoadForgetsOpenWindows),
    ("state-restores", LoadShiftsARow),
    ("state-same", CountsItsStates),
    ("state-same", CountsItsLoads),
]


def check(kind: type[Plain]) -> None:
    def build(spec: EnvSpec, rng: np.random.Generator) -> Replay[Transition]:
        return kind(spec, rng)

    check_replay(build, gamma=GAMMA, n_step=N_STEP)


def test_a_right_replay_passes() -> None:
    check(Plain)


@pytest.mark.parametrize(("rule", "broken"), PLANTED)
def test_a_broken_replay_is_caught_by_the_rule_that_it_breaks(rule: str, broken: type[Plain]) -> None:
    with pytest.raises(Violation) as caught:
        check(broken)
    assert caught.value.rule == rule
    assert REPLAY_RULES[rule] in str(caught.value)


def test_every_rule_of_replays_has_a_planted_violation() -> None:
    assert {rule for rule, _ in PLANTED} == set(REPLAY_RULES)


def test_a_replay_that_is_too_large_to_be_tried_is_refused() -> None:
    class Large(Plain):
        capacity = 100_000

    with pytest.raises(ValueError, match="not of 100000"):
        check(Large)


def test_the_message_names_step_and_row_and_the_kind_of_experience() -> None:
    with pytest.raises(Violation, match=r"step \d+ of row \d: .* \(vectors of 3 environments\)"):
        check(ActionOfTheFirstRow)

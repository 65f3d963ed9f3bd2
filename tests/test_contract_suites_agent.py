"""Each rule of the agents' and policies' suites catches an agent that was broken on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest

from tengen.actions import random_actions, random_probabilities
from tengen.contracts import Agent, Environment
from tengen.envs import EnvConfig, make_env
from tengen.testing import AGENT_RULES, POLICY_RULES, Violation, check_agent
from tengen.types import Array, Decision, EnvSpec, Floats, Ints, Metrics, State, TimeStep


def games(num_envs: int = 2) -> Environment:
    return make_env(EnvConfig(id="tengen/TicTacToe-v0", num_envs=num_envs), training=True)


def lake() -> Environment:
    return make_env(EnvConfig(id="FrozenLake-v1", num_envs=2), training=True)


class Log:
    """Rows start..stop-1, kept in a list."""

    def __init__(self, start: int, rows: list[Array]) -> None:
        self.start, self.stop, self.rows = start, start + len(rows), rows

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        rows = self.rows[start - self.start : stop - self.start]
        return {"rows": np.array(rows)}


class LinearPolicy:
    """Greedy by linear values."""

    def __init__(self, agent: Linear) -> None:
        self.agent = agent

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        return self.agent.greedy(step)


class Linear:
    """Q-learning with linear values, momentum and a short memory to learn from. Everything in it is right."""

    policy_class: Any = LinearPolicy

    def __init__(self, spec: EnvSpec, rng: np.random.Generator) -> None:
        self.spec = spec
        self.rng = rng
        self.size = int(np.prod(spec.observation_space.shape or (1,)))
        self.weights = np.zeros((spec.num_actions, self.size))
        self.momentum = np.zeros_like(self.weights)
        self.start = 0
        self.memory: list[Array] = []

    def values(self, step: TimeStep) -> Floats:
        values: Floats = step.observation.reshape(len(step.reward), -1) @ self.weights.T
        return values if step.legal is None else np.where(step.legal, values, -np.inf)

    def greedy(self, step: TimeStep) -> Ints:
        actions: Ints = np.argmax(self.values(step), axis=1)
        return actions

    def act(self, step: TimeStep) -> Decision:
        legal = np.ones((len(step.reward), self.spec.num_actions)) if step.legal is None else step.legal
        chance = self.rng.random(legal.shape)
        explore = self.rng.random(len(step.reward)) < 0.5
        actions = np.where(explore, np.where(legal, chance, -1.0).argmax(1), self.greedy(step))
        return Decision(actions, {"explore": explore})

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        target = next_step.reward + 0.9 * next_step.discount * self.values(next_step).max(1)
        observation = step.observation.reshape(len(target), -1)
        for row, action in enumerate(decision.actions):
            self.memory.append(np.array([*observation[row], action, target[row]], np.float64))
        while len(self.memory) > 50:
            self.memory.pop(0)
            self.start += 1
        *features, action, goal = self.memory[self.rng.integers(len(self.memory))]
        error = goal - self.weights[int(action)] @ features
        self.momentum *= 0.9
        self.momentum[int(action)] += error * np.array(features)
        self.weights += 0.01 * self.momentum
        return {"losses/td": abs(error)}

    def policy(self) -> Any:
        return self.policy_class(self)

    def state_dict(self) -> State:
        return {
            "weights": self.weights,
            "momentum": self.momentum,
            "memory": Log(self.start, self.memory),
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: State) -> None:
        self.weights[:] = state["weights"]
        self.momentum[:] = state["momentum"]
        log = state["memory"]
        self.start = log.start
        rows = log.read(log.start, log.stop)["rows"]
        self.memory = list(rows)
        self.rng.bit_generator.state = state["rng"]


def with_policy(act: Any) -> type[Linear]:
    """An agent whose policy chooses by `act(agent, step, rng, greedy)`."""

    class Policy(LinearPolicy):
        def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
            return cast(Ints, act(self.agent, step, rng, super().act(step, rng)))

    class WithPolicy(Linear):
        policy_class = Policy

    return WithPolicy


class NoPolicy(Linear):
    policy = None  # type: ignore[assignment]


class ShortActions(Linear):
    def act(self, step: TimeStep) -> Decision:
        return Decision(super().act(step).actions.astype(np.int32))


class OneActionForAll(Linear):
    def act(self, step: TimeStep) -> Decision:
        return Decision(super().act(step).actions[:1])


class ActionsBelowZero(Linear):
    def act(self, step: TimeStep) -> Decision:
        return Decision(super().act(step).actions - self.spec.num_actions)


class IgnoresTheMask(Linear):
    def act(self, step: TimeStep) -> Decision:
        return super().act(step._replace(legal=None))


class UsesTheRulesInstead(Linear):
    """Looks at the board for itself instead of at the mask that it is given."""

    def act(self, step: TimeStep) -> Decision:
        over = step.last & (step.discount == 0)
        return super().act(step._replace(legal=(step.observation == 0) | over[:, None]))


class ExtrasOfTheBatch(Linear):
    def act(self, step: TimeStep) -> Decision:
        return Decision(super().act(step).actions, {"epsilon": np.array([0.5, 0.5, 0.5])})


class ReturnsNothing(Linear):
    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        super().update(step, decision, next_step)
        return cast(Metrics, None)


class ReturnsArrays(Linear):
    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        return {"losses": cast(Any, np.zeros(3)), **super().update(step, decision, next_step)}


class ScalesWhatItIsShown(Linear):
    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        next_step.reward[:] *= 2
        return super().update(step, decision, next_step)


class MarksWhatItSees(Linear):
    def act(self, step: TimeStep) -> Decision:
        decision = super().act(step)
        step.observation[0] += 1
        return decision


class DrawsElsewhere(Linear):
    elsewhere = np.random.default_rng(0)

    def act(self, step: TimeStep) -> Decision:
        decision = super().act(step)
        legal = np.ones(decision.actions.shape) if step.legal is None else step.legal
        return Decision(np.where(legal, self.elsewhere.random(legal.shape), -1.0).argmax(1))


class SavesItsSpec(Linear):
    def state_dict(self) -> State:
        return {**super().state_dict(), "spec": self.spec}


class SavesNumpyScalars(Linear):
    def state_dict(self) -> State:
        return {**super().state_dict(), "mean": self.weights.mean()}


class StateDraws(Linear):
    def state_dict(self) -> State:
        self.rng.random()
        return super().state_dict()


class StateClearsMomentum(Linear):
    def state_dict(self) -> State:
        state = super().state_dict()
        self.momentum = np.zeros_like(self.momentum)
        return state


def forgets(name: str) -> type[Linear]:
    """An agent whose load leaves out an entry of its state."""

    class Forgets(Linear):
        def load_state_dict(self, state: State) -> None:
            super().load_state_dict({**state, name: super().state_dict()[name]})

    return Forgets


class LoadAddsToWhatIsThere(Linear):
    def load_state_dict(self, state: State) -> None:
        super().load_state_dict({**state, "momentum": self.momentum + state["momentum"]})


class CountsItsStates(Linear):
    taken = 0

    def state_dict(self) -> State:
        self.taken += 1
        return {**super().state_dict(), "taken": self.taken}


class CountsItsLoads(Linear):
    loads = 0

    def state_dict(self) -> State:
        return {**super().state_dict(), "loads": self.loads}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.loads += 1


def learns(agent: Linear, step: TimeStep, rng: np.random.Generator, greedy: Ints) -> Ints:
    agent.weights += 1e-9
    return greedy


def draws_from_the_agent(agent: Linear, step: TimeStep, rng: np.random.Generator, greedy: Ints) -> Ints:
    agent.rng.random()
    return greedy


class PolicyKeepsTrack(Linear):
    """A policy's trace that no state shows, and that changes how the agent goes on."""

    seen = 0

    def act(self, step: TimeStep) -> Decision:
        if self.seen > 100:
            self.rng.random()
        return super().act(step)

    def greedy(self, step: TimeStep) -> Ints:
        return super().greedy(step)

    def policy(self) -> Any:
        self.seen += 1
        return super().policy()


class PolicyOutsideTheState(Linear):
    """What only the policy goes by is not in the state."""

    favourite = 0

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        self.favourite = int(decision.actions[0])
        return super().update(step, decision, next_step)

    def policy(self) -> Any:
        agent = self

        class Favours(LinearPolicy):
            def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
                values = agent.values(step)
                values[:, agent.favourite] += 1e3
                actions: Ints = np.argmax(values, axis=1)
                return actions

        return Favours(self)


class NeedsItsMemory(Linear):
    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.memory[-1].sum()


class PolicyFromMemory(Linear):
    def policy(self) -> Any:
        agent = self

        class Recalls(LinearPolicy):
            def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
                sign = 1.0 if agent.memory else -1.0
                values = np.where(np.isfinite(values := agent.values(step)), sign * values, -np.inf)
                actions: Ints = np.argmax(values, axis=1)
                return actions

        return Recalls(self)


class NotAPolicy(Linear):
    def policy(self) -> Any:
        return self.greedy


class TiresAfterAWhile(Linear):
    def policy(self) -> Any:
        class Tires(LinearPolicy):
            calls = 0

            def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
                self.calls += 1
                actions = super().act(step, rng)
                if self.calls > 20 and step.legal is not None:
                    actions = step.legal.shape[1] - 1 - step.legal[:, ::-1].argmax(1)
                return actions

        return Tires(self)


def anyhow(agent: Linear, step: TimeStep, rng: np.random.Generator, greedy: Ints) -> Ints:
    legal = np.ones((len(greedy), agent.spec.num_actions)) if step.legal is None else step.legal
    actions: Ints = np.argmax(np.where(legal, DrawsElsewhere.elsewhere.random(legal.shape), -1.0), axis=1)
    return actions


def writes(agent: Linear, step: TimeStep, rng: np.random.Generator, greedy: Ints) -> Ints:
    step.observation[:] = 0
    return greedy


def for_its_own_batch(agent: Linear, step: TimeStep, rng: np.random.Generator, greedy: Ints) -> Ints:
    return np.broadcast_to(greedy, agent.spec.num_envs)


def with_probabilities(probabilities: Any, act: Any = lambda agent, step, rng, greedy: greedy) -> type[Linear]:
    """Return the agent with a policy that acts so, and says that it draws with probabilities(step, A)."""

    class Says(LinearPolicy):
        def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
            actions: Ints = act(self.agent, step, rng, super().act(step, rng))
            return actions

        def probabilities(self, step: TimeStep) -> Floats:
            said: Floats = probabilities(step, self.agent.spec.num_actions)
            return said

    class Stochastic(Linear):
        policy_class = Says

    return Stochastic


def drawn(agent: Linear, step: TimeStep, rng: np.random.Generator, greedy: Ints) -> Ints:
    return random_actions(step, agent.spec.num_actions, rng)


PLANTED: list[tuple[str, type[Linear]]] = [
    ("protocol", NoPolicy),
    ("actions", ShortActions),
    ("actions", OneActionForAll),
    ("actions", ActionsBelowZero),
    ("legal", IgnoresTheMask),
    ("legal", UsesTheRulesInstead),
    ("extras", ExtrasOfTheBatch),
    ("metrics", ReturnsNothing),
    ("metrics", ReturnsArrays),
    ("read-only", ScalesWhatItIsShown),
    ("read-only", MarksWhatItSees),
    ("seeded", DrawsElsewhere),
    ("state-leaves", SavesItsSpec),
    ("state-leaves", SavesNumpyScalars),
    ("state-peek", StateDraws),
    ("state-peek", StateClearsMomentum),
    ("state-restores", forgets("momentum")),
    ("state-restores", forgets("weights")),
    ("state-restores", forgets("memory")),
    ("state-restores", forgets("rng")),
    ("state-restores", LoadAddsToWhatIsThere),
    ("state-same", CountsItsStates),
    ("state-same", CountsItsLoads),
    ("policy-no-trace", with_policy(learns)),
    ("policy-no-trace", with_policy(draws_from_the_agent)),
    ("policy-no-trace", PolicyKeepsTrack),
    ("policy-restored", PolicyOutsideTheState),
    ("empty-logs", NeedsItsMemory),
    ("empty-logs", PolicyFromMemory),
    ("policy-protocol", NotAPolicy),
    ("policy-actions", with_policy(lambda agent, step, rng, greedy: greedy.astype(np.int32))),
    ("policy-actions", with_policy(lambda agent, step, rng, greedy: greedy - 9)),
    ("policy-legal", with_policy(lambda agent, step, rng, greedy: agent.greedy(step._replace(legal=None)))),
    ("policy-deterministic", with_policy(anyhow)),
    ("policy-learns-nothing", TiresAfterAWhile),
    ("policy-read-only", with_policy(writes)),
    ("policy-any-batch", with_policy(for_its_own_batch)),
    ("policy-probabilities", with_probabilities(random_probabilities)),
    ("policy-probabilities", with_probabilities(lambda step, a: random_probabilities(step, a)[:1], drawn)),
    ("policy-probabilities", with_probabilities(lambda step, a: random_probabilities(step, a) / 2, drawn)),
    ("policy-probabilities", with_probabilities(lambda step, a: np.eye(a)[step.legal.argmax(1)], drawn)),
]


@pytest.mark.parametrize("make", [games, lake])
@pytest.mark.parametrize("agent", [Linear, with_probabilities(random_probabilities, drawn)])
def test_a_right_agent_passes(make: Any, agent: Any) -> None:
    check_agent(agent, make)


@pytest.mark.parametrize(("rule", "broken"), PLANTED)
def test_a_broken_agent_is_caught_by_the_rule_that_it_breaks(rule: str, broken: type[Linear]) -> None:
    def build(spec: EnvSpec, rng: np.random.Generator) -> Agent:
        return broken(spec, rng)

    with pytest.raises(Violation) as caught:
        check_agent(build, games, num_steps=150)
    assert caught.value.rule == rule
    assert AGENT_RULES[rule] in str(caught.value)


def test_every_rule_of_agents_and_policies_has_a_planted_violation() -> None:
    assert set(POLICY_RULES) < set(AGENT_RULES)
    assert {rule for rule, _ in PLANTED} == set(AGENT_RULES)


def test_the_message_names_turn_and_row() -> None:
    with pytest.raises(Violation, match=r"turn \d+, row \d: action"):
        check_agent(IgnoresTheMask, games, num_steps=150)

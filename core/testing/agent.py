"""The rules of an Agent, and the check that tries them. Read `check_agent` from the top."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tengen.contracts import Agent, Environment
from tengen.testing.policy import POLICY_RULES, check_actions, check_policy
from tengen.testing.trees import (
    freeze_state,
    freeze_step,
    frozen_state_of,
    same_array,
    state_difference,
    step_difference,
    without_rows,
    wrong_leaf,
)
from tengen.testing.violation import Rules, Violation
from tengen.types import Decision, EnvSpec, State, TimeStep

BuildAgent: TypeAlias = Callable[[EnvSpec, np.random.Generator], Agent]

AGENT_RULES: Rules = {
    "protocol": "An agent has every method of tengen.Agent.",
    "actions": "act returns a Decision with one action for each row: an int64 array [B] within the action space.",
    "legal": "An agent chooses legal actions only.",
    "extras": "Extras are arrays that lead with B.",
    "metrics": "update returns a mapping of names to values that `float` takes.",
    "read-only": "An agent never writes into the TimeSteps that it is shown.",
    "seeded": "The same generator and the same experience give the same agent: all randomness is the generator's.",
    "state-leaves": "A state is a tree of dicts and lists of numpy arrays, RowLogs and JSON scalars.",
    "state-peek": "Taking a state changes nothing that comes after.",
    "state-restores": "A fresh agent that loads a state continues exactly where it was taken.",
    "state-same": "Equal histories have equal states, whenever states were taken or loaded on the way.",
    "policy-no-trace": "policy() and acting with it change nothing in the agent.",
    "policy-restored": "A restored agent has the same policy.",
    "empty-logs": "A state with empty RowLogs can be loaded, and gives the same policy.",
    **POLICY_RULES,
}


def check_agent(build: BuildAgent, make_env: Callable[[], Environment], *, num_steps: int = 400, seed: int = 0) -> None:
    """Check that an agent keeps every rule of `AGENT_RULES`, and its policy those of `POLICY_RULES`.

    It learns in an environment once, and is then built again and again and shown the same experience in other
    circumstances. Where `spec.has_legal`, the legal actions are narrowed down at random. Configure it so that it has
    learnt something after half of `num_steps`: what a moment of an optimizer holds shows only then.

    Args:
        build: Assembles the agent from a spec and a generator.
        make_env: Makes an environment that it can act in.
        num_steps: Steps of each row.
        seed: Of everything random.

    Raises:
        Violation: A rule is broken.
    """
    env = make_env()
    spec = env.spec

    def fresh() -> Agent:
        return build(spec, np.random.default_rng(seed))

    agent = fresh()
    if not isinstance(agent, Agent):
        raise _violation("protocol", repr(agent))
    turns = _learn(agent, env, num_steps, seed)
    env.close()
    end = _checked_state(agent)

    again = fresh()
    _show(again, turns, "seeded")
    _compare_states(frozen_state_of(again), end, "seeded", "built and taught again")
    _check_restoring(fresh, turns, end)

    steps = [turns[i].step for i in np.linspace(0, len(turns) - 1, 16).astype(int)]
    check_policy(agent.policy(), spec, steps, seed=seed)
    _compare_states(frozen_state_of(agent), end, "policy-no-trace", "whose policy acted")
    _show(fresh(), turns, "policy-no-trace", each_turn=_act_with_policy)
    _check_policies_after_loading(agent, fresh, end, steps)


class _Turn(NamedTuple):
    """One step of the loop, copied."""

    number: int
    step: TimeStep
    decision: Decision
    next_step: TimeStep
    metrics: dict[str, float]


def _learn(agent: Agent, env: Environment, num_steps: int, seed: int) -> list[_Turn]:
    """Let the agent act and learn; return each turn."""
    turns: list[_Turn] = []
    given: list[tuple[TimeStep, TimeStep]] = []
    step = _narrow(env.reset(seed), 0, seed)
    for number in range(num_steps):
        shown = freeze_step(step)
        decision = agent.act(shown)
        where = f"turn {number}"
        actions = check_actions(decision.actions, env.spec, step, where, AGENT_RULES)
        for name, value in decision.extras.items():
            if not isinstance(value, np.ndarray) or value.shape[:1] != step.reward.shape:
                raise _violation("extras", f"{where}: {name!r} is {getattr(value, 'shape', type(value))}")
        kept = Decision(actions.copy(), {name: value.copy() for name, value in decision.extras.items()})
        next_step = _narrow(env.step(actions.copy()), number + 1, seed)
        shown_next = freeze_step(next_step)
        metrics = _floats(agent.update(shown, decision, shown_next), where)
        turns.append(_Turn(number, freeze_step(step), kept, freeze_step(next_step), metrics))
        given.append((shown, shown_next))
        step = _narrow(env.reset_done(), number + 1, seed)
    for turn, (shown, shown_next) in zip(turns, given, strict=True):
        changed = step_difference(turn.step, shown) or step_difference(turn.next_step, shown_next)
        if changed:
            raise _violation("read-only", f"turn {turn.number}, {changed}")
    return turns


def _narrow(step: TimeStep, turn: int, seed: int) -> TimeStep:
    """Drop legal actions at random, except in terminated rows; the same ones whenever the same turn is looked at."""
    if step.legal is None:
        return step
    fewer = step.legal & (np.random.default_rng([seed, turn]).random(step.legal.shape) < 0.5)
    keep = ~fewer.any(1) | (step.last & (step.discount == 0))
    return step._replace(legal=np.where(keep[:, None], step.legal, fewer))


def _floats(metrics: Any, where: str) -> dict[str, float]:
    if not isinstance(metrics, Mapping):
        raise _violation("metrics", f"{where}: update returned {metrics!r}")
    try:
        return {str(name): float(value) for name, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise _violation("metrics", f"{where}: {error}") from error


def _show(agent: Agent, turns: list[_Turn], rule: str, each_turn: Callable[[Agent, _Turn], Any] | None = None) -> None:
    """Show an agent recorded turns, and see that it decides and reports as recorded.

    Args:
        agent: Is shown them.
        turns: Recorded before.
        rule: The rule that is broken where it does something else.
        each_turn: What is done between acting and learning, to see whether it leaves a trace.
    """
    for turn in turns:
        decision = agent.act(freeze_step(turn.step))
        recorded = {"actions": turn.decision.actions, **turn.decision.extras}
        chosen = {"actions": np.asarray(decision.actions), **decision.extras}
        difference = state_difference(chosen, recorded, "decision")
        if difference:
            raise _violation(rule, f"turn {turn.number}: {difference}")
        if each_turn is not None:
            each_turn(agent, turn)
        metrics = _floats(agent.update(freeze_step(turn.step), decision, freeze_step(turn.next_step)), "")
        difference = state_difference(metrics, turn.metrics, "metrics")
        if difference:
            raise _violation(rule, f"turn {turn.number}: {difference}")


def _act_with_policy(agent: Agent, turn: _Turn) -> None:
    agent.policy().act(freeze_step(turn.step), np.random.default_rng(turn.number))


def _checked_state(agent: Agent) -> State:
    state = agent.state_dict()
    wrong = wrong_leaf(state)
    if wrong:
        raise _violation("state-leaves", wrong)
    frozen: State = freeze_state(state)
    return frozen


def _check_restoring(fresh: Callable[[], Agent], turns: list[_Turn], end: State) -> None:
    middle = len(turns) // 2
    agent = fresh()
    _show(agent, turns[:middle], "state-peek", each_turn=lambda agent, _: agent.state_dict())
    half = _checked_state(agent)
    _show(agent, turns[middle:], "state-peek")
    _compare_states(frozen_state_of(agent), end, "state-same", f"of which {middle} states were taken")
    agent = fresh()
    agent.load_state_dict(freeze_state(half))
    loaded = frozen_state_of(agent)
    _show(agent, turns[middle:], "state-restores")
    _compare_states(loaded, half, "state-same", "that has just loaded it")
    _compare_states(frozen_state_of(agent), end, "state-same", f"that loaded the state of {middle} turns on the way")
    used = fresh()
    _show(used, turns[: middle // 2], "seeded")
    used.load_state_dict(freeze_state(half))
    _show(used, turns[middle:], "state-restores")
    _compare_states(frozen_state_of(used), end, "state-same", "that had learnt something else before it was loaded")


def _check_policies_after_loading(agent: Agent, fresh: Callable[[], Agent], end: State, steps: list[TimeStep]) -> None:
    for rule, state in (("policy-restored", freeze_state(end)), ("empty-logs", without_rows(end))):
        restored = fresh()
        try:
            restored.load_state_dict(state)
            policy = restored.policy()
        except Exception as error:
            raise _violation(rule, f"{type(error).__name__}: {error}") from error
        for i, step in enumerate(steps):
            actions = policy.act(freeze_step(step), np.random.default_rng(i))
            expected = agent.policy().act(freeze_step(step), np.random.default_rng(i))
            if not same_array(actions, expected):
                raise _violation(rule, f"TimeStep {i}: {actions} against {expected}")


def _compare_states(state: State, expected: State, rule: str, which: str) -> None:
    difference = state_difference(state, expected)
    if difference:
        raise _violation(rule, f"in an agent {which}, {difference}")


def _violation(rule: str, seen: str) -> Violation:
    return Violation(AGENT_RULES, rule, seen)

"""What Dyna-Q, Dyna-Q+ and prioritized sweeping do on the mazes of Sutton & Barto (2018), chapter 8.

Each function makes independent runs, whose seeds follow from one, and returns a row for each. All run compiled.

R runs, E episodes, T steps, S states, A actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tengen.agents.tabular import TabularAgent
from tengen.contracts import TabledEnvironment
from tengen.drive import drive
from tengen.envs import EnvConfig, make_env
from tengen.registry import resolve_agent
from tengen.tables import EpisodeLog, TransitionTables
from tengen.types import Floats, Ints

_MANY = 100_000  # steps, or updates, within which what is waited for has happened

MAZE: Mapping[str, Any] = {"gamma": 0.95, "step_size": 0.1}
"""Settings of Example 8.1, figure 8.2; the Dyna maze."""

CHANGING: Mapping[str, Any] = {"gamma": 0.95, "step_size": 1.0}
"""Settings for the blocking and the shortcut maze, figures 8.4 and 8.5, of which the book gives no step size."""

SWEEPING: Mapping[str, Any] = {"gamma": 0.95, "step_size": 0.5, "planning_steps": 5, "model": "deterministic"}
"""Settings for Example 8.4, of which the book gives the number of updates only."""


def maze_lengths(planning_steps: int, num_episodes: int, seed: int, runs: int, agent: str = "dyna_q") -> Ints:
    """Return the steps of each episode in the Dyna maze, [R, E]."""
    lengths = np.zeros((runs, num_episodes), np.int64)
    fields = {**MAZE, "planning_steps": planning_steps}
    for run, (learner, env) in enumerate(_runs(agent, fields, "tengen/DynaMaze-v0", {}, seed, runs)):
        log = EpisodeLog(np.zeros(1), np.zeros(num_episodes), lengths[run], np.zeros(num_episodes, np.int64))
        _, ended = _go_on(learner, env, log, _MANY)
        assert ended == num_episodes, f"{ended} episodes in {_MANY} steps"
    return lengths


def changing_maze_rewards(
    agent: str, maze: str, num_steps: int, seed: int, runs: int, fields: Mapping[str, Any]
) -> Ints:
    """Return the reward so far after each step in a maze that changes, [R, T].

    Args:
        agent: Its name.
        maze: "Blocking" or "Shortcut".
        num_steps: T.
        seed: Of all runs.
        runs: R.
        fields: The agent's settings beside those of `CHANGING`.
    """
    rewards = np.zeros((runs, num_steps), np.int64)
    made = _runs(agent, {**CHANGING, **fields}, f"tengen/{maze}Maze-v0", {}, seed, runs)
    for run, (learner, env) in enumerate(made):
        for stretch in drive(learner, env, num_steps, 0, np.zeros(1), ()):
            rewards[run, stretch.ends - 1] = stretch.returns.astype(np.int64)
    return rewards.cumsum(1)


def finds_shortcut(agent: str, num_steps: int, seed: int, runs: int, fields: Mapping[str, Any]) -> Ints:
    """Return the steps of the shortest episode in the shortcut maze, [R]: below 16 by the shortcut only."""
    shortest = np.full(runs, _MANY)
    made = _runs(agent, {**CHANGING, **fields}, "tengen/ShortcutMaze-v0", {}, seed, runs)
    for run, (learner, env) in enumerate(made):
        for stretch in drive(learner, env, num_steps, 0, np.zeros(1), ()):
            shortest[run] = min(shortest[run], stretch.lengths.min(initial=_MANY))
    return shortest


def updates_to_path(
    agent: str, scale: int, seed: int, runs: int, fields: Mapping[str, Any], *, within: float = 1.2
) -> Ints:
    """Return the updates of values until the greedy path is no longer than `within` times the shortest, [R].

    Args:
        agent: Its name.
        scale: Of the Dyna maze, which then has 47 * scale ** 2 free cells.
        seed: Of all runs.
        runs: R.
        fields: The agent's settings beside those of `SWEEPING`.
        within: Looked at after each step.
    """
    updates = np.zeros(runs, np.int64)
    made = _runs(agent, {**SWEEPING, **fields}, "tengen/DynaMaze-v0", {"scale": scale}, seed, runs)
    for run, (learner, env) in enumerate(made):
        tables = env.spec.model
        assert tables is not None
        limit = int(within * shortest_path(tables))
        log = EpisodeLog(np.zeros(1), np.zeros(_MANY), np.zeros(_MANY, np.int64), np.zeros(_MANY, np.int64))
        first = EpisodeLog(np.zeros(1), np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64))
        _go_on(learner, env, first, _MANY)  # until the first reward every value is 0, and no path greedy
        dyna = learner.learner
        while greedy_path(tables, dyna.learner.q, limit) is None:
            _go_on(learner, env, log, 1)
        updates[run] = dyna.planner.done[0] + (learner.num_steps if dyna.learns_directly else 0)
    return updates


def shortest_path(tables: TransitionTables) -> int:
    """Return the fewest steps from the start to an end, in a world without chance."""
    start = int(tables.initial.argmax())
    seen, frontier, steps = {start}, {start}, 0
    while frontier:
        steps += 1
        following = set()
        for state in frontier:
            for action in range(tables.num_actions):
                ((_, next_state, _, discount),) = tables.outcomes(state, action)
                if discount == 0:
                    return steps
                following.add(next_state)
        frontier = following - seen
        seen |= following
    raise ValueError("no end can be reached")


def greedy_path(tables: TransitionTables, q: Floats, limit: int) -> int | None:
    """Return the steps of the greedy path from the start to an end, ties to the first action; None: above the limit."""
    state = int(tables.initial.argmax())
    for steps in range(1, limit + 1):
        row = int(tables.start[state * tables.num_actions + int(q[state].argmax())])
        if tables.discount[row] == 0:
            return steps
        state = int(tables.next_state[row])
    return None


def _runs(
    agent: str, fields: Mapping[str, Any], env_id: str, kwargs: dict[str, Any], seed: int, runs: int
) -> Iterator[tuple[TabularAgent, TabledEnvironment]]:
    """Yield a new agent and the environment, begun anew, for each run."""
    config_class, changes = resolve_agent(agent)
    config = config_class(**{**changes, **fields})
    env = make_env(EnvConfig(env_id, kwargs=kwargs), training=True)
    assert isinstance(env, TabledEnvironment)
    for own in np.random.SeedSequence(seed).spawn(runs):
        env_seed, agent_seed = own.spawn(2)
        env.reset(int(env_seed.generate_state(1, np.uint64)[0] >> 1))
        learner = config.build(env.spec, np.random.default_rng(agent_seed), "cpu")
        assert isinstance(learner, TabularAgent)
        yield learner, env


def _go_on(agent: TabularAgent, env: TabledEnvironment, log: EpisodeLog, num_steps: int) -> tuple[int, int]:
    """Let an agent act and learn for some steps, or until the log is full; return the steps and the episodes ended."""
    world = env.world()
    assert world is not None
    steps, episodes = agent.drive(world, log, num_steps)
    env.went_on(world, steps)
    return steps, episodes

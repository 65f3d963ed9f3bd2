"""The parts that agents with tile coding are put together from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tengen.agents._learner_kernels import Linear
from tengen.agents.linear._linear_kernels import Traces, no_traces
from tengen.agents.linear._tile_kernels import TileCoding, num_tiles
from tengen.agents.linear.agent import GreedyTiles, LinearAgent
from tengen.agents.linear.config import TileCodingConfig
from tengen.agents.tabular._trace_kernels import most_traces
from tengen.errors import UserError
from tengen.schedules import LinearSchedule
from tengen.types import EnvSpec, Floats, Ints


class Parts:
    """Makes the parts that a config and an environment call for.

    Args:
        agent: The agent's name, for messages.
        config: Its settings.
        spec: The environment.

    Raises:
        UserError: The tiles don't fit the observations.
    """

    def __init__(self, agent: str, config: TileCodingConfig, spec: EnvSpec) -> None:
        self.config = config
        self.spec = spec
        self.coding = tile_coding(agent, config, spec)

    def weights(self) -> Floats:
        """Return weights to begin with, [F, A]."""
        shape = (self.coding.num_features, self.spec.num_actions)
        return np.full(shape, self.config.initial_value / self.config.num_tilings)

    def no_actions(self) -> Ints:
        """Return that no environment's next action is decided, [B]."""
        return np.full(self.spec.num_envs, -1, np.int64)

    def traces(self, replacing: bool, decay: float) -> Traces:
        """Return traces of nothing yet.

        Args:
            replacing: Their kind.
            decay: gamma * lambda.
        """
        num_weights = self.coding.num_features * self.spec.num_actions
        steps = most_traces(num_weights, decay, self.config.num_tilings)  # tilings that collide add up in one step
        most = min(num_weights, steps * self.config.num_tilings)
        return no_traces(replacing, self.spec.num_envs, num_weights, most)

    def step_size(self) -> Linear:
        """Return the step size of each active feature."""
        schedule, share = self._step_size_schedule(), self.config.num_tilings
        return Linear(schedule.start / share, schedule.end / share, schedule.num_steps)

    def epsilon(self) -> Linear:
        """Return the exploration."""
        schedule = self._epsilon_schedule()
        return Linear(float(schedule.start), float(schedule.end), schedule.num_steps)

    def agent(self, learner: Any, rng: np.random.Generator) -> LinearAgent:
        """Return the agent of a learner."""
        schedules = {"charts/epsilon": self._epsilon_schedule(), "charts/step_size": self._step_size_schedule()}
        return LinearAgent(learner, GreedyTiles(self.coding, learner.weights), rng, schedules)

    def _step_size_schedule(self) -> LinearSchedule:
        config = self.config
        end = config.step_size if config.step_size_end is None else config.step_size_end
        return LinearSchedule(config.step_size, end, config.step_size_decay_steps)

    def _epsilon_schedule(self) -> LinearSchedule:
        return LinearSchedule(self.config.epsilon_start, self.config.epsilon_end, self.config.epsilon_decay_steps)


def tile_coding(agent: str, config: TileCodingConfig, spec: EnvSpec) -> TileCoding:
    """Return the tiles of an environment's observations.

    Args:
        agent: Whom to blame.
        config: How many tiles, and between which ends.
        spec: The environment.

    Raises:
        UserError: The settings are not for so many parts, or an end is infinite.
    """
    space: Any = spec.observation_space
    parts = math.prod(space.shape)
    tiles = np.array(config.tiles * parts if len(config.tiles) == 1 else config.tiles, np.int64)
    given = ((config.low, space.low), (config.high, space.high))
    low, high = (np.array(ours or theirs.ravel(), np.float64) for ours, theirs in given)
    for name, found in (("tiles", len(tiles)), ("low", len(low)), ("high", len(high))):
        if found != parts:
            raise UserError(f"agent.{name} must have {parts} values for {spec.id}, one for each part, got {found}")
    with np.errstate(over="ignore", invalid="ignore"):  # the space's ends may be the greatest floats
        finite = np.isfinite([low, high, high - low]).all()
    if not finite or (low >= high).any() or (high - low > 1e30).any():
        raise UserError(
            f"{agent} needs finite ends with low < high for each part of {spec.id}: give --agent.low and --agent.high,"
            f" got {low.tolist()} and {high.tolist()}"
        )
    every = num_tiles(tiles, config.num_tilings)
    return TileCoding(
        low, high, tiles, config.num_tilings, min(every, config.max_features), every > config.max_features
    )

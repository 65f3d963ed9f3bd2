"""Evaluation: whole episodes of known seeds, played by a policy that learns nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tengen.actions import random_actions
from tengen.contracts import Environment, Policy
from tengen.types import Floats, Ints


@dataclass(frozen=True)
class Evaluation:
    """Returns and lengths of the episodes of seeds `seed` to `seed + N - 1`, in that order."""

    seed: int
    returns: Floats  # [N], undiscounted sums of the task's own reward
    lengths: Ints  # [N], in decisions

    def summary(self) -> dict[str, float]:
        """Return mean, spread and extremes. `return_ci95` is the half width of the mean's 95% interval (normal)."""
        n = len(self.returns)
        std = float(self.returns.std(ddof=1)) if n > 1 else 0.0
        return {
            "return_mean": float(self.returns.mean()),
            "return_std": std,
            "return_ci95": 1.96 * std / math.sqrt(n),
            "return_min": float(self.returns.min()),
            "return_max": float(self.returns.max()),
            "length_mean": float(self.lengths.mean()),
        }


def evaluate(
    policy: Policy,
    env: Environment,
    num_episodes: int,
    seed: int,
    *,
    epsilon: float = 0.0,
    on_episode: Callable[[int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation | None:
    """Play the episodes of seeds `seed` to `seed + num_episodes - 1`, each to its end.

    Not the first N to finish: those would be the short ones. Rewards are summed over all moves of an episode, in a
    two-player game from the side of whoever moved first.

    Args:
        policy: Chooses the actions.
        env: Made with `training=False`.
        num_episodes: N.
        seed: Seed of the first episode.
        epsilon: Probability of a random legal action instead, as a protocol may ask for.
        on_episode: Called with the number of episodes done and the return of the last.
        should_stop: Asked at each step; once it says so the evaluation is given up.

    Returns:
        The evaluation, or None when it was given up.
    """
    num_envs = env.spec.num_envs
    rng = np.random.default_rng(seed)
    returns = np.zeros(num_episodes)
    lengths = np.zeros(num_episodes, np.int64)
    episode = np.arange(num_envs)  # [B], the episode that a row plays
    upcoming = num_envs
    done = 0
    sign = np.ones(num_envs)  # [B], -1 while the second player is to move
    step = env.reset(seed + episode)
    while done < num_episodes:
        if should_stop is not None and should_stop():
            return None
        actions = policy.act(step, rng)
        if epsilon > 0:
            actions = np.where(rng.random(num_envs) < epsilon, random_actions(step, env.spec.num_actions, rng), actions)
        step = env.step(actions)
        playing = episode < num_episodes
        reward = step.reward if step.score is None else step.score
        returns[episode[playing]] += (sign * reward)[playing]
        lengths[episode[playing]] += 1
        sign = np.where(step.discount < 0, -sign, sign)
        for row in np.flatnonzero(step.last):
            if playing[row]:
                done += 1
                if on_episode is not None:
                    on_episode(done, float(returns[episode[row]]))
            episode[row], upcoming, sign[row] = upcoming, upcoming + 1, 1.0
        if step.last.any():
            step = env.reset_done(seed + episode)
    return Evaluation(seed, returns, lengths)

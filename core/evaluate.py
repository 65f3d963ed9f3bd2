"""Evaluation: whole episodes of known seeds, played by a policy that learns nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tengen.contracts import Environment, Policy
from tengen.types import Floats, Ints, TimeStep

_FIRST_SEED, _SEEDS_APART, _MOST_SEEDS = 1_000_000, 10_000, 100_000  # below 2**31, which is as far as Atari's go

_EPSILON = 0x657073
"""Beside an episode's seed, seeds the draws of its random actions."""


def evaluation_seed(seed: int) -> int:
    """Return the seed of the first episode of each evaluation while a run with some seed trains.

    It is the same in each evaluation of the run and for every agent, so that points of a curve, and agents with one
    seed, are compared on the same episodes. Runs with another seed play others: the chance of the episodes is part of
    what they differ by. `tengen evaluate` plays others again unless told.
    """
    return _FIRST_SEED + seed % _MOST_SEEDS * _SEEDS_APART


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

    The random actions that `epsilon` asks for come from a generator of the episode's own, so the number of environments
    changes nothing. Where a policy draws by itself it does: all of its draws come from one generator of `seed`, in the
    order of the steps.

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
    policy_rng = np.random.default_rng(seed)
    returns = np.zeros(num_episodes)
    lengths = np.zeros(num_episodes, np.int64)
    episode = np.arange(num_envs)  # [B], the episode that a row plays
    upcoming = num_envs
    done = 0
    sign = np.ones(num_envs)  # [B], -1 while the second player is to move
    epsilon_rngs = [_epsilon_rng(seed, row) for row in range(num_envs)]  # [B], of the episode that a row plays
    step = env.reset(seed + episode)
    while done < num_episodes:
        if should_stop is not None and should_stop():
            return None
        actions = policy.act(step, policy_rng)
        if epsilon > 0:
            actions = _with_random_actions(actions, step, epsilon, env.spec.num_actions, epsilon_rngs)
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
            epsilon_rngs[row] = _epsilon_rng(seed, int(episode[row]))
        if step.last.any():
            step = env.reset_done(seed + episode)
    return Evaluation(seed, returns, lengths)


def _epsilon_rng(seed: int, episode: int) -> np.random.Generator:
    return np.random.default_rng([seed + episode, _EPSILON])


def _with_random_actions(
    actions: Ints, step: TimeStep, epsilon: float, num_actions: int, rngs: Sequence[np.random.Generator]
) -> Ints:
    """Return actions [B], each replaced by a random legal one with probability epsilon, as its generator draws."""
    chosen = actions.copy()
    for row, rng in enumerate(rngs):
        if rng.random() < epsilon:
            legal = np.arange(num_actions) if step.legal is None else np.flatnonzero(step.legal[row])
            chosen[row] = rng.choice(legal)
    return chosen

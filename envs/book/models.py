"""Transition tables and layouts of Gymnasium environments, for those that have any."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.toy_text.blackjack import BlackjackEnv
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from gymnasium.spaces import Discrete

from tengen.envs.book._base import GridLayout, TabularEnv
from tengen.envs.book._grids import DOWN, LEFT, RIGHT, UP
from tengen.envs.book.blackjack import blackjack_tables
from tengen.errors import UserError
from tengen.tables import TransitionTables, tables_from_gymnasium


def model_of(env: gym.Env[Any, Any]) -> TransitionTables | None:
    """Return the exact tables of an environment; None where it has none.

    An environment has tables if it is a `TabularEnv`, Gymnasium's Blackjack, or publishes `P` and
    `initial_state_distrib` as FrozenLake, CliffWalking and Taxi do. Taxi with a fickle passenger changes its mind
    outside of `P`.

    Raises:
        UserError: What it publishes is no decision process, such as probabilities that do not sum to one.
    """
    env = env.unwrapped
    if isinstance(env, TabularEnv):
        return env.tables
    if type(env) is BlackjackEnv:
        return blackjack_tables(natural=env.natural, sab=env.sab)
    transitions, initial = getattr(env, "P", None), getattr(env, "initial_state_distrib", None)
    if transitions is None or initial is None or _is_fickle(env) or not _numbers_its_states(env, len(transitions)):
        return None
    name = env.spec.id if env.spec is not None else type(env).__name__
    try:
        return tables_from_gymnasium(transitions, initial)
    except (ValueError, TypeError, LookupError) as error:
        raise UserError(f"{name} has no valid transition tables: {error}; mend its `P`") from error


def samples_like_tables(env: gym.Env[Any, Any]) -> bool:
    """Return whether an environment draws from its generator exactly as `TransitionTables` says, step by step.

    Gymnasium's Blackjack doesn't: it draws cards, its tables only have the same probabilities.
    """
    env = env.unwrapped
    if isinstance(env, TabularEnv):
        return True
    return type(env) in (FrozenLakeEnv, CliffWalkingEnv, TaxiEnv) and not _is_fickle(env)


def layout_of(env: str | gym.Env[Any, Any]) -> GridLayout | None:
    """Return where an environment's states lie, for an environment or the id of one; None where on no grid."""
    if isinstance(env, str):
        made = gym.make(env, disable_env_checker=True)
        try:
            return layout_of(made)
        finally:
            made.close()
    env = env.unwrapped
    if isinstance(env, TabularEnv):
        return env.layout
    if isinstance(env, FrozenLakeEnv):
        desc = np.asarray(env.desc, np.bytes_)
        height, width = desc.shape
        cells = {sign: frozenset((desc.reshape(-1) == sign).nonzero()[0].tolist()) for sign in (b"S", b"G", b"H")}
        moves = (LEFT, DOWN, RIGHT, UP)
        return GridLayout(height, width, moves, starts=cells[b"S"], goals=cells[b"G"], traps=cells[b"H"])
    if isinstance(env, CliffWalkingEnv):
        moves = (UP, RIGHT, DOWN, LEFT)
        return GridLayout(4, 12, moves, starts=frozenset({36}), goals=frozenset({47}), traps=frozenset(range(37, 47)))
    return None


def _is_fickle(env: gym.Env[Any, Any]) -> bool:
    return bool(getattr(env, "fickle_passenger", False))


def _numbers_its_states(env: gym.Env[Any, Any], num_states: int) -> bool:
    """Return whether observations are the states' own numbers, so that the tables tell what an agent sees."""
    observations, actions = env.observation_space, env.action_space
    return (
        isinstance(observations, Discrete)
        and isinstance(actions, Discrete)
        and int(observations.n) == num_states
        and int(observations.start) == int(actions.start) == 0
    )

"""Tengen's loop as stable-baselines3 sees it: a VecEnv that asks for steps, and waits until somebody has taken them.

B environments side by side, K turns of the loop.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from tengen.types import Array, Bools, EnvSpec, Floats, Ints, State, TimeStep


class Shown(NamedTuple):
    """What followed a turn, as stable-baselines3 is shown it."""

    observation: Array  # [B, ...], to act on next: of a new episode where one ended
    final: Array | None  # [B, ...], as the turn left it, where any row is done
    reward: Array  # [B], float32
    done: Bools  # [B], terminated, truncated, or a life lost
    truncated: Bools  # [B]
    last: Bools  # [B], the episode is over
    returns: Floats  # [B], of the episodes so far, in the task's own reward
    lengths: Ints  # [B]

    def infos(self) -> list[dict[str, Any]]:
        """Return what VecEnvs tell beside: the final observation, whether it was a time limit, and the episode."""
        infos: list[dict[str, Any]] = [{} for _ in self.done]
        if self.final is not None:
            for row in np.flatnonzero(self.done):
                infos[row]["terminal_observation"] = self.final[row]
                infos[row]["TimeLimit.truncated"] = bool(self.truncated[row])
            for row in np.flatnonzero(self.last):
                infos[row]["episode"] = {"r": float(self.returns[row]), "l": int(self.lengths[row]), "t": 0.0}
        return infos


class Tally:
    """Makes of TimeSteps what stable-baselines3 is shown, and adds up episodes.

    Args:
        num_envs: B.
    """

    def __init__(self, num_envs: int) -> None:
        self.returns = np.zeros(num_envs)
        self.lengths = np.zeros(num_envs, np.int64)

    def shown(self, step: TimeStep) -> Shown:
        """Return a turn's outcome, still without the observations of the episodes that begin after it."""
        self.returns = self.returns + (step.reward if step.score is None else step.score)
        self.lengths = self.lengths + 1
        done = step.last | (step.discount == 0)
        final = np.array(step.observation)
        shown = Shown(
            observation=final,
            final=final if done.any() else None,
            reward=step.reward.astype(np.float32),
            done=done,
            truncated=step.last & (step.discount != 0),
            last=np.array(step.last),
            returns=self.returns,
            lengths=self.lengths,
        )
        self.returns = np.where(step.last, 0.0, self.returns)
        self.lengths = np.where(step.last, 0, self.lengths)
        return shown


def shown_state(turns: Sequence[Shown]) -> State | None:
    """Return turns as arrays that lead with K; of final observations, those of done rows only."""
    if not turns:
        return None
    stacked = {
        name: np.stack([getattr(turn, name) for turn in turns]) for name in Shown._fields if name not in ("final",)
    }
    finals = [turn.final[turn.done] for turn in turns if turn.final is not None]
    empty = np.zeros((0, *turns[0].observation.shape[1:]), turns[0].observation.dtype)
    return {**stacked, "final": np.concatenate([empty, *finals])}


def shown_of_state(state: State | None) -> list[Shown]:
    """Return the turns that `shown_state` was given."""
    if state is None:
        return []
    turns, used = [], 0
    for k in range(len(state["reward"])):
        fields = {name: np.array(state[name][k]) for name in Shown._fields if name != "final"}
        final = None
        if fields["done"].any():
            final = np.array(fields["observation"])
            count = int(fields["done"].sum())
            final[fields["done"]] = state["final"][used : used + count]
            used += count
        turns.append(Shown(**fields, final=final))
    return turns


class AskingVecEnv(VecEnv):
    """A VecEnv whose steps somebody else takes.

    Args:
        spec: The environments.
        ask: Is called with actions [B] and returns what is `Shown` next; with None, it returns a first observation.
    """

    def __init__(self, spec: EnvSpec, ask: Callable[[Array | None], Any]) -> None:
        # Copies: stable-baselines3 seeds and draws from its action space.
        super().__init__(spec.num_envs, copy.deepcopy(spec.observation_space), copy.deepcopy(spec.action_space))
        self._ask = ask
        self._actions: Array | None = None

    def reset(self) -> Any:
        """Return the first observations [B, ...]."""
        return self._ask(None)

    def step_async(self, actions: Array) -> None:
        """Remember the actions [B]."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Return observations [B, ...], rewards [B], dones [B] and infos, once somebody has taken the step."""
        shown: Shown = self._ask(self._actions)
        return shown.observation, shown.reward.copy(), shown.done.copy(), shown.infos()

    def close(self) -> None:
        """Do nothing: the environments belong to the loop."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return None for each row; only the render mode is asked for."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Do nothing."""

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Return None for each row."""
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Say that nothing is wrapped."""
        return [False] * self.num_envs

"""Models that stable-baselines3 saved by itself. Loading one unpickles it: it runs whatever code its maker put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tengen.agents.sb3.build import model_class
from tengen.agents.sb3.config import refusal
from tengen.agents.sb3.policy import SB3Policy
from tengen.errors import UserError
from tengen.types import EnvSpec


def load_foreign(algorithm: str, path: Path, spec: EnvSpec) -> SB3Policy:
    """Return the policy of a saved model. Only for files whose maker the user trusts.

    Args:
        algorithm: dqn, ppo, a2c or qrdqn.
        path: What `model.save` wrote.
        spec: Where it is to play.

    Raises:
        UserError: It can't be loaded, or was trained on other spaces.
    """
    reason = refusal(f"sb3:{algorithm}", spec)
    cls = model_class(algorithm)
    if reason is not None:
        raise UserError(reason)
    try:
        model: Any = cls.load(path, device="cpu")
    except Exception as error:  # whatever unpickling may raise
        raise UserError(f"{path} can't be loaded as sb3:{algorithm}: {type(error).__name__}: {error}") from error
    ours = (spec.observation_space, spec.action_space)
    theirs = (model.observation_space, model.action_space)
    if [space.shape for space in ours] != [space.shape for space in theirs] or theirs[1] != ours[1]:
        raise UserError(
            f"{path} was trained on observations {theirs[0]} and actions {theirs[1]}, but {spec.id} has {ours[0]} and"
            f" {ours[1]}: give the environment (and protocol) that it was trained on"
        )
    return SB3Policy(model.policy)

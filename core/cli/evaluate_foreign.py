"""`tengen evaluate MODEL.zip --sb3 ALGORITHM`: a model that stable-baselines3 saved by itself."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tengen.cli.policy_options import epsilon_of
from tengen.errors import UserError

EXAMPLE = "tengen evaluate model.zip --sb3 ppo --env CartPole-v1 --trust-code"


def evaluate_foreign(given: Mapping[str, Any], on_episode: Callable[[int, float], None]) -> dict[str, Any]:
    """Evaluate a model that stable-baselines3 saved.

    Args:
        given: The values of `tengen evaluate`'s options.
        on_episode: Shows progress.

    Raises:
        UserError: The user does not trust it, or it does not fit.
    """
    path = given["run"]
    if given["env"] is None:
        raise UserError(f"--sb3 needs --env: a model does not say where it was trained, as in `{EXAMPLE}`")
    if not path.is_file():
        raise UserError(f"{path} is no file: --sb3 takes the .zip that stable-baselines3's `model.save` wrote")
    if not given["trust-code"]:
        raise UserError(
            f"{path} is refused: loading a model of stable-baselines3 runs whatever code its maker put into it; if you"
            " trust them with this machine, add --trust-code"
        )
    from tengen.agents.sb3.foreign import load_foreign
    from tengen.envs import EnvConfig, make_env
    from tengen.envs.scores import report_terms
    from tengen.evaluate import evaluate

    num_envs = min(given["num-envs"], given["episodes"])
    env = make_env(EnvConfig(given["env"], num_envs, given["protocol"]), training=False)
    with contextlib.closing(env):
        print(f"warning: loading {path} runs the code that is in it", file=sys.stderr)
        policy = load_foreign(given["sb3"], path, env.spec)
        epsilon = epsilon_of(given, env)
        evaluation = evaluate(policy, env, given["episodes"], given["seed"], epsilon=epsilon, on_episode=on_episode)
    assert evaluation is not None, "nothing asked it to stop"
    summary = evaluation.summary()
    return {
        "model": str(path),
        "agent": f"sb3:{given['sb3']}",
        "env": given["env"],
        "episodes": given["episodes"],
        "seed": given["seed"],
        **summary,
        **report_terms(env, given["env"], summary["return_mean"], epsilon),
    }

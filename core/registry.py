"""Names of agents, environments and planners, and where each is found. Strings only: nothing is imported until used.

An outside package plugs in by an entry point of the group `tengen.agents`, `tengen.envs` or `tengen.planners`:

    [project.entry-points."tengen.agents"]
    my_agent = "my_package.my_agent:MyConfig"      # an AgentConfig dataclass
    [project.entry-points."tengen.envs"]
    "my/Env-v0" = "my_package.my_env:make"         # make(config: EnvConfig, *, training: bool) -> Environment
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from typing import Any, Literal

from tengen.errors import UserError, did_you_mean

Kind = Literal["agents", "envs", "planners"]


@dataclass(frozen=True)
class Variant:
    """A registered agent under another name with some of its config's fields changed."""

    base: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    """What it is, in a line; that of its base unless given."""


_BUILT_IN: dict[Kind, dict[str, str | Variant]] = {
    "agents": {
        "alphazero": "tengen.agents.alphazero.config:AlphaZeroConfig",
        "c51": Variant(
            "dqn",
            {
                "distribution": "categorical",
                "optimizer": "adam",
                "learning_rate": 2.5e-4,
                "adam_epsilon": 0.01 / 32,
                "gradient_clip": None,
                "epsilon_end": 0.01,
            },
            "C51 (Bellemare et al. 2017): DQN that learns the probability of each of 51 returns.",
        ),
        "double_dqn": Variant(
            "dqn",
            {  # the paper's tuned version: with DQN's own optimizer, and less exploration
                "double": True,
                "optimizer": "rmsprop",
                "learning_rate": 2.5e-4,
                "gradient_clip": None,
                "epsilon_end": 0.01,
            },
            "Double DQN (van Hasselt et al. 2016): the online network chooses what the target network values.",
        ),
        "double_q_learning": "tengen.agents.tabular.config:DoubleQLearningConfig",
        "dqn": "tengen.agents.dqn.config:DQNConfig",
        "dyna_q": "tengen.agents.dyna.config:DynaQConfig",
        "dyna_q_plus": "tengen.agents.dyna.config:DynaQPlusConfig",
        "expected_sarsa": "tengen.agents.tabular.config:ExpectedSarsaConfig",
        "mcts": "tengen.agents.mcts.config:MCTSConfig",
        "monte_carlo": "tengen.agents.tabular.monte_carlo_config:MonteCarloConfig",
        "n_step_sarsa": "tengen.agents.tabular.multi_step_config:NStepSarsaConfig",
        "off_policy_monte_carlo": "tengen.agents.tabular.monte_carlo_config:OffPolicyMonteCarloConfig",
        "planned": "tengen.agents.planned.config:PlannedConfig",
        "pqn": "tengen.agents.pqn.config:PQNConfig",
        "prioritized_sweeping": "tengen.agents.dyna.config:PrioritizedSweepingConfig",
        "q_lambda": "tengen.agents.tabular.multi_step_config:QLambdaConfig",
        "q_learning": "tengen.agents.tabular.config:QLearningConfig",
        "q_sigma": "tengen.agents.tabular.multi_step_config:QSigmaConfig",
        "qr_dqn": Variant(
            "dqn",
            {
                "distribution": "quantile",
                "optimizer": "adam",
                "learning_rate": 5e-5,
                "adam_epsilon": 0.01 / 32,
                "gradient_clip": None,
                "epsilon_end": 0.01,
            },
            "QR-DQN (Dabney et al. 2018): DQN that learns 200 quantiles of the return.",
        ),
        "rainbow": Variant(
            "dqn",
            {
                "double": True,
                "dueling": True,
                "n_step": 3,
                "replay": "prioritized",
                "priority_exponent": 0.5,
                "importance_start": 0.4,
                "importance_end": 1.0,
                "distribution": "categorical",
                "noisy": True,
                "noise_start": 0.5,
                "epsilon_start": 0.0,
                "epsilon_end": 0.0,
                "optimizer": "adam",
                "learning_rate": 6.25e-5,
                "adam_epsilon": 1.5e-4,
                "gradient_clip": 10.0,  # not in table 1: of the dueling paper, section 4.2
            },
            "Rainbow (Hessel et al. 2018, table 1): double, dueling, prioritized, 3-step, categorical and noisy DQN.",
        ),
        "random": "tengen.agents.random.config:RandomConfig",
        "reinforce": "tengen.agents.reinforce.config:ReinforceConfig",
        "reinforce_network": "tengen.agents.reinforce.config:ReinforceNetworkConfig",
        "sarsa": "tengen.agents.tabular.config:SarsaConfig",
        "sarsa_lambda": "tengen.agents.tabular.multi_step_config:SarsaLambdaConfig",
        "sb3:a2c": "tengen.agents.sb3.config:SB3A2CConfig",
        "sb3:dqn": "tengen.agents.sb3.config:SB3DQNConfig",
        "sb3:ppo": "tengen.agents.sb3.config:SB3PPOConfig",
        "sb3:qrdqn": "tengen.agents.sb3.config:SB3QRDQNConfig",
        "semi_gradient_sarsa": "tengen.agents.linear.config:SemiGradientSarsaConfig",
        "semi_gradient_sarsa_lambda": "tengen.agents.linear.config:SemiGradientSarsaLambdaConfig",
        "td": "tengen.agents.tabular.prediction_config:PredictionConfig",
        "tree_backup": "tengen.agents.tabular.multi_step_config:TreeBackupConfig",
    },
    "envs": {
        "tengen/AccessControl-v0": "tengen.envs.book:make",
        "tengen/Blackjack-v0": "tengen.envs.book:make",
        "tengen/BlockingMaze-v0": "tengen.envs.book:make",
        "tengen/ConnectFour-v0": "tengen.envs.connect_four:make",
        "tengen/DynaMaze-v0": "tengen.envs.book:make",
        "tengen/Gambler-v0": "tengen.envs.book:make",
        "tengen/Go-v0": "tengen.envs.go.environment:make",
        "tengen/Gridworld-v0": "tengen.envs.book:make",
        "tengen/JacksCarRental-v0": "tengen.envs.book:make",
        "tengen/MaximizationBias-v0": "tengen.envs.book:make",
        "tengen/OpenGrid-v0": "tengen.envs.book:make",
        "tengen/RandomWalk-v0": "tengen.envs.book:make",
        "tengen/RandomWalk19-v0": "tengen.envs.book:make",
        "tengen/ShortCorridor-v0": "tengen.envs.book:make",
        "tengen/ShortcutMaze-v0": "tengen.envs.book:make",
        "tengen/SmallGridworld-v0": "tengen.envs.book:make",
        "tengen/TicTacToe-v0": "tengen.envs.tictactoe:make",
        "tengen/WindyGridworld-v0": "tengen.envs.book:make",
    },
    "planners": {
        "modified_policy_iteration": "tengen.planners.dp_config:ModifiedPolicyIteration",
        "policy_evaluation": "tengen.planners.dp_config:PolicyEvaluation",
        "policy_iteration": "tengen.planners.dp_config:PolicyIteration",
        "value_iteration": "tengen.planners.dp_config:ValueIteration",
    },
}

_ENV_FAMILIES = {"ALE/": "tengen.envs.atari:make", "MinAtar/": "tengen.envs.minatar:make"}
_ANY_OTHER_ENV = "tengen.envs.gymnasium_env:make"


@cache
def _plugins(kind: Kind) -> Mapping[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=f"tengen.{kind}")}


def names(kind: Kind) -> list[str]:
    """Return every registered name of a kind, sorted."""
    return sorted({*_BUILT_IN[kind], *_plugins(kind)})


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a plug-in does when it is imported
        if target.startswith("tengen.") and not isinstance(error, ImportError | AttributeError):
            raise
        raise UserError(f"the plug-in {target!r} can't be loaded: {error}") from error


def _config_class(target: str, methods: Sequence[str]) -> type[Any]:
    """Return a config class; UserError where a plug-in names something else."""
    found = _load(target)
    if isinstance(found, type) and is_dataclass(found) and all(hasattr(found, method) for method in methods):
        return found
    needed = " and ".join(f"{method}()" for method in methods)
    raise UserError(f"the plug-in {target!r} is no config class: it must be a dataclass with {needed}")


def _entry(kind: Kind, name: str) -> str | Variant | None:
    return _BUILT_IN[kind].get(name) or _plugins(kind).get(name)


def resolve_agent(name: str) -> tuple[type[Any], dict[str, Any]]:
    """Return an agent's config class and the fields that its name (a variant) changes.

    Raises:
        UserError: No agent has this name, or it can't be loaded.
    """
    entry = _entry("agents", name)
    if entry is None:
        known = names("agents")
        raise UserError(f"no agent is called {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    if isinstance(entry, Variant):
        config_class, changes = resolve_agent(entry.base)
        return config_class, {**changes, **entry.changes}
    return _config_class(entry, ("refusal", "build")), {}


def summarise_agent(name: str) -> str:
    """Return what an agent is: its variant's summary, or the whole docstring of its config class.

    Raises:
        UserError: No agent has this name, or it can't be loaded.
    """
    entry = _entry("agents", name)
    if isinstance(entry, Variant) and entry.summary:
        return entry.summary
    return str(resolve_agent(name)[0].__doc__ or "")


def resolve_env(env_id: str) -> Any:
    """Return the function `make(config, *, training)` of an environment id; ids we don't know are Gymnasium's."""
    entry = _entry("envs", env_id)
    if isinstance(entry, str):
        return _load(entry)
    for prefix, target in _ENV_FAMILIES.items():
        if env_id.startswith(prefix):
            return _load(target)
    return _load(_ANY_OTHER_ENV)


def resolve_planner(name: str) -> type[Any]:
    """Return a planner's config class.

    Raises:
        UserError: No planner has this name, or it can't be loaded.
    """
    entry = _entry("planners", name)
    if not isinstance(entry, str):
        known = names("planners")
        raise UserError(f"no planner is called {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    return _config_class(entry, ("plan",))

"""`tengen plan`: values and a policy from an environment's transition tables, saved as a run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tengen.cli.options import Command, Option, Parsed, asks_for_help, parse
from tengen.cli.train_command import default_folder, parse_table
from tengen.config import RunConfig, refuse_unsaved
from tengen.envs.config import EnvConfig
from tengen.errors import UserError
from tengen.registry import names, resolve_planner
from tengen.typed import default_values, field_docs, field_types, finite

if TYPE_CHECKING:
    from tengen.contracts import Environment
    from tengen.planners.dynamic_programming import Plan

_EXAMPLES = (
    "tengen plan value_iteration --env FrozenLake-v1",
    "tengen plan policy_iteration --env Taxi-v4 --planner.gamma 1 --run-dir runs/taxi",
    'tengen plan value_iteration --env FrozenLake-v1 --env.kwargs \'{"map_name": "8x8"}\' --json',
)
_OPTIONS = (
    Option("env", str, "An environment with transition tables: FrozenLake-v1, Taxi-v4, one from `tengen list envs`."),
    Option("env.action-mask", bool, 'Play by `info["action_mask"]` of a Gymnasium environment, too.', False),
    Option("env.kwargs", str, "Further keyword arguments of the environment's constructor.", "{}", "TABLE"),
    Option("run-dir", Path | None, "The run's own folder; runs/ENV/planned/TIME unless given.", None, "DIR"),
    Option("json", bool, "Print one JSON object.", False),
)

_MOST_BACKUPS = 1_000_000_000  # for the expected return: a few seconds


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    name = _planner_name(arguments)
    if name is None:  # help was asked for, of no planner in particular
        parse(_command(None), _OPTIONS, ["--help"])
        return 0
    options = [*_OPTIONS, *_planner_options(name)]
    parsed = parse(_command(name), options, arguments[1:])
    if parsed is None:
        return 0
    return _plan(name, parsed, ["tengen", "plan", *arguments])


def _plan(name: str, parsed: Parsed, command: Sequence[str]) -> int:
    from tengen.agents.planned.config import PlannedConfig

    given = parsed.values
    settings = {field: given[_option(field)] for field in field_types(resolve_planner(name))}
    kwargs = parse_table(given["env.kwargs"], "env.kwargs")
    refuse_unsaved(kwargs, "env", "kwargs")
    agent_config = PlannedConfig(name, settings)
    env_config = EnvConfig(given["env"], action_mask=given["env.action-mask"], kwargs=kwargs)
    config = RunConfig("planned", agent_config, env_config, steps=1, driver="python", log_episodes="each")
    folder: Path = given["run-dir"] or default_folder(config)

    from tengen.envs import make_env
    from tengen.run.folder import refuse_occupied
    from tengen.run.untrained import save_untrained

    refuse_occupied(folder)
    env = make_env(env_config, training=False)
    try:
        _require_tables(name, env)
        planner = agent_config.make_planner()
        compile_seconds = _compile(planner)
        plan: Plan = planner.plan(env.spec.model)
        summary = {"planner": name, **_report(env, plan), "compile_seconds": compile_seconds}
        agent = _agent(agent_config, env, plan)
        save_untrained(config, folder, agent, env, command=command, summary=summary)
    finally:
        env.close()
    _show(given["json"], folder, env_config, plan, summary)
    return 0


def _require_tables(name: str, env: Environment) -> None:
    """Refuse an environment that can't be planned in.

    Raises:
        UserError: It can't.
    """
    from tengen.agents.planned.table import numbering

    if env.spec.model is None:
        raise UserError(
            f"{env.spec.id} has no transition tables, which {name} plans with; environments that have: FrozenLake-v1,"
            " Taxi-v4, CliffWalking-v1, Blackjack-v1, and most of `tengen list envs`"
        )
    numbering(env.spec)


def _compile(planner: Any) -> float:
    """Let a planner compile its kernels, or read them from disk, on a world of one state; return the seconds."""
    from tengen.tables import tabulate

    began = time.perf_counter()
    planner.plan(tabulate(1, 1, lambda state, action: [(1.0, 0, 0.0, 0.0)], 0))
    return time.perf_counter() - began


def _agent(config: Any, env: Environment, plan: Plan) -> Any:
    """Return the agent that follows a plan."""
    import numpy as np

    from tengen.agents.planned.table import tabulate_plan

    agent = config.build(env.spec, np.random.default_rng(0), "cpu")
    agent.load_state_dict(tabulate_plan(env.spec, plan)._asdict())
    return agent


def _report(env: Environment, plan: Plan) -> dict[str, Any]:
    """Return what came out, as JSON values."""
    from tengen.planners.exact import expected_return

    tables, limit = env.spec.model, env.spec.max_episode_steps
    assert tables is not None
    affordable = limit is None or len(tables.probability) * limit <= _MOST_BACKUPS
    return {
        "states": tables.num_states,
        "actions": tables.num_actions,
        "start_value": float(tables.initial @ plan.v),
        "expected_return": expected_return(tables, plan.policy, limit) if affordable else None,
        "max_episode_steps": limit,
        "sweeps": plan.sweeps,
        "backups": plan.backups,
        "residual": plan.residual,
        "error_bound": plan.error_bound,
        "seconds": plan.seconds,
    }


def _show(as_json: bool, folder: Path, env_config: EnvConfig, plan: Plan, summary: Mapping[str, Any]) -> None:
    from tengen.cli.plan_pictures import SMALL, picture

    result = {"env": env_config.id, **summary, "run": str(folder)}
    if as_json:
        if len(plan.v) <= SMALL:
            result |= {"v": plan.v.tolist(), "policy": plan.policy.tolist()}
        print(json.dumps(finite(result)))
        return
    for key, value in result.items():
        print(f"{key:<22}{value:.6g}" if isinstance(value, float) else f"{key:<22}{'none' if value is None else value}")
    drawn = picture(env_config, plan)
    if drawn:
        print(f"\n{drawn}")
    print(f"`tengen evaluate {folder}` plays whole episodes by the plan", file=sys.stderr)


def _planner_name(arguments: Sequence[str]) -> str | None:
    """Return the planner's name; None when only help is asked for."""
    if arguments and not arguments[0].startswith("-"):
        resolve_planner(arguments[0])
        return arguments[0]
    if asks_for_help(arguments):
        return None
    raise UserError(f"say which planner, first of all: `{_EXAMPLES[0]}`. Planners: {', '.join(names('planners'))}")


def _planner_options(name: str) -> list[Option]:
    planner_class = resolve_planner(name)
    docs, defaults = field_docs(planner_class), default_values(planner_class)
    return [
        Option(_option(field), kind, docs.get(field, ""), defaults[field])
        for field, kind in field_types(planner_class).items()
    ]


def _option(field: str) -> str:
    return f"planner.{field.replace('_', '-')}"


def _command(name: str | None) -> Command:
    if name is None:
        about = f"PLANNER is one of: {', '.join(names('planners'))}. `tengen plan PLANNER --help` lists its settings."
        return Command(
            "tengen plan PLANNER", f"Plan with an environment's transition tables, and save a run. {about}", _EXAMPLES
        )
    about = " ".join((resolve_planner(name).__doc__ or "").split())
    return Command(f"tengen plan {name}", f"Plan by {name}: {about}", _EXAMPLES)

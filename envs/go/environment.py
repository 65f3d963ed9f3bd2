"""Go as an environment, `tengen/Go-v0`: thousands of games side by side, self-play or against a given opponent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from tengen.contracts import Environment, Simulator
from tengen.envs.config import EnvConfig
from tengen.envs.go.rules import Rules, named_rules
from tengen.envs.go.simulator import Go
from tengen.envs.opponent import AgainstOpponent
from tengen.envs.simulated import SimulatedEnvironment
from tengen.errors import UserError, did_you_mean

RULES_SETTINGS = tuple(field.name for field in fields(Rules))
"""Settings of an environment that are `Rules`' own."""

_SIDES = {"black": "first", "white": "second", "random": "random"}


def make(config: EnvConfig, *, training: bool) -> Environment:
    """Make games of Go. Training and evaluation are the same.

    Settings are the fields of `Rules`; `rules`, a named set that they change; `planes`, what is observed; and
    `opponent`, who plays the other side, with the agent's `color` ("black", "white", "random").

    Raises:
        UserError: It was given a protocol, or a setting is unknown or out of range.
    """
    config.refuse_protocol()
    settings = {name: value for name, value in config.kwargs.items() if (name, value) != ("render_mode", "rgb_array")}
    go, game = make_game(settings)
    # An agent alone can't be cut short: when the limit comes, a pass of either side ends the game.
    limit = go.rules.move_limit if game is go else None
    return SimulatedEnvironment(config.id, game, observation_space(go), config.num_envs, limit)


def make_game(settings: Mapping[str, Any]) -> tuple[Go, Simulator]:
    """Return the rules, and the simulator that is stepped: the same one, or one with an opponent in it.

    Raises:
        UserError: A setting is unknown or out of range.
    """
    known = [*RULES_SETTINGS, "rules", "planes", "opponent", "color"]
    for name in settings:
        if name not in known:
            raise UserError(f"Go has no setting {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    changes = {name: value for name, value in settings.items() if name in RULES_SETTINGS}
    rules = named_rules(settings["rules"], **changes) if "rules" in settings else Rules(**changes)
    go = Go(rules, settings.get("planes", "board"))
    opponent, color = settings.get("opponent"), settings.get("color", "random")
    if opponent is None:
        if "color" in settings:
            raise UserError(f"color={color!r} needs an opponent; without one the agent plays both sides")
        return go, go
    colors = list(_SIDES)
    if color not in colors:
        raise UserError(f"color must be one of {', '.join(colors)}, got {color!r}.{did_you_mean(str(color), colors)}")
    side = _SIDES[color]
    if rules.handicap and not rules.free_handicap:  # white moves first
        side = {"first": "second", "second": "first", "random": "random"}[side]
    return go, AgainstOpponent(go, opponent, side)


def observation_space(go: Go) -> gym.Space[Any]:
    """Return the space of one row of what a game shows."""
    seen = go.observe(go.init(np.random.default_rng(0), 1))
    return Box(-1 if go.planes == "board" else 0, 1, seen.shape[1:], seen.dtype.type)

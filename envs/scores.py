"""Human-normalised Atari scores: 0 is random play, 1 a human tester.

Human scores exist for two conditions, games of up to 5 and of up to 30 minutes (Alien: 6875 and 7127.7), so a result
always names its table. Standard library only.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from tengen.errors import UserError, did_you_mean

DEFAULT_TABLE = "dqn_zoo_30min"
_FILES = {"dqn_zoo_30min": "atari_random_human_30min.json"}


@cache
def score_table(table: str = DEFAULT_TABLE) -> dict[str, Any]:
    """Return a table: `name`, `source`, `licence`, `condition`, and `scores` by environment id (`random`, `human`).

    Raises:
        UserError: No table has this name.
    """
    if table not in _FILES:
        known = sorted(_FILES)
        raise UserError(f"no score table is called {table!r}.{did_you_mean(table, known)} Known: {', '.join(known)}.")
    text = (resources.files("tengen.presets") / "scores" / _FILES[table]).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def score_table_name(env_id: str) -> str | None:
    """Return the name of the table that `human_normalized` takes for an environment, None where it has no scores."""
    return DEFAULT_TABLE if env_id in score_table()["scores"] else None


def human_normalized(env_id: str, score: float, table: str = DEFAULT_TABLE) -> float | None:
    """Return (score - random) / (human - random), or None for an environment that the table does not have.

    Args:
        env_id: As in `ALE/Breakout-v5`.
        score: The game's own score of a whole game, or a mean of such.
        table: The name of the table.

    Raises:
        UserError: No table has this name.
    """
    entry = score_table(table)["scores"].get(env_id)
    if entry is None:
        return None
    return float((score - entry["random"]) / (entry["human"] - entry["random"]))


def report_terms(env: Any, env_id: str, mean: float, epsilon: float) -> dict[str, Any]:
    """Return what is reported beside a mean return: `human_normalized_mean`, `score_table`, `protocol`.

    Args:
        env: The environment; without a protocol there is nothing more to report.
        env_id: As in `ALE/Breakout-v5`.
        mean: The mean return of whole games.
        epsilon: The probability of a random action that was played with.
    """
    protocol = getattr(env, "protocol_name", None)
    if protocol is None:
        return {}
    if epsilon != env.evaluation_epsilon:
        protocol += f" (evaluation_epsilon={epsilon:g})"
    return {
        "human_normalized_mean": human_normalized(env_id, mean),
        "score_table": score_table_name(env_id),
        "protocol": protocol,
    }

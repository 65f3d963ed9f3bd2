"""A run as a comparison reads it: from the files that `tengen train` leaves in its folder, building nothing.

What decides a comparison are the rows `eval/return_mean`: whole episodes played by the run's policy, apart from
training. The return of training's own episodes, explorations included, is kept beside and never compared.

P points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tengen.errors import UserError
from tengen.tracking.jsonl import METRICS_FILE, read_metrics
from tengen.tracking.rows import STEP_KEY, TIME_KEY, Row
from tengen.types import Floats, Ints

SCORE = "eval/return_mean"
TRAINING_SCORE = "charts/episodic_return"
_RATE = "charts/SPS"
_FILMS = (".gif", ".mp4")


@dataclass(frozen=True)
class Curve:
    """Scores and when they were measured."""

    steps: Ints  # [P], decisions summed over environments, increasing
    seconds: Floats  # [P], since training began, evaluations included; NaN where nothing says how fast it went
    scores: Floats  # [P]


@dataclass(frozen=True)
class FinishedRun:
    """What came out of one run, and all that made it so."""

    folder: Path
    agent: str
    env: str
    seed: int
    steps: int
    """Decisions it was trained for."""
    settings: Mapping[str, Any]
    """Every setting by its dotted name, the seed among them."""
    protocol: Mapping[str, Any] | None
    """Each knob of the environment's protocol, its name among them; None where it has none."""
    versions: Mapping[str, str]
    command: Sequence[str]
    """The command line that started it."""
    sessions: int
    """1 where it was never interrupted."""
    evaluations: Curve
    """Means over the evaluation's episodes."""
    training: Curve
    """Returns of training's own episodes."""
    films: Sequence[Path]
    """Oldest first."""

    @property
    def protocol_name(self) -> str | None:
        """The name of its protocol."""
        return None if self.protocol is None else str(self.protocol.get("name", "unnamed"))


def read_run(folder: Path) -> FinishedRun:
    """Read a run that has done all its steps.

    Raises:
        UserError: It is no run, is damaged, is not finished, or was never evaluated; the message says which.
    """
    config = _object(folder / "config.json")
    if config.get("format") != 1:
        raise UserError(f"its config.json has the format {config.get('format')!r}, expected 1")
    agent, env, seed, steps = _identity(config)
    if config.get("num_runs", 1) != 1:
        raise UserError(f"it holds means over {config['num_runs']} repetitions (--num-runs): train each seed by itself")
    _check_finished(folder, steps)
    sessions = _json(folder / "sessions.json")
    if not isinstance(sessions, list) or not sessions or not all(map(_is_session, sessions)):
        raise UserError("its sessions.json is damaged: no list of sessions")
    rows = read_metrics(folder / METRICS_FILE)
    clock = _Clock(rows, sessions)
    evaluations = _curve(rows, SCORE, clock)
    if not len(evaluations.steps):
        raise UserError("it was never evaluated: train it with --eval-period")
    if not np.isfinite(evaluations.scores).all():
        raise UserError("an evaluation's return is not a finite number")
    return FinishedRun(
        folder=folder,
        agent=agent,
        env=env,
        seed=seed,
        steps=steps,
        settings=dict(_flat({name: value for name, value in config.items() if name not in ("format", "agent")})),
        protocol=_protocol(sessions[-1]),
        versions=dict(sessions[-1].get("versions", {})),
        command=[str(word) for word in sessions[0].get("command", [])],
        sessions=len(sessions),
        evaluations=evaluations,
        training=_curve(rows, TRAINING_SCORE, clock),
        films=sorted(path for path in folder.glob("videos/*") if path.suffix in _FILMS),
    )


def _is_session(value: Any) -> bool:
    kinds = {"from_step": int, "command": list, "versions": dict, "protocol": dict}
    return isinstance(value, dict) and all(isinstance(value.get(name, kind()), kind) for name, kind in kinds.items())


def _protocol(session: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a session's protocol; a knob that came later has its default in older runs, which are of the same task."""
    protocol = session.get("protocol")
    return {"wrappers": "ale", **protocol} if isinstance(protocol, dict) and "frame_skip" in protocol else protocol


def _identity(config: Mapping[str, Any]) -> tuple[str, str, int, int]:
    env = config.get("env")
    found = (config.get("agent"), env.get("id") if isinstance(env, dict) else None, *map(config.get, ("seed", "steps")))
    agent, env_id, seed, steps = found
    if not (isinstance(agent, str) and isinstance(env_id, str) and isinstance(seed, int) and isinstance(steps, int)):
        raise UserError("its config.json is damaged: agent, env.id, seed and steps are needed")
    return agent, env_id, seed, steps


def _check_finished(folder: Path, steps: int) -> None:
    if not (folder / "summary.json").exists():
        raise UserError(f"it is not finished: resume it by `tengen train --resume {folder}`")
    done = _object(folder / "summary.json").get("step")
    if not isinstance(done, int):
        raise UserError("its summary.json is damaged: no step")
    if done < steps:
        raise UserError(
            f"it is not finished, {done:,} of {steps:,} steps: resume it by `tengen train --resume {folder}`"
        )


def _object(path: Path) -> dict[str, Any]:
    value = _json(path)
    if not isinstance(value, dict):
        raise UserError(f"its {path.name} is damaged: no JSON object")
    return value


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"it has no {path.name}") from error
    except OSError as error:
        raise UserError(f"its {path.name} can't be read: {error.strerror or error}") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise UserError(f"its {path.name} is damaged: {error}") from error


def _curve(rows: Sequence[Row], name: str, clock: _Clock) -> Curve:
    """Return a metric; where it has several rows of one step, the last, as evaluations that were made up for have."""
    by_step = {row[STEP_KEY]: float(row[name]) for row in rows if isinstance(row.get(name), int | float)}
    steps = np.array(sorted(by_step), np.int64)
    return Curve(steps, clock.seconds(steps), np.array([by_step[step] for step in steps.tolist()], float))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by the names of their options: `agent.gamma`, `env.num_envs`."""
    for name, value in values.items():
        place = prefix + ("agent" if name == "agent_config" else name)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, place + ".")
        else:
            yield place, value


class _Clock:
    """Seconds of training up to a step: each evaluation's own time, or in older runs what the rates in the rows say.

    What a killed session did after its last checkpoint is not in the rows, and so not in the time.
    """

    def __init__(self, rows: Sequence[Row], sessions: Sequence[Mapping[str, Any]]) -> None:
        evaluations = [row for row in rows if isinstance(row.get(SCORE), int | float)]
        timed = [row for row in evaluations if isinstance(row.get(TIME_KEY), int | float)]
        known = {0: 0.0} | {row[STEP_KEY]: float(row[TIME_KEY]) for row in timed}
        if len(timed) < len(evaluations):
            known = self._by_rates(rows, sessions)
        self._steps = np.array(sorted(known), float)
        self._seconds = np.maximum.accumulate([known[step] for step in sorted(known)])

    @staticmethod
    def _by_rates(rows: Sequence[Row], sessions: Sequence[Mapping[str, Any]]) -> dict[int, float]:
        """Return the time at steps whose rows have a rate: steps a second since the session began."""
        starts = [int(session.get("from_step", 0)) for session in sessions]
        known: dict[int, float] = {0: 0.0}
        spent = 0.0
        for k, start in enumerate(starts):
            stop = min([*starts[k + 1 :], 1 << 62])
            own = {
                row[STEP_KEY]: (row[STEP_KEY] - start) / row[_RATE]
                for row in rows
                if start < row[STEP_KEY] <= stop and isinstance(row.get(_RATE), int | float) and row[_RATE] > 0
            }
            known |= {step: spent + seconds for step, seconds in own.items()}
            spent = max([spent, *(spent + seconds for seconds in own.values())])
        return known

    def seconds(self, steps: Ints) -> Floats:
        """Return the time at each step [P], in a straight line between rows."""
        if len(self._steps) < 2:
            return np.full(len(steps), np.nan)
        found = np.interp(steps, self._steps, self._seconds)
        beyond = steps > self._steps[-1]  # at the last rate
        last_rate = self._seconds[-1] / self._steps[-1]
        return np.asarray(np.where(beyond, self._seconds[-1] + (steps - self._steps[-1]) * last_rate, found))

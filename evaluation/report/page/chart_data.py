"""What the page's script draws: the numbers of `results.json`, thinned to what a screen can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_POINTS = 240  # of a mean and its interval
_SEED_POINTS = 120  # of each run's own line
_TRAINING_POINTS = 80


def chart_data(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of all charts; agents are numbers, places in `agents`."""
    places = {name: k for k, name in enumerate(found["agents"])}
    return {
        "agents": found["agents"],
        "tasks": [_task(task, places) for task in found["tasks"]],
        "aggregate": _aggregate(found["aggregate"], places) if found["aggregate"] else None,
    }


def _task(task: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    lines = [{"y": score, "name": name} for name, score in task["references"].items()]
    if task["threshold"] is not None and task["threshold"] not in task["references"].values():
        lines.append({"y": task["threshold"], "name": "threshold"})
    return {
        "name": task["name"],
        "references": lines,
        "thresholds": _short(task["profile_thresholds"]),
        "profileLabel": "final return",
        "agents": [_agent(agent, places) for agent in task["agents"]],
        "pairs": _pairs(task["pairs"], places),
    }


def _agent(agent: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    time = agent["time_curve"]
    return {
        "agent": places[agent["name"]],
        "score": _short(agent["scores"]["mean"]),
        "curve": _curve(agent["curve"], "steps"),
        "time": _curve(time, "seconds") if time else None,
        "profile": _interval(agent["profile"], "value"),
        "runs": [_run(run) for run in agent["runs"]],
        "training": _training([run["training"] for run in agent["runs"]]),
    }


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    curve = run["curve"]
    kept = thinned(len(curve["steps"]), _SEED_POINTS)
    known = all(value is not None for value in curve["seconds"])
    return {
        "seed": run["seed"],
        "score": run["score"],
        "steps": _picked(curve["steps"], kept),
        "scores": _short(_picked(curve["scores"], kept)),
        "seconds": _short(_picked(curve["seconds"], kept)) if known else [],
    }


def _line(steps: Sequence[Any], returns: Sequence[Any]) -> dict[str, Any]:
    kept = thinned(len(steps), _TRAINING_POINTS)
    return {"x": _picked(steps, kept), "y": _short(_picked(returns, kept))}


def _training(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each run's line, and their mean where all have one."""
    known = [run for run in runs if run["steps"]]
    start = max((run["steps"][0] for run in known), default=0)
    stop = min((run["steps"][-1] for run in known), default=0)
    if len(known) < len(runs) or start >= stop:
        return {"mean": {"x": [], "y": []}, "runs": []}
    grid = np.linspace(start, stop, _TRAINING_POINTS).round()
    mean = np.mean([np.interp(grid, run["steps"], run["returns"]) for run in known], axis=0)
    lines = [_line(run["steps"], run["returns"]) for run in known]
    return {"mean": {"x": [int(step) for step in grid], "y": _short(mean.tolist())}, "runs": lines}


def _aggregate(whole: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    agents = [
        {
            "agent": places[agent["name"]],
            "profile": _interval(agent["profile"], "value"),
            "curve": _curve({**agent["curve"], "mean": agent["curve"]["iqm"]}, "part") if agent["curve"] else None,
        }
        for agent in whole["agents"]
    ]
    return {
        "name": "all tasks",
        "thresholds": _short(whole["profile_thresholds"]),
        "profileLabel": "normalised final score",
        "agents": agents,
        "pairs": _pairs(whole["pairs"], places),
    }


def _pairs(pairs: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "a": places[pair["a"]],
            "b": places[pair["b"]],
            "difference": _short(pair["difference"]),
            "separated": pair["separated"],
        }
        for pair in pairs
    ]


def _curve(curve: Mapping[str, Any], axis: str) -> dict[str, Any]:
    kept = thinned(len(curve[axis]), _POINTS)
    points = {key: _short(_picked(curve[key], kept)) for key in ("mean", "low", "high")}
    return {"x": _picked(curve[axis], kept), **points}


def _interval(points: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"mean": _short(points[name]), "low": _short(points["low"]), "high": _short(points["high"])}


def thinned(size: int, most: int) -> list[int]:
    """Return which of a number of points are kept: evenly spread, the first and the last among them."""
    if size <= most:
        return list(range(size))
    return [round(k * (size - 1) / (most - 1)) for k in range(most)]


def _picked(values: Sequence[Any], kept: Sequence[int]) -> list[Any]:
    return [values[k] for k in kept]


def _short(values: Sequence[Any]) -> list[Any]:
    """Return numbers with 4 digits, which is what a chart can show."""
    found = []
    for value in values:
        short = float(f"{value:.4g}")
        found.append(int(short) if short == int(short) else short)
    return found

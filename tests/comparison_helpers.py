"""Folders of runs as `tengen train` leaves them, written without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PROTOCOL = {"name": "nature2015", "reference": "Mnih et al. 2015", "sticky_action_probability": 0.0, "frame_skip": 4}


def write_run(
    folder: Path,
    agent: str = "dqn",
    seed: int = 0,
    scores: Sequence[float] = (10.0, 20.0, 30.0),
    *,
    env: str = "CartPole-v1",
    period: int = 1_000,
    rate: float = 500.0,
    times: Sequence[float] = (),
    done: int | None = None,
    settings: Mapping[str, Any] | None = None,
    agent_config: Mapping[str, Any] | None = None,
    protocol: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    film: bool = False,
) -> Path:
    """Write a run that was evaluated every `period` steps, and return its folder.

    Args:
        folder: Its folder.
        agent: Its agent.
        seed: Its seed.
        scores: Of the evaluations, first to last.
        env: Its environment.
        period: Steps between evaluations.
        rate: Steps a second.
        times: Of the first evaluations, as runs of this version have them.
        done: Steps done; all unless given.
        settings: Further settings in config.json.
        agent_config: The agent's.
        protocol: As sessions.json has it.
        versions: As sessions.json has them.
        film: Whether a small GIF lies in the folder.
    """
    folder.mkdir(parents=True)
    steps = len(scores) * period
    config = {
        "format": 1,
        "agent": agent,
        "agent_config": dict(agent_config or {"gamma": 0.99}),
        "env": {"id": env, "num_envs": 1, "protocol": None, "action_mask": False, "kwargs": {}},
        "steps": steps,
        "seed": seed,
        "device": "cpu",
        "threads": 1,
        "eval_period": period,
        "eval_episodes": 10,
        "num_runs": 1,
        **(settings or {}),
    }
    session: dict[str, Any] = {
        "command": ["tengen", "train", agent, "--env", env, "--seed", str(seed)],
        "versions": dict(versions or {"python": "3.11.7", "tengen": "0.1.0"}),
        "from_step": 0,
    }
    if protocol is not None:
        session["protocol"] = dict(protocol)
    rows: list[dict[str, Any]] = []
    for k, score in enumerate(scores):
        step = (k + 1) * period
        rows.append({"global_step": step - period // 2, "charts/episodic_return": score / 2})
        rows.append({"global_step": step, "charts/SPS": rate})
        rows.append({"global_step": step, "eval/return_mean": score} | ({"time": times[k]} if k < len(times) else {}))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "sessions.json").write_text(json.dumps([session]))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "summary.json").write_text(json.dumps({"step": steps if done is None else done, "steps": steps}))
    if film:
        (folder / "videos").mkdir()
        frames = [Image.fromarray(np.full((40, 60, 3), shade, np.uint8)) for shade in (40, 120, 200)]
        frames[0].save(folder / "videos" / "step_000003000.gif", save_all=True, append_images=frames[1:])
    return folder


def learning_curve(
    rng: np.random.Generator, points: int, final: float, noise: float, start: float = 10.0
) -> list[float]:
    """Return scores that rise from a start to an end, and shake."""
    rise = 1 / (1 + np.exp(-8 * (np.linspace(0, 1, points) - rng.uniform(0.25, 0.45))))
    shaken = start + (final - start) * rise + rng.normal(0, noise, points) * (0.2 + rise)
    return [round(float(score), 3) for score in np.maximum(shaken, 0)]

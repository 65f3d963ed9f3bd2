"""Films of the median run of each agent, for a comparison's page."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tengen.errors import UserError
from tengen.evaluate import evaluation_seed
from tengen.evaluation.comparison.comparison import Comparison
from tengen.evaluation.comparison.final_scores import final_score, median_run
from tengen.evaluation.comparison.finished import FinishedRun
from tengen.evaluation.report.films import MOST_BYTES, Film
from tengen.run import load_policy, open_run
from tengen.video import drawing_kwargs, film

_MOST_PICTURES = 600


def film_median_runs(comparison: Comparison, message: Callable[[str], None]) -> list[Film]:
    """Return a film of the median run of each agent on each task; those that are missing are made.

    What can't be filmed is left out, and said.
    """
    for name in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):  # else pygame complains where there is no screen or sound card
        os.environ.setdefault(name, "dummy")
    films = []
    for task in comparison.tasks:
        for agent in comparison.agents_on(task.name):
            runs = comparison.runs(task.name, agent)
            budget = comparison.budget(task.name)
            run = runs[median_run(np.array([final_score(run, budget) for run in runs]))]
            try:
                path = _film(run)
            except UserError as error:
                message(f"no film of {agent} on {task.name}: {error}")
            except Exception as error:  # whatever a renderer may raise; a comparison can do without
                message(f"no film of {agent} on {task.name}: {type(error).__name__}: {error}")
            else:
                films.append(Film(task.name, agent, run.seed, path))
    return films


def _film(run: FinishedRun) -> Path:
    """Return the film of a run's last policy, made now where it is missing; cut to what a page can hold."""
    path = run.folder / "videos" / f"final_{run.steps:09d}.gif"
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    opened = open_run(run.folder)
    draft = path.with_name(f"draft-{path.name}")
    pictures = _MOST_PICTURES
    try:
        for _ in range(3):
            loaded = load_policy(opened, num_envs=1, env_kwargs=drawing_kwargs(run.env))
            left = iter(range(pictures))
            with contextlib.closing(loaded.env) as env:
                epsilon = float(getattr(env, "evaluation_epsilon", 0.0))
                film(
                    loaded.policy,
                    env,
                    draft,
                    seed=evaluation_seed(run.seed),
                    epsilon=epsilon,
                    should_stop=lambda left=left: next(left, None) is None,  # type: ignore[misc]  # bound at once
                )
            size = draft.stat().st_size
            if size <= MOST_BYTES:
                break
            pictures = max(1, int(0.9 * pictures * MOST_BYTES / size))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path

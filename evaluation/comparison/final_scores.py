"""The scores of finished runs by which agents are compared.

R runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tengen.errors import UserError
from tengen.evaluation.comparison.finished import FinishedRun
from tengen.types import Floats


def final_score(run: FinishedRun, budget: int) -> float:
    """Return the score of the last evaluation up to a number of steps, to within one step of all environments.

    Raises:
        UserError: There is none.
    """
    reach = budget + int(run.settings.get("env.num_envs", 1))
    (within,) = np.nonzero(run.evaluations.steps < reach)
    if not len(within):
        raise UserError(
            f"{run.folder} was not evaluated within the {budget:,} steps that all runs have, first at step"
            f" {int(run.evaluations.steps[0]):,}: leave it out, or compare runs that were evaluated more often"
        )
    return float(run.evaluations.scores[within[-1]])


def median_run(scores: Floats) -> int:
    """Return which run is in the middle; of an even number the worse of the two."""
    return int(np.argsort(scores, kind="stable")[(len(scores) - 1) // 2])


def paired_differences(
    a: Sequence[FinishedRun], b: Sequence[FinishedRun], scores_a: Floats, scores_b: Floats
) -> Floats | None:
    """Return the differences of the seeds that both have [R, 1]; None without any."""
    of_b = dict(zip([run.seed for run in b], scores_b.tolist(), strict=True))
    both = [score - of_b[run.seed] for run, score in zip(a, scores_a.tolist(), strict=True) if run.seed in of_b]
    return np.array(both)[:, None] if both else None


def all_pairs(agents: Sequence[str]) -> list[tuple[str, str]]:
    """Return each pair of agents once, in their order."""
    return [(a, b) for k, a in enumerate(agents) for b in agents[k + 1 :]]

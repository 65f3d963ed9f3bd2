"""What C51 says of a support that returns don't fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dqn_parts_helpers import SPEC, build_dqn, random_batch

from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.support import CLIPPED_SHARE, SupportWatch
from tengen.config import RunConfig
from tengen.envs.config import EnvConfig
from tengen.run import train

MUCH, LITTLE = {CLIPPED_SHARE: 0.6}, {CLIPPED_SHARE: 0.2}


@pytest.mark.parametrize("far", [10.0, -10.0])
@pytest.mark.parametrize("backend", ["torch", "by_hand"])
def test_the_clipped_share_is_that_of_the_atoms_that_land_beyond_the_ends(backend: str, far: float) -> None:
    fields: dict[str, Any] = {"distribution": "categorical", "num_atoms": 5, "v_min": -2.0, "v_max": 2.0}
    learner = build_dqn(backend=backend, **fields).learner
    batch = random_batch(4)
    batch.reward[:] = far, 0.0, -1.5, 2.0
    batch.bootstrap[:] = 0.9, 0.9, 0.0, 0.0
    learnt = learner.update(batch, 0)
    assert float(learnt.metrics[CLIPPED_SHARE]) == pytest.approx(0.25)  # all of the first, and of the others nothing


@pytest.mark.parametrize("distribution", ["none", "quantile"])
def test_without_a_support_there_is_no_share_of_it(distribution: str) -> None:
    learner = build_dqn(distribution=distribution, num_quantiles=3).learner
    assert CLIPPED_SHARE not in learner.update(random_batch(), 0).metrics


def watch(**fields: Any) -> SupportWatch:
    own = SupportWatch(-10.0, 10.0, **{"gamma": 0.99, "alternates": False, "in_deviations": False, **fields})
    own.see(np.array([-1.0, 0.0]))
    return own


def test_a_watch_remarks_once_after_three_rows_on_end_with_much_beyond_the_support() -> None:
    own = watch()
    remarks = [own.remark(row) for row in (MUCH, MUCH, LITTLE, MUCH, {}, MUCH, MUCH, MUCH)]
    assert [remark is not None for remark in remarks] == [False] * 6 + [True, False]
    assert remarks[6] == (
        "60% of the targets' probability lies beyond the support of C51 and is clipped to it: agent.v_min -10, "
        "agent.v_max 10; rewards so far are from -1 to 0, which by gamma keeps returns within "
        "--agent.v-min=-100 --agent.v-max=0"
    )


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"alternates": True}, "--agent.v-min=-100 --agent.v-max=100"),
        ({"gamma": 1.0}, "rewards so far are from -1 to 0: widen it by --agent.v-min and --agent.v-max"),
        ({"in_deviations": True}, "(in Pop-Art's deviations); widen it by --agent.v-min and --agent.v-max"),
    ],
)
def test_a_watch_advises_what_it_can_know(fields: dict[str, Any], advice: str) -> None:
    own = watch(**fields)
    remark = [own.remark(MUCH) for _ in range(3)][-1]
    assert remark is not None
    assert remark.endswith(advice)


def test_only_c51_has_a_watch() -> None:
    assert build_dqn(SPEC, distribution="categorical").watch is not None
    assert build_dqn(SPEC, distribution="quantile").remark(MUCH) is None


@pytest.mark.parametrize(("v_min", "warnings"), [(-0.5, 1), (-10.0, 0)])
def test_a_run_warns_once_of_a_support_that_returns_leave(
    v_min: float, warnings: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields: dict[str, Any] = {"distribution": "categorical", "v_min": v_min, "v_max": 0.5, "gamma": 0.9}
    agent = DQNConfig(hidden=(8,), learn_start=20, batch_size=8, num_atoms=11, **fields)
    train(RunConfig("dqn", agent, EnvConfig("Acrobot-v1"), 200, log_period=20, checkpoint_period=0), tmp_path / "run")
    assert capsys.readouterr().err.count("warning: ") == warnings

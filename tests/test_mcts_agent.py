"""The agent that searches: what it takes, what it plays, and that it needs no learning to win."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tengen.agents.mcts.agent import MCTSAgent, MCTSPolicy
from tengen.agents.mcts.config import MCTSConfig
from tengen.contracts import Agent, Policy
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.registry import resolve_agent
from tengen.types import EnvSpec

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled


def a_spec(env_id: str) -> EnvSpec:
    return make_env(EnvConfig(env_id), training=True).spec


def agent(env_id: str = "tengen/TicTacToe-v0", seed: int = 0, **settings: object) -> Agent:
    return MCTSConfig(**settings).build(a_spec(env_id), np.random.default_rng(seed), "cpu")  # type: ignore[arg-type]


def test_it_is_registered_and_meets_the_contract() -> None:
    assert resolve_agent("mcts") == (MCTSConfig, {})
    assert isinstance(agent(), Agent)
    assert isinstance(agent().policy(), Policy)


def test_it_takes_environments_with_rules_and_refuses_others() -> None:
    for env_id in ("tengen/TicTacToe-v0", "tengen/ConnectFour-v0"):
        assert MCTSConfig.refusal(a_spec(env_id)) is None
    refusal = MCTSConfig.refusal(a_spec("CartPole-v1"))
    assert refusal == "mcts needs an environment whose rules can be searched (a simulator), CartPole-v1 has none"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"simulations": 0}, "agent.simulations must be at least 1, got 0"),
        ({"seconds": 0.0}, "agent.seconds must be greater than 0 and finite, or none, got 0"),
        ({"exploration": -1.0}, "exploration of a search must be 0 or more, and finite, got -1"),
        ({"rule": "puct", "rave": 100.0}, "rave_equivalence is for the rule uct, got 100 with puct"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as refused:
        MCTSConfig(**settings)  # type: ignore[arg-type]
    assert str(refused.value) == message


def test_it_wins_where_it_can_and_blocks_where_it_must() -> None:
    env = make_env(EnvConfig("tengen/TicTacToe-v0", num_envs=2), training=True)
    step = env.reset(0)
    for actions in ([0, 0], [3, 1], [1, 4]):
        step = env.step(np.array(actions))
    acting = agent(simulations=300)
    decision = acting.act(step)
    # row 0: X has 0 and 1 and O must take 2; row 1: X has 0 and 4 and O must take 8
    assert decision.actions.tolist() == [2, 8]
    assert decision.extras["policy"].shape == (2, 9)
    np.testing.assert_allclose(decision.extras["policy"].sum(axis=1), 1, rtol=1e-5)


def test_a_restored_agent_goes_on_exactly() -> None:
    env = make_env(EnvConfig("tengen/ConnectFour-v0", num_envs=3), training=True)
    step = env.reset(0)
    one, other = agent("tengen/ConnectFour-v0"), agent("tengen/ConnectFour-v0", seed=5)
    one.act(step)
    other.load_state_dict(one.state_dict())
    for _ in range(2):
        first, second = one.act(step), other.act(step)
        np.testing.assert_array_equal(first.extras["policy"], second.extras["policy"])


def test_a_time_limit_takes_the_place_of_a_number_of_simulations() -> None:
    acting = agent(seconds=0.05)
    assert isinstance(acting, MCTSAgent)
    env = make_env(EnvConfig("tengen/TicTacToe-v0"), training=True)
    assert isinstance(acting.policy(), MCTSPolicy)
    assert acting.policy().search(env.reset(0), np.random.default_rng(0)).num_simulations >= 1


def test_it_beats_random_moves_at_connect_four() -> None:
    """Of 60 games, colours alternating, it wins more than 95%."""
    env = make_env(EnvConfig("tengen/ConnectFour-v0", num_envs=60), training=False)
    policy = agent("tengen/ConnectFour-v0", simulations=100).policy()
    rng = np.random.default_rng(1)
    step, alive, wins = env.reset(0), np.ones(60, np.bool_), 0
    ours = np.arange(60) % 2 == 0
    while alive.any():
        assert step.legal is not None
        anything = np.array([rng.choice(np.flatnonzero(legal)) for legal in step.legal])
        step = env.step(np.where(ours, policy.act(step, rng), anything))
        wins += int((alive & step.last & ours & (step.reward > 0)).sum())
        alive &= ~step.last
        step = env.reset_done()
        ours = ~ours
    assert wins > 0.95 * 60


def test_its_config_needs_the_standard_library_only() -> None:
    code = (
        "import sys, tengen.agents.mcts.config as c; c.MCTSConfig();"
        "print({'numpy', 'gymnasium', 'torch', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""Q-learning by its presets: optimal in worlds with tables, and unbeatable at tic-tac-toe after self-play."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tengen.cli import main
from tengen.contracts import Policy
from tengen.envs.tictactoe import TicTacToe
from tengen.run import load_policy, open_run
from tengen.types import Array, Bools, TimeStep

RNG = np.random.default_rng(0)  # the game and a greedy policy draw nothing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "gamma", "q_star"),
    [
        ("FrozenLake-v1", "0.99", 0.7402),
        ("FrozenLake8x8-v1", "0.99", 0.863),
        ("FrozenLake8x8-v1", "0.999", 0.886),
        ("Taxi-v4", "0.99", 7.93),
        ("CliffWalking-v1", "0.99", -13.0),
    ],
)
def test_a_trained_policy_returns_what_the_one_greedy_on_q_star_does(
    env: str, gamma: str, q_star: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "q_learning", "--env", env, "--agent.gamma", gamma, "--run-dir", str(run)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--episodes", "1000", "--seed", "1000", "--num-envs", "8", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    error = result["return_std"] / math.sqrt(1000)
    assert result["q_star_return"] == pytest.approx(q_star, abs=6e-4 if abs(q_star) < 1 else 6e-3)
    assert abs(result["return_mean"] - result["q_star_return"]) <= 3 * error
    assert abs(result["return_mean"] - result["expected_return"]) <= 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_after_self_play_it_never_loses_whatever_the_reply(seed: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "q_learning", "--env", "tengen/TicTacToe-v0", "--seed", seed, "--run-dir", str(run)]) == 0
    loaded = load_policy(open_run(run))
    loaded.env.close()
    first, second = outcomes(loaded.policy, moves_first=True), outcomes(loaded.policy, moves_first=False)
    assert first["lost"] == second["lost"] == 0
    assert min(first["won"], second["won"]) > 0, "some replies are mistakes"


def test_a_policy_that_can_be_beaten_is_found_out() -> None:
    class FirstSquare:
        def act(self, step: TimeStep, rng: np.random.Generator) -> Array:
            assert step.legal is not None
            actions: Array = step.legal.argmax(1)
            return actions

    assert outcomes(FirstSquare(), moves_first=False)["lost"] > 0
    assert outcomes(FirstSquare(), moves_first=True)["lost"] > 0


def outcomes(policy: Policy, *, moves_first: bool) -> dict[str, int]:
    """Play a policy against every reply, and count how its games end."""
    game = TicTacToe()
    boards = game.init(RNG, 1)
    count = {"won": 0, "drawn": 0, "lost": 0}
    its_turn = moves_first
    while len(boards):
        legal = game.legal(boards)
        parents = np.arange(len(boards))
        if its_turn:
            actions = policy.act(shown(game.observe(boards), legal), RNG)
            assert legal[parents, actions].all()
        else:
            parents, actions = np.nonzero(legal)
        boards, reward, discount = game.step(boards[parents], actions, RNG)
        over = discount == 0
        count["won" if its_turn else "lost"] += int((reward[over] > 0).sum())
        count["drawn"] += int((reward[over] == 0).sum())
        boards, its_turn = boards[~over], not its_turn
    return count


def shown(observation: Array, legal: Bools) -> TimeStep:
    """Return what a policy sees of boards."""
    nothing, no = np.zeros(len(legal)), np.zeros(len(legal), np.bool_)
    return TimeStep(observation, nothing, nothing + 1.0, no, no, legal)

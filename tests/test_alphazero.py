"""AlphaZero: what it makes of games, its update, exact resume, and what it learns of tic-tac-toe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from run_helpers import digest, in_two

from tengen.agents.alphazero import AlphaZero, AlphaZeroConfig
from tengen.agents.alphazero.agent import Plan
from tengen.agents.alphazero.games import Games
from tengen.config import RunConfig
from tengen.envs import EnvConfig, make_env
from tengen.envs.tictactoe import TicTacToe
from tengen.errors import UserError
from tengen.loop import interact
from tengen.perception.network_file import make_network
from tengen.replay.positions import Positions
from tengen.run import train
from tengen.testing import check_agent
from tengen.types import Array, Decision, EnvSpec, Floats, TimeStep

TICTACTOE = "tengen/TicTacToe-v0"
RULES = TicTacToe()


def spec_of(num_envs: int = 1) -> EnvSpec:
    return make_env(EnvConfig(TICTACTOE, num_envs), training=True).spec


def small(**fields: Any) -> AlphaZeroConfig:
    settings = {"simulations": 4, "hidden": (16,), "learn_start": 20, "batch_size": 8, "learn_period": 8}
    return AlphaZeroConfig(**{**settings, "replay_capacity": 200, **fields})


def agent_of(num_envs: int = 1, **fields: Any) -> AlphaZero:
    return small(**fields).build(spec_of(num_envs), np.random.default_rng(0), "cpu")


def step_of(
    number: int, reward: float = 0.0, discount: float = -1.0, *, last: bool = False, first: bool = False
) -> TimeStep:
    observation = np.full((1, 9), number, np.float32)
    return TimeStep(observation, np.array([reward]), np.array([discount]), np.array([first]), np.array([last]))


def play(games: Games, rewards: list[float], discounts: list[float]) -> None:
    for t, (reward, discount) in enumerate(zip(rewards, discounts, strict=True)):
        last = t == len(rewards) - 1
        games.add(step_of(t, first=t == 0), np.full((1, 9), t), step_of(t + 1, reward, discount, last=last))


def positions_of(observation: Array, policy: Array, value: Array) -> Positions:
    return Positions(observation, policy, value, np.zeros((len(value), 0), np.int8))


# --- Games ---


@pytest.mark.parametrize(
    ("rewards", "discounts", "final_value", "outcomes"),
    [
        ([0, 0, 1], [-1, -1, 0], 7.0, [1, -1, 1]),  # who moves last wins; nothing is read behind the end
        ([0, 0, 0, 1], [-1, -1, -1, 0], 0.0, [-1, 1, -1, 1]),
        ([0, 0], [-1, 0], 0.0, [0, 0]),
        ([0, 0], [-1, -1], 0.5, [0.5, -0.5]),  # cut off: the value of who would be to move, from each side
        ([1, 0, -1], [1, 1, 0], 0.0, [0, -1, -1]),  # a game for one
    ],
)
def test_a_position_is_worth_what_came_of_its_game_to_who_was_to_move(
    rewards: list[float], discounts: list[float], final_value: float, outcomes: list[float]
) -> None:
    games = Games(spec_of())
    play(games, rewards, discounts)
    positions = games.finish(0, final_value)
    assert positions.value.tolist() == outcomes
    assert positions.observation[:, 0].tolist() == list(range(len(rewards)))  # what was moved upon, not what followed
    assert positions.policy[:, 3].tolist() == list(range(len(rewards)))
    assert games.lengths().tolist() == [0]


def test_a_game_that_was_given_up_leaves_nothing_behind() -> None:
    games = Games(spec_of())
    games.add(step_of(5, first=True), np.zeros((1, 9)), step_of(6))
    play(games, [0, 1], [-1, 0])
    assert games.finish(0, 0.0).observation[:, 0].tolist() == [0, 1]


def test_games_in_progress_are_continued_from_their_state() -> None:
    games, others = Games(spec_of()), Games(spec_of())
    play(games, [0, 0, 0], [-1, -1, -1])
    others.load_state_dict(games.state_dict())
    for one in (games, others):
        one.add(step_of(3), np.zeros((1, 9)), step_of(4, 1.0, 0.0, last=True))
    for a, b in zip(games.finish(0, 0.0), others.finish(0, 0.0), strict=True):
        np.testing.assert_array_equal(a, b)


# --- The update ---


def test_the_losses_are_cross_entropy_and_squared_error() -> None:
    learner = agent_of().learner
    rng = np.random.default_rng(1)
    policy = rng.dirichlet(np.ones(9), size=5).astype(np.float32)
    observation, value = rng.normal(size=(5, 9)).astype(np.float32), rng.uniform(-1, 1, 5).astype(np.float32)
    logits, values = learner.evaluate(observation)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    policy_loss, value_loss, _ = learner.losses_of(positions_of(observation, policy, value))
    assert policy_loss.item() == pytest.approx(-(policy * log_p).sum(1).mean(), rel=1e-5)
    assert value_loss.item() == pytest.approx(((values - value) ** 2).mean(), rel=1e-5)


def test_what_it_is_shown_often_it_learns() -> None:
    learner = agent_of(learning_rate=1e-2).learner
    observation = np.eye(9, dtype=np.float32)
    policy, value = np.roll(observation, 1, 1), np.linspace(-0.9, 0.9, 9, dtype=np.float32)
    for _ in range(300):
        learner.fit(positions_of(observation, policy, value), 0)
    logits, values = learner.evaluate(observation)
    assert (logits.argmax(1) == policy.argmax(1)).all()
    np.testing.assert_allclose(values, value, atol=0.1)


def test_positions_are_shown_from_every_side_with_their_moves_turned_alike() -> None:
    agent = agent_of(batch_size=400)
    observation = np.arange(9, dtype=np.float32)[None] / 10  # each square has its own mark
    agent.replay.add(positions_of(observation, observation.copy(), np.zeros(1, np.float32)))
    batch = agent._batch()
    np.testing.assert_array_equal(batch.observation, batch.policy)  # the probability of a square goes where its mark is
    assert len(np.unique(batch.observation, axis=0)) == 8


def test_without_symmetries_positions_are_shown_as_they_were() -> None:
    agent = agent_of(symmetries=False)
    observation = np.arange(9, dtype=np.float32)[None]
    agent.replay.add(positions_of(observation, observation.copy(), np.zeros(1, np.float32)))
    assert (agent._batch().observation == observation).all()


@pytest.mark.parametrize("period", [16, 2])
def test_it_learns_as_often_as_it_should_once_enough_is_remembered(period: int) -> None:
    env = make_env(EnvConfig(TICTACTOE, 4), training=True)
    agent = agent_of(4, learn_start=40, learn_period=period, updates_per_learn=3)
    before = 0  # whole periods before the first update
    for tick in interact(agent, env, 200, 0):
        if len(agent.replay) < 40:
            assert agent.learner.num_updates == 0
            before = tick.num_steps // period
    assert agent.learner.num_updates == 3 * (200 // period - before)


@pytest.mark.parametrize(
    ("discount", "reward", "values"),
    [(-1.0, 0.0, [0.25, -0.25]), (0.0, 1.0, [-1.0, 1.0])],
)
def test_only_a_game_that_was_cut_off_is_worth_what_the_network_makes_of_its_end(
    discount: float, reward: float, values: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_of()
    monkeypatch.setattr(agent.learner, "evaluate", lambda _: (np.zeros((1, 9)), np.array([0.25])))
    decision = Decision(np.zeros(1, np.int64), {"policy": np.full((1, 9), 1 / 9), "value": np.zeros(1)})
    agent.update(step_of(0, first=True), decision, step_of(1))
    agent.update(step_of(1), decision, step_of(2, reward, discount, last=True))
    batch = agent.replay.sample(50)
    order = batch.observation[:, 0].astype(int)
    assert set(order) == {0, 1}
    assert batch.value.tolist() == [values[move] for move in order]


# --- The agent ---


@pytest.mark.parametrize("search", ["gumbel", "puct"])
def test_it_keeps_the_contract_of_an_agent(search: str) -> None:
    def build(spec: EnvSpec, rng: np.random.Generator) -> AlphaZero:
        return small(search=search).build(spec, rng, "cpu")

    check_agent(build, lambda: make_env(EnvConfig(TICTACTOE, 3), training=True), num_steps=40)


def test_a_run_goes_on_exactly(tmp_path: Path) -> None:
    config = RunConfig("alphazero", small(), EnvConfig(TICTACTOE, 2), 120, checkpoint_period=0)
    train(config, tmp_path / "whole")
    in_two(config, 58, tmp_path / "halves")
    assert digest(tmp_path / "whole") == digest(tmp_path / "halves")


def test_the_noise_of_exploration_is_not_in_its_policy() -> None:
    agent = agent_of()
    env = make_env(EnvConfig(TICTACTOE), training=False)
    step = env.reset(0)
    played = {int(agent.policy().act(step, np.random.default_rng(seed))[0]) for seed in range(20)}
    explored = {int(agent.act(step).actions[0]) for _ in range(20)}
    assert len(played) == 1
    assert len(explored) > 3


def explored(agent: AlphaZero, times: int = 20) -> tuple[set[int], set[bytes]]:
    """The moves and the policies of searching the empty board again and again."""
    step = make_env(EnvConfig(TICTACTOE), training=False).reset(0)
    decisions = [agent.act(step) for _ in range(times)]
    return {int(d.actions[0]) for d in decisions}, {d.extras["policy"].tobytes() for d in decisions}


def test_noise_at_the_root_is_what_makes_searches_by_puct_differ() -> None:
    quiet, noisy = (agent_of(search="puct", simulations=20, sampled_moves=0, root_noise=noise) for noise in (0.0, 0.5))
    assert [len(found) for found in explored(quiet)] == [1, 1]
    assert len(explored(noisy)[1]) > 10


def test_moves_are_drawn_at_the_start_of_a_game_only(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_of(search="puct", simulations=20, sampled_moves=3, root_noise=0.0)
    assert len(explored(agent)[0]) > 3
    monkeypatch.setattr(agent.explore, "move_numbers", lambda: np.array([3]))
    assert len(explored(agent)[0]) == 1


def test_a_policy_of_no_simulations_takes_the_networks_word() -> None:
    agent = agent_of(policy_simulations=0)
    step = make_env(EnvConfig(TICTACTOE), training=False).reset(0)
    logits, _ = agent.learner.evaluate(step.observation)
    assert agent.policy().act(step, np.random.default_rng(0)).tolist() == logits.argmax(1).tolist()


def test_a_board_gets_a_network_that_works_on_every_size() -> None:
    from tengen.perception.policy_value import policy_value_network

    def network(size: int) -> torch.nn.Module:
        space = gym.spaces.Box(0, 1, (3, size, size), np.uint8)
        generator = torch.Generator().manual_seed(0)
        return policy_value_network(space, size * size + 1, blocks=1, width=4, hidden=(), generator=generator)

    small_board, large_board = network(5), network(7)
    assert {name: value.shape for name, value in small_board.state_dict().items()} == {
        name: value.shape for name, value in large_board.state_dict().items()
    }
    outputs = large_board(torch.zeros(2, 3, 7, 7, dtype=torch.uint8))
    assert outputs.policy.shape == (2, 50)
    assert outputs.value.shape == (2,)


def test_an_environment_without_rules_is_refused() -> None:
    spec = make_env(EnvConfig("CartPole-v1"), training=True).spec
    reason = AlphaZeroConfig.refusal(spec)
    assert reason is not None
    assert "CartPole-v1 has no simulator" in reason


def test_rules_with_chance_are_refused() -> None:
    alone = make_env(EnvConfig("tengen/Go-v0", kwargs={"size": 3}), training=True).spec
    opposed = make_env(EnvConfig("tengen/Go-v0", kwargs={"size": 3, "opponent": "random"}), training=True).spec
    assert AlphaZeroConfig.refusal(alone) is None
    assert "alphazero needs rules without chance" in str(AlphaZeroConfig.refusal(opposed))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("simulations", 0), ("policy_simulations", -1), ("root_noise", 1.5), ("dirichlet", 0.0), ("width", 0)),
        *(("dirichlet", float("inf")), ("exploration", float("inf")), ("learning_rate", float("inf"))),
        *(("learning_rate", 0.0), ("learning_rate_end", -1.0), ("hidden", (0,)), ("value_weight", -1.0)),
        *(("learn_start", 1_000_000), ("blocks", 0), ("blocks", 201), ("width", 4097)),
    ],
)
def test_a_setting_out_of_its_range_is_refused(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=field):
        AlphaZeroConfig(**{field: value})


@pytest.mark.parametrize(("blocks", "width"), [(1, 1), (200, 1), (1, 4096)])
def test_networks_that_it_takes_are_those_that_files_hold(blocks: int, width: int) -> None:
    config = AlphaZeroConfig(blocks=blocks, width=width)
    with torch.device("meta"):
        make_network(
            {"class": "ResidualTower", "parameters": {"planes": 1, "blocks": config.blocks, "width": config.width}}
        )


# --- Tic-tac-toe ---


def defeats(plan: Plan) -> int:
    """How often it is beaten, playing either side against everything that the other may do."""
    lost = 0
    for begins in (True, False):
        states = RULES.init(np.random.default_rng(0), 1)
        to_move = begins
        while len(states) > 0:
            legal = RULES.legal(states)
            if to_move:
                rows = np.arange(len(states))
                off = np.zeros(len(states), np.bool_)
                zeros: Floats = np.zeros(len(states))
                step = TimeStep(RULES.observe(states), zeros, zeros + 1, off, off, legal, states)
                actions = plan(step, np.random.default_rng(0)).actions
            else:
                rows, actions = np.nonzero(legal)
            states, reward, discount = RULES.step(states[rows], actions, np.random.default_rng(0))
            lost += int((reward > 0).sum()) * (not to_move)
            states = np.unique(states[discount != 0], axis=0)
            to_move = not to_move
    return lost


def test_the_count_of_defeats_finds_some_of_who_knows_nothing() -> None:
    assert defeats(agent_of(policy_simulations=0).exploit) > 50


@pytest.mark.slow
@pytest.mark.parametrize(("search", "seed"), [("gumbel", 0), ("puct", 0)])
def test_it_learns_from_nothing_never_to_lose(search: str, seed: int) -> None:
    env = make_env(EnvConfig(TICTACTOE, 32), training=True)
    config = AlphaZeroConfig(
        search=search,  # type: ignore[arg-type]  # one of its values
        replay_capacity=20_000,
        learn_start=500,
        learn_period=32,
        learning_rate=2e-3,
    )
    agent = config.build(env.spec, np.random.default_rng(seed), "cpu")
    for _ in interact(agent, env, 30_000, seed):
        pass
    assert defeats(agent.exploit) == 0

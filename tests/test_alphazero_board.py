"""AlphaZero on Go: territory, networks to start from, and what becomes of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_helpers import digest, in_two

from tengen.agents.alphazero import AlphaZero, AlphaZeroConfig
from tengen.agents.alphazero.games import Games
from tengen.agents.random import RandomConfig
from tengen.cli import main
from tengen.config import RunConfig
from tengen.envs import EnvConfig, make_env
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.errors import UserError
from tengen.loop import interact
from tengen.perception.board_networks import PolicyCNN, ResidualTower
from tengen.perception.network_file import Card, load_network, save_network
from tengen.perception.policy_value import board_network, continued_network, sampled_positions
from tengen.perception.renewal import adopt, renew
from tengen.replay.positions import Positions
from tengen.run import train
from tengen.types import EnvSpec, TimeStep

GO = "tengen/Go-v0"
SMALL = {"size": 3, "komi": 0.5, "planes": "standard"}


def spec_of(num_envs: int = 1, **kwargs: Any) -> EnvSpec:
    return make_env(EnvConfig(GO, num_envs, kwargs={**SMALL, **kwargs}), training=True).spec


def small(**fields: Any) -> AlphaZeroConfig:
    settings: dict[str, Any] = {"simulations": 4, "width": 4, "blocks": 1, "learn_start": 20, "batch_size": 8}
    return AlphaZeroConfig(**{**settings, "learn_period": 8, "replay_capacity": 300, **fields})


def policy_file(folder: Path, **parameters: Any) -> str:
    """A network file without a value, trained on 19x19 by its card."""
    torch.manual_seed(0)
    given = {"planes": 23, "width": 4, "layers": 4, **parameters}
    path = folder / "policy.safetensors"
    save_network(path, PolicyCNN(**given), Card({"class": "PolicyCNN", "parameters": given}, "standard", 19))
    return str(path)


# --- Territory ---


def test_territory_is_seen_by_each_side_in_turn() -> None:
    games = Games(spec_of())
    final = np.array([[1, -1, 0]], np.int8)
    for discount in (-1.0, 1.0, -1.0, 0.0):  # who moves second moves twice
        first = last = np.zeros(1, np.bool_)
        step = TimeStep(np.zeros((1, 23, 3, 3), np.uint8), np.zeros(1), np.array([discount]), first, last)
        games.add(step, np.zeros((1, 10)), step)
    seen = games.finish(0, 0.0, final).territory
    assert seen.shape == (4, 1, 3)
    assert seen[:, 0, 0].tolist() == [-1, 1, 1, -1]
    assert seen[:, 0, 1].tolist() == [1, -1, -1, 1]
    assert not seen[:, 0, 2].any()


def test_the_side_that_owns_more_than_komi_is_the_side_that_won() -> None:
    spec = spec_of(4)
    agent = small(territory_weight=1.0).build(spec, np.random.default_rng(0), "cpu")
    env = make_env(EnvConfig(GO, 4, kwargs=SMALL), training=True)
    for _ in interact(agent, env, 200, 0):
        pass
    held = agent.replay.sample(100)
    margin, won = held.territory.sum(axis=(1, 2)), held.value > 0  # komi is half a point, so that no margin is enough
    assert (won[margin > 0]).all()
    assert (~won[margin < 0]).all()
    assert (margin != 0).any()


def test_territory_turns_with_the_board() -> None:
    agent = small(territory_weight=1.0, batch_size=200).build(spec_of(), np.random.default_rng(0), "cpu")
    marks = np.arange(9, dtype=np.int8).reshape(1, 3, 3)
    observation = np.broadcast_to(marks[:, None], (1, 23, 3, 3)).astype(np.uint8)
    agent.replay.add(Positions(observation, np.zeros((1, 10), np.float32), np.zeros(1, np.float32), marks))
    batch = agent._batch()
    np.testing.assert_array_equal(batch.territory, batch.observation[:, 0])
    assert len(np.unique(batch.territory, axis=0)) == 8


def test_the_loss_of_territory_is_the_mean_squared_error_over_points() -> None:
    learner = small(territory_weight=1.0).build(spec_of(), np.random.default_rng(0), "cpu").learner
    rng = np.random.default_rng(1)
    observation = rng.integers(2, size=(5, 23, 3, 3), dtype=np.uint8)
    territory = rng.integers(-1, 2, size=(5, 3, 3), dtype=np.int8)
    with torch.inference_mode():
        said = learner.network(torch.from_numpy(observation)).ownership.numpy()
    zeros = np.zeros((5, 10), np.float32)
    losses = learner.losses_of(Positions(observation, zeros, np.zeros(5, np.float32), territory))
    assert losses.territory is not None
    assert losses.territory.item() == pytest.approx(((said - territory) ** 2).mean(), rel=1e-5)


def test_shown_often_it_learns_whose_points_will_be() -> None:
    fields = {"territory_weight": 1.0, "learning_rate": 1e-2}
    learner = small(**fields).build(spec_of(), np.random.default_rng(0), "cpu").learner
    rng = np.random.default_rng(1)
    observation = rng.integers(2, size=(4, 23, 3, 3), dtype=np.uint8)
    territory = np.repeat(rng.choice([-1, 1], size=(4, 1, 1)), 9, axis=1).reshape(4, 3, 3).astype(np.int8)
    policy, value = np.full((4, 10), 0.1, np.float32), np.zeros(4, np.float32)
    losses = [learner.fit(Positions(observation, policy, value, territory), 0) for _ in range(200)]
    assert float(losses[-1]["losses/territory"]) < 0.1 * float(losses[0]["losses/territory"])


def test_territory_of_a_game_without_points_is_refused() -> None:
    spec = make_env(EnvConfig("tengen/TicTacToe-v0"), training=True).spec
    with pytest.raises(UserError, match="territory_weight is for games about points"):
        AlphaZeroConfig(territory_weight=1.0).build(spec, np.random.default_rng(0), "cpu")


# --- Renewal ---


def lopsided(seed: int) -> PolicyCNN:
    """A network with features of all sizes, two of which are off on every position."""
    torch.manual_seed(seed)
    network = PolicyCNN(3, width=6, layers=5)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        for layer, feature in ((0, 2), (3, 5)):
            network.trunk[layer].conv.bias[feature] = -1e6  # type: ignore[operator, union-attr]
    return network


@pytest.mark.parametrize("seed", [0, 1])
def test_renewed_a_network_has_the_same_policy_and_features_of_one_size(seed: int) -> None:
    network = lopsided(seed)
    planes = torch.rand(40, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        before = network(planes).policy
        renew(network, planes)
        after = network(planes).policy
        features = planes
        for layer in network.trunk:
            features = layer(features)
            size = features.square().mean((0, 2, 3)).sqrt()
            torch.testing.assert_close(size, torch.ones(6), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.abs().max()))


@pytest.mark.parametrize("heads", [{}, {"ownership": True}, {"value": True}, {"value": True, "ownership": True}])
def test_a_network_that_begins_as_another_says_the_same_with_all_heads_that_that_had(heads: dict[str, bool]) -> None:
    torch.manual_seed(0)
    source = PolicyCNN(3, width=6, layers=4, **heads)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.copy_(torch.randn(parameter.shape))
        source.trunk[1].conv.bias[2] = -1e6  # type: ignore[operator, union-attr]  # a feature that is off
    network, planes = PolicyCNN(3, width=6, layers=4, value=True, ownership=True), torch.rand(40, 3, 5, 5)
    with torch.no_grad():
        adopt(network, source, planes)
        wanted, found = source(planes), network(planes)
    for name, tensor in wanted._asdict().items():
        if tensor is not None:
            torch.testing.assert_close(getattr(found, name), tensor, rtol=1e-3, atol=1e-3 * float(tensor.abs().max()))
    assert float(network.trunk[1](network.trunk[0](planes))[:, 2].detach().abs().max()) > 0, "it is on again"


class Watched(Go):
    """Remembers how often was passed where there was another move."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules, "board")
        self.passes = 0

    def step(self, states: Any, actions: Any, rng: np.random.Generator | None = None) -> Any:
        others = self.legal(states)[:, :-1].any(axis=1)
        self.passes += int(np.sum(others & (actions == self.num_actions - 1)))
        return super().step(states, actions, rng)


def test_positions_to_renew_by_are_of_many_moves_and_no_game_was_passed_out() -> None:
    go = Watched(Rules(size=5))
    seen = sampled_positions(go, torch.Generator().manual_seed(0), num=64, moves=30)
    stones = np.abs(seen.astype(np.int64)).sum(axis=(1, 2, 3))
    assert go.passes == 0
    assert stones.min() <= 3
    assert stones.max() >= 15
    assert len(np.unique(seen, axis=0)) > 56  # nearly all differ; first moves may be the same


# --- Networks to start from ---


def test_a_policy_learnt_on_a_large_board_is_gone_on_with_on_a_small_one(tmp_path: Path) -> None:
    path = policy_file(tmp_path)
    network = continued_network(path, spec_of(), territory=True, generator=torch.Generator().manual_seed(0))
    tower = board_network(network)
    assert isinstance(tower, PolicyCNN)
    assert len(tower.trunk) == 3
    go = Go(Rules(size=3, komi=0.5), "standard")
    seen = go.observe(go.init(np.random.default_rng(0), 2))
    outputs = network(torch.from_numpy(seen))
    wanted, _ = load_network(Path(path))(seen.astype(np.float32))
    assert outputs.policy.detach().numpy() == pytest.approx(wanted, abs=1e-4)
    assert outputs.value.shape == (2,)
    assert outputs.ownership.shape == (2, 3, 3)


def test_a_run_from_a_network_goes_on_exactly(tmp_path: Path) -> None:
    agent = small(network=policy_file(tmp_path), territory_weight=0.5)
    config = RunConfig("alphazero", agent, EnvConfig(GO, 2, kwargs=SMALL), 160, checkpoint_period=0)
    train(config, tmp_path / "whole")
    in_two(config, 74, tmp_path / "halves")
    assert digest(tmp_path / "whole") == digest(tmp_path / "halves")


@pytest.mark.parametrize(
    ("network", "env", "message"),
    [
        ("go_policy_19x91", EnvConfig(GO, kwargs=SMALL), "Did you mean 'go_policy_19x19'"),
        ("FILE", EnvConfig(GO, kwargs={"size": 3}), "sees standard planes, not board"),
        ("FILE", EnvConfig("tengen/ConnectFour-v0"), "agent.network is for boards"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(network: str, env: EnvConfig, message: str, tmp_path: Path) -> None:
    name = policy_file(tmp_path) if network == "FILE" else network
    with pytest.raises(UserError, match=message):
        small(network=name).build(make_env(env, training=True).spec, np.random.default_rng(0), "cpu")


# --- Its own network as a file ---


@pytest.mark.parametrize("from_file", [True, False])
def test_what_a_run_has_learnt_is_exported_as_a_network_file(from_file: bool, tmp_path: Path) -> None:
    agent = small(network=policy_file(tmp_path) if from_file else None, territory_weight=1.0)
    config = RunConfig("alphazero", agent, EnvConfig(GO, 2, kwargs=SMALL), 100, checkpoint_period=0)
    train(config, tmp_path / "run")
    out = tmp_path / "network.safetensors"
    assert main(["perceive", "export", str(tmp_path / "run"), "--out", str(out)]) == 0

    from tengen.run import load_policy, open_run

    trained = load_policy(open_run(tmp_path / "run")).agent
    assert isinstance(trained, AlphaZero)
    loaded = load_network(out)
    assert isinstance(loaded.network, PolicyCNN if from_file else ResidualTower)
    assert (loaded.card.size, loaded.card.komi, loaded.card.planes) == (3, 0.5, "standard")
    assert loaded.card.about["games"] == trained.num_games
    assert str(tmp_path) not in json.dumps(loaded.card.about)
    seen = np.random.default_rng(0).integers(2, size=(4, 23, 3, 3), dtype=np.uint8)
    logits, values = trained.learner.evaluate(seen)
    ours, theirs = loaded(seen.astype(np.float32))
    np.testing.assert_allclose(ours, logits, atol=1e-4)
    assert theirs is not None
    np.testing.assert_allclose(theirs, values, atol=1e-4)


def test_a_run_without_a_network_of_a_board_can_not_be_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RunConfig("random", RandomConfig(), EnvConfig(GO, kwargs=SMALL), 20, checkpoint_period=0)
    train(config, tmp_path / "run")
    assert main(["perceive", "export", str(tmp_path / "run"), "--out", str(tmp_path / "x.safetensors")]) == 2
    assert "has no network of a Go board" in capsys.readouterr().err

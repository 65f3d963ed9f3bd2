"""The parts of DQN by themselves."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from dqn_parts_helpers import NUM_ACTIONS, SPEC, build_dqn, build_torch_learner, enlarge_outputs, random_batch

from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.heads import Particles
from tengen.agents.dqn.learner import Learnt, TorchLearner
from tengen.agents.dqn.practice import PrioritizedPractice
from tengen.agents.dqn.scaling import PopArt
from tengen.errors import UserError
from tengen.perception.layers import NoisyLinear
from tengen.types import Array, EnvSpec, Ints, PrioritizedSample, Transition

CPU = torch.device("cpu")
QUANTILES: dict[str, Any] = {"distribution": "quantile", "num_quantiles": 5}
ATOMS: dict[str, Any] = {"distribution": "categorical", "num_atoms": 11, "v_min": -2.0, "v_max": 2.0}

# ---- Pop-Art. -------------------------------------------------------------------------------------------------------


def particles(position: Array, weight: Array | None = None) -> Particles:
    weight = np.full(position.shape, 1 / position.shape[1]) if weight is None else weight
    return Particles(torch.from_numpy(position.astype(np.float32)), torch.from_numpy(weight.astype(np.float32)))


@pytest.mark.parametrize("distribution", [{}, QUANTILES], ids=["expected", "quantile"])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
def test_pop_art_leaves_what_both_networks_say_in_returns(
    distribution: dict[str, Any], noisy: bool, dueling: bool
) -> None:
    learner = build_torch_learner(dueling=dueling, noisy=noisy, pop_art=True, pop_art_rate=0.3, **distribution)
    learner.noise.draw()
    x = torch.from_numpy(random_batch().observation)
    networks = (learner.network, learner.target.network)

    def said() -> list[torch.Tensor]:
        with torch.no_grad():
            return [learner.scale.to_returns(network(x)) for network in networks]

    rng = np.random.default_rng(0)
    learner.scale.update(particles(rng.normal(2, 3, (16, 5))))
    enlarge_outputs(learner, 1e4)
    before = said()
    assert min(outputs.std().item() for outputs in before) > 0.1
    for mean, deviation in ((100.0, 20.0), (-3.0, 0.1), (0.0, 50.0), (5.0, 5.0)):
        learner.scale.update(particles(rng.normal(mean, deviation, (16, 5))))
        for now, then in zip(said(), before, strict=True):
            torch.testing.assert_close(now, then, rtol=0, atol=2e-4)


def test_pop_art_leaves_the_order_of_actions_and_their_values() -> None:
    learner = build_torch_learner(pop_art=True, pop_art_rate=0.5)
    learner.scale.update(particles(np.array([[-1.0], [3.0]])))
    enlarge_outputs(learner, 1e4)
    x = random_batch().observation
    values, actions = learner.action_values(x), learner.greedy_actions(x, None)
    learner.scale.update(particles(np.array([[1_000.0], [-300.0]])))
    np.testing.assert_allclose(learner.action_values(x), values, atol=1e-3)
    np.testing.assert_array_equal(learner.greedy_actions(x, None), actions)


def test_pop_arts_moments_are_running_means_of_the_targets_means() -> None:
    scale = PopArt([], 0.1, CPU)
    rng = np.random.default_rng(0)
    mean, square = 0.0, 0.0
    for _ in range(50):
        position, weight = rng.normal(7, 3, (8, 5)), rng.dirichlet(np.ones(5), 8)
        scale.update(particles(position, weight))
        means = [sum(weight[i, j] * position[i, j] for j in range(5)) for i in range(8)]
        mean = 0.9 * mean + 0.1 * sum(means) / 8
        square = 0.9 * square + 0.1 * sum(own**2 for own in means) / 8
    correction = 1 - 0.9**50  # 50 targets of 1 would have had this mean
    mean, square = mean / correction, square / correction
    assert scale.to_returns(torch.tensor(0.0)).item() == pytest.approx(mean, rel=1e-5)
    assert scale.to_outputs(torch.tensor(mean + (square - mean**2) ** 0.5)).item() == pytest.approx(1, rel=1e-4)


def test_pop_arts_deviation_stays_within_its_bounds() -> None:
    scale = PopArt([], 1.0, CPU)
    scale.update(particles(np.full((4, 1), 3.0)))
    assert scale.to_returns(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([3.0, 3.0001])
    scale.update(particles(np.array([[-1e8], [1e8]])))
    assert scale.to_returns(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.0, 1e6])


def test_pop_arts_first_batch_gives_its_moments_and_before_it_predictions_are_about_0() -> None:
    scale = PopArt([], 1e-3, CPU)
    assert scale.to_returns(torch.tensor([-1.0, 1.0])).tolist() == pytest.approx([-1e-4, 1e-4])
    scale.update(particles(np.array([[1.0], [5.0]])))
    assert scale.to_returns(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([3.0, 5.0])


@pytest.mark.parametrize(
    "distribution",
    [{}, QUANTILES, {"distribution": "categorical"}, ATOMS],
    ids=["expected", "quantile", "categorical", "categorical, narrow"],
)
def test_pop_art_learns_the_values_of_a_ring(distribution: dict[str, Any]) -> None:
    # Five states in a ring; the right one of two actions earns 1, so that with gamma 0.8 it is worth 5, the other 4.
    ring = EnvSpec("ring", gym.spaces.Discrete(5), gym.spaces.Discrete(2), num_envs=1)
    fields: dict[str, Any] = {"hidden": (), "learning_rate": 0.03, "target_period": 15, "pop_art_rate": 0.02}
    learner = build_torch_learner(ring, pop_art=True, **fields, **distribution)
    rng = np.random.default_rng(0)
    right = np.array([0, 1, 1, 0, 1])
    for _ in range(400):
        state, action = rng.integers(5, size=32), rng.integers(2, size=32)
        reward = (action == right[state]).astype(np.float32)
        learner.update(Transition(state, action, reward, np.full(32, 0.8, np.float32), (state + 1) % 5), 0)
    truth = np.where(np.arange(2) == right[:, None], 5.0, 4.0)
    np.testing.assert_allclose(learner.action_values(np.arange(5)), truth, atol=0.35)


def test_pop_art_goes_on_from_its_state() -> None:
    one, two = PopArt([], 0.1, CPU), PopArt([], 0.1, CPU)
    two.update(particles(np.full((4, 1), 1.0)))
    two.load_state_dict(one.state_dict())  # as if it had learnt nothing
    assert two.to_returns(torch.tensor(0.7)) == one.to_returns(torch.tensor(0.7))
    one.update(particles(np.full((4, 1), 30.0)))
    two.load_state_dict(one.state_dict())
    one.update(particles(np.full((4, 1), -5.0)))
    two.update(particles(np.full((4, 1), -5.0)))
    assert [scale.to_returns(torch.tensor(0.7)).item() for scale in (one, two)] == [
        one.to_returns(torch.tensor(0.7))
    ] * 2


# ---- Noise. ---------------------------------------------------------------------------------------------------------


def test_a_noisy_agent_explores_by_noise_alone_and_its_policy_has_none() -> None:
    agent = build_dqn(noisy=True, noise_start=3.0, epsilon_start=0.0, epsilon_end=0.0)
    learner, x = agent.learner, random_batch().observation
    explored = np.array([learner.exploring_actions(x, None) for _ in range(30)])
    assert (explored != explored[0]).any()
    greedy = np.array([learner.greedy_actions(x, None) for _ in range(5)])
    assert (greedy == greedy[0]).all()
    values = learner.action_values(x)
    np.testing.assert_array_equal(values.argmax(1), greedy[0])
    learner.exploring_actions(x, None)
    np.testing.assert_array_equal(learner.action_values(x), values)


@pytest.mark.parametrize("dueling", [False, True])
def test_the_networks_of_an_update_have_noise_of_their_own_that_is_fresh_each_time(dueling: bool) -> None:
    learner = build_torch_learner(noisy=True, dueling=dueling)

    def noise() -> list[torch.Tensor]:
        found = []
        for network in (learner.network, learner.target.network):
            for layer in network.modules():
                if isinstance(layer, NoisyLinear):
                    assert layer.noise is not None
                    found.append(layer.noise[0].clone())
        return found

    draws = []
    for seed in range(2):
        learner.update(random_batch(seed=seed), 0)
        draws += noise()
    assert len(draws) == 2 * 2 * (4 if dueling else 2)
    for one, two in combinations(draws, 2):
        assert one.shape != two.shape or not torch.equal(one, two)


def test_the_size_of_noise_is_learnt() -> None:
    learner = build_torch_learner(noisy=True)
    sizes = [p for name, p in learner.network.named_parameters() if "sigma" in name]
    before = [p.detach().clone() for p in sizes]
    for seed in range(3):
        learner.update(random_batch(seed=seed), 0)
    assert all(not torch.equal(p, b) for p, b in zip(sizes, before, strict=True))


# ---- Priorities. ----------------------------------------------------------------------------------------------------


class OneSample:
    """A prioritizing replay that gives the same sample each time, and keeps what it is told."""

    capacity = 100

    def __init__(self, sample: PrioritizedSample) -> None:
        self.told: list[tuple[Ints, Array]] = []
        self._sample = sample

    def __len__(self) -> int:
        return len(self._sample.indices)

    def add(self, *tick: object) -> None: ...

    def sample(self, batch_size: int) -> PrioritizedSample:
        return self._sample

    def update_priorities(self, indices: Ints, errors: Array) -> None:
        self.told.append((indices, errors))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: object) -> None: ...


class Weighed:
    """A learner that notes the weights, and whose error is ten times the reward."""

    def __init__(self) -> None:
        self.weights: list[Array | None] = []

    def update(self, batch: Transition, num_steps: int, weights: Array | None = None) -> Learnt:
        self.weights.append(weights)
        return Learnt({}, torch.from_numpy(batch.reward * 10))


def test_priorities_are_the_errors_of_the_very_transitions_that_were_learnt_from() -> None:
    weights, indices = np.array([0.5, 1.0, 0.25], np.float32), np.array([7, 3, 7])
    replay, learner = OneSample(PrioritizedSample(random_batch(3), weights, indices)), Weighed()
    PrioritizedPractice(replay, 3)(learner, 0)  # type: ignore[arg-type]  # of a learner it needs `update` alone
    assert learner.weights == [weights]
    ((of, errors),) = replay.told
    np.testing.assert_array_equal(of, indices)
    np.testing.assert_allclose(errors, random_batch(3).reward * 10)


# ---- Settings that don't go together are refused in one line. -------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"replay": "none", "n_step": 3}, r"agent\.n_step of 3 needs a replay buffer"),
        ({"batch_size": 10**9}, r"agent\.batch_size must be at most 1e\+06, got 1000000000"),
        ({"batch_size": 101, "replay_capacity": 100}, r"batch_size of 101 is more than the replay holds: .* is 100"),
        ({"dueling": True, "hidden": ()}, r"agent\.dueling needs a fully connected layer"),
        ({"v_min": 1.0, "v_max": 1.0}, r"agent\.v_min must be below agent\.v_max"),
        ({"v_min": float("nan")}, r"agent\.v_min"),
        ({"num_atoms": 1}, r"agent\.num_atoms must be at least 2, got 1"),
        ({"num_quantiles": 0}, r"agent\.num_quantiles"),
        ({"huber_kappa": -1.0}, r"agent\.huber_kappa"),
        ({"priority_exponent": 1.5}, r"agent\.priority_exponent"),
        ({"pop_art_rate": 0.0}, r"agent\.pop_art_rate"),
        ({"noise_start": -0.1}, r"agent\.noise_start"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        DQNConfig(**fields)
    assert "\n" not in str(refusal.value)


def test_an_asymmetric_support_is_refused_where_two_sides_take_turns_and_nowhere_else() -> None:
    fields: dict[str, Any] = {**ATOMS, "v_min": 0.0}
    assert isinstance(build_dqn(**fields).learner, TorchLearner)
    game = EnvSpec("game", SPEC.observation_space, SPEC.action_space, 1, has_legal=True, alternates=True)
    with pytest.raises(UserError, match=r"support must be symmetric, got agent\.v_min 0\.0 and agent\.v_max 2\.0"):
        build_dqn(game, **fields)
    assert build_dqn(game, **ATOMS).num_actions == NUM_ACTIONS

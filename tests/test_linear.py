"""Semi-gradient Sarsa against slow twins, and the agents around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from run_helpers import digest, in_two

from tengen.agents.linear import GreedyTiles, LinearAgent, SemiGradientSarsaConfig, SemiGradientSarsaLambdaConfig
from tengen.agents.linear._linear_kernels import choose, learn
from tengen.agents.linear._tile_kernels import active_tiles
from tengen.config import RunConfig
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.loop import interact
from tengen.run import train
from tengen.types import Bools, EnvSpec, Floats, Ints, TimeStep

A, GAMMA, LAMBDA, ALPHA, TILINGS = 3, 0.9, 0.8, 0.4, 2
SPEC = EnvSpec("test", Box(-1.0, 1.0, (2,), np.float64), Discrete(A), 3)
SHARED: dict[str, Any] = {"gamma": GAMMA, "step_size": ALPHA, "num_tilings": TILINGS, "tiles": (3,)}


class Steps(NamedTuple):
    """One step of each row."""

    observation: Floats  # [B, 2]
    actions: Ints
    reward: Floats
    discount: Floats
    last: Bools
    next_observation: Floats
    next_legal: Bools  # [B, A]


def experience(num_steps: int, seed: int, *, masked: bool) -> Iterator[Steps]:
    """Steps of every kind: the sides alternate or not, values cut within an episode, episodes that end or are cut."""
    rng, shape = np.random.default_rng(seed), (SPEC.num_envs,)
    observation = rng.uniform(-1.1, 1.1, (*shape, 2))
    for _ in range(num_steps):
        following = rng.uniform(-1.1, 1.1, (*shape, 2))
        discount, last = rng.choice([1.0, 1.0, 1.0, -1.0, 0.0], shape), rng.random(shape) < 0.15
        legal = rng.random((*shape, A)) < 0.6
        legal[np.arange(len(legal)), rng.integers(A, size=shape)] = True
        legal = legal if masked else np.ones((0, A), np.bool_)
        yield Steps(observation, rng.integers(A, size=shape), rng.normal(size=shape), discount, last, following, legal)
        observation = np.where(last[:, None], rng.uniform(-1.1, 1.1, (*shape, 2)), following)


def built(config: Any, seed: int = 0) -> LinearAgent:
    agent: LinearAgent = config.build(SPEC, np.random.default_rng(seed), "cpu")
    weights = agent.learner.weights
    weights[:] = np.random.default_rng(1).normal(size=weights.shape)  # no two values are equal
    return agent


def coding_of(agent: LinearAgent) -> Any:
    policy = agent.policy()
    assert isinstance(policy, GreedyTiles)
    return policy.coding


class Twin:
    """Greedy Sarsa on vectors of zeros and ones, one weight for each feature and action."""

    def __init__(self, agent: LinearAgent) -> None:
        self.coding = coding_of(agent)
        self.w = agent.learner.weights.copy().ravel()

    def features(self, observation: Floats, action: int) -> Floats:
        x = np.zeros(len(self.w))
        for feature in active_tiles(self.coding, observation):
            x[feature * A + action] += 1
        return x

    def next_action(self, steps: Steps, row: int) -> tuple[int, float]:
        legal = [a for a in range(A) if len(steps.next_legal) == 0 or steps.next_legal[row, a]]
        values = [float(self.w @ self.features(steps.next_observation[row], a)) for a in legal]
        best = int(np.argmax(values))
        return legal[best], values[best]


class NStepTwin(Twin):
    """The return of each step by its definition as a sum, from a list of all steps that wait."""

    def __init__(self, agent: LinearAgent, n: int) -> None:
        super().__init__(agent)
        self.n = n
        self.waiting: list[list[tuple[Floats, float, float]]] = [[] for _ in range(SPEC.num_envs)]

    def learn(self, steps: Steps, row: int) -> int:
        action, v_t = self.next_action(steps, row)
        x, waiting = self.features(steps.observation[row], int(steps.actions[row])), self.waiting[row]
        waiting.append((x, steps.reward[row], steps.discount[row]))
        cut = steps.last[row] or steps.discount[row] == 0
        targets = []
        for start in range(len(waiting) if cut else int(len(waiting) == self.n)):
            total, factor = 0.0, 1.0
            for _, reward, discount in waiting[start:]:
                total += factor * reward
                factor *= GAMMA * discount
            targets.append(total + factor * v_t)
        for target in targets:
            x = waiting.pop(0)[0]
            self.w += ALPHA / TILINGS * (target - self.w @ x) * x
        return -1 if steps.last[row] else action


class LambdaTwin(Twin):
    """S&B page 305, with a trace for every weight."""

    def __init__(self, agent: LinearAgent, *, replacing: bool, decay: float = LAMBDA) -> None:
        super().__init__(agent)
        self.replacing, self.decay = replacing, decay
        self.z = np.zeros((SPEC.num_envs, len(self.w)))

    def learn(self, steps: Steps, row: int) -> int:
        action, v_t = self.next_action(steps, row)
        x, z = self.features(steps.observation[row], int(steps.actions[row])), self.z[row]
        delta = steps.reward[row] + GAMMA * steps.discount[row] * v_t - self.w @ x
        z[:] = np.where(x > 0, 1.0, z) if self.replacing else z + x
        self.w += ALPHA / TILINGS * delta * z
        z *= 0.0 if steps.last[row] else GAMMA * self.decay * steps.discount[row]
        return -1 if steps.last[row] else action


def compare(agent: LinearAgent, twin: NStepTwin | LambdaTwin, *, masked: bool) -> None:
    for steps in experience(150, 0, masked=masked):
        learn(agent.learner, coding_of(agent), *steps, 0, np.full((SPEC.num_envs, 2), 0.5))
        decided = [twin.learn(steps, row) for row in range(SPEC.num_envs)]
        assert agent.learner.next_action.tolist() == decided
        assert np.allclose(agent.learner.weights.ravel(), twin.w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_n_step_sarsa_is_its_twin(n: int, masked: bool) -> None:
    agent = built(SemiGradientSarsaConfig(**SHARED, n_step=n))
    compare(agent, NStepTwin(agent, n), masked=masked)


@pytest.mark.parametrize("traces", ["accumulating", "replacing"])
def test_sarsa_lambda_is_its_twin(traces: Any) -> None:
    agent = built(SemiGradientSarsaLambdaConfig(**SHARED, trace_decay=LAMBDA, traces=traces))
    compare(agent, LambdaTwin(agent, replacing=traces == "replacing"), masked=True)


def test_sarsa_lambda_is_its_twin_where_tiles_of_one_observation_collide() -> None:
    agent = built(SemiGradientSarsaLambdaConfig(**SHARED, trace_decay=LAMBDA, traces="accumulating", max_features=5))
    compare(agent, LambdaTwin(agent, replacing=False), masked=False)


def test_sarsa_lambda_is_its_twin_where_some_traces_become_negligible_before_others() -> None:
    agent = built(SemiGradientSarsaLambdaConfig(**SHARED, trace_decay=1e-3))
    compare(agent, LambdaTwin(agent, replacing=True, decay=1e-3), masked=False)
    assert agent.learner.traces.place.max() < agent.learner.traces.weight.shape[1] < agent.learner.weights.size


def test_lambda_zero_is_one_step_sarsa() -> None:
    one = built(SemiGradientSarsaConfig(**SHARED))
    none = built(SemiGradientSarsaLambdaConfig(**SHARED, trace_decay=0.0))
    for steps in experience(100, 1, masked=False):
        for agent in (one, none):
            learn(agent.learner, coding_of(agent), *steps, 0, np.full((SPEC.num_envs, 2), 0.5))
    assert np.allclose(one.learner.weights, none.learner.weights)


def test_a_choice_is_a_random_legal_action_or_one_of_the_best() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        q, u = rng.integers(3, size=4).astype(np.float64), rng.random(2)
        legal = rng.random(4) < 0.6
        legal[rng.integers(4)] = True
        allowed = np.flatnonzero(legal)
        best = [a for a in allowed if q[a] == q[allowed].max()]
        pool = allowed if u[0] < 0.5 else best
        assert choose(q, legal, 0.5, u) == pool[int(u[1] * len(pool))]


def mountain_car(num_envs: int = 1, limit: int = 2_000) -> Any:
    return make_env(EnvConfig("MountainCar-v0", num_envs, kwargs={"max_episode_steps": limit}), training=True)


@pytest.mark.parametrize(
    "config",
    [SemiGradientSarsaConfig(n_step=8, step_size=0.3), SemiGradientSarsaLambdaConfig(trace_decay=0.9)],
    ids=["n_step", "lambda"],
)
def test_it_learns_to_leave_the_valley(config: Any) -> None:
    env = mountain_car()
    agent, ends = config.build(env.spec, np.random.default_rng(0), "cpu"), [0]
    for tick in interact(agent, env, 25_000, 0):
        if tick.next_step.last[0]:
            ends.append(tick.num_steps)
            if len(ends) > 60:
                break
    assert np.diff(ends)[40:].mean() < 220  # 1,000 and more at first


def test_the_policy_is_greedy_on_its_values_and_the_cost_to_go_their_negative_maximum() -> None:
    agent = built(SemiGradientSarsaConfig(**SHARED))
    policy = agent.policy()
    assert isinstance(policy, GreedyTiles)
    points = np.random.default_rng(2).uniform(-1, 1, (6, 2))
    values = policy.values(points)
    legal = np.ones((6, A), np.bool_)
    legal[np.arange(6), values.argmax(1)] = False
    zeros, flags = np.zeros(6), np.zeros(6, np.bool_)
    step = TimeStep(points, zeros, zeros, flags, flags)
    assert policy.act(step, np.random.default_rng(0)).tolist() == values.argmax(1).tolist()
    assert (
        policy.act(step._replace(legal=legal), np.random.default_rng(0)).tolist() == np.argsort(values)[:, 1].tolist()
    )
    assert policy.cost_to_go(points).tolist() == (-values.max(1)).tolist()
    assert values.shape == (6, A)


def test_values_begin_where_they_are_told() -> None:
    policy = SemiGradientSarsaConfig(initial_value=-7.0).build(SPEC, np.random.default_rng(0), "cpu").policy()
    assert isinstance(policy, GreedyTiles)
    assert np.allclose(policy.values(np.zeros((1, 2))), -7.0)


@pytest.mark.parametrize("name", ["semi_gradient_sarsa", "semi_gradient_sarsa_lambda"])
def test_a_run_goes_on_in_the_middle_of_an_episode(name: str, tmp_path: Path) -> None:
    agent = SemiGradientSarsaConfig(n_step=4) if name == "semi_gradient_sarsa" else SemiGradientSarsaLambdaConfig()
    env = EnvConfig("MountainCar-v0", 2, kwargs={"max_episode_steps": 300})
    config = RunConfig(name, agent, env, 1_500, checkpoint_period=0, log_period=500)
    train(config, tmp_path / "whole")
    in_two(config, 700, tmp_path / "halves")
    assert digest(tmp_path / "whole") == digest(tmp_path / "halves")


def test_spaces_that_do_not_suit_are_refused() -> None:
    refusal = SemiGradientSarsaConfig.refusal
    box, actions = Box(-1.0, 1.0, (2,)), Discrete(2)
    assert refusal(EnvSpec("E", box, actions, 1)) is None
    assert "Box observations, E has Discrete(4)" in str(refusal(EnvSpec("E", Discrete(4), actions, 1)))
    assert "discrete action space, E has Box" in str(refusal(EnvSpec("E", box, box, 1)))
    assert "1 to 16 numbers, E has the shape (84, 84)" in str(refusal(EnvSpec("E", Box(0, 1, (84, 84)), actions, 1)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tiles": (0,)}, "agent.tiles must be positive"),
        ({"num_tilings": 0}, "agent.num_tilings must be from 1"),
        ({"step_size": 2.0}, "agent.step_size must be at least 0 and below 2"),
        ({"epsilon_start": 1.5}, "agent.epsilon_start must be between 0 and 1"),
        ({"n_step": 0}, "agent.n_step must be from 1"),
        ({"max_features": 0}, "agent.max_features must be from 1"),
        ({"initial_value": float("nan")}, "agent.initial_value must be finite"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SemiGradientSarsaConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tiles": (8, 8, 8)}, "agent.tiles must have 4 values for CartPole-v1, one for each part, got 3"),
        ({}, "needs finite ends .* of CartPole-v1: give --agent.low and --agent.high"),
        ({"low": (1.0,) * 4, "high": (1.0,) * 4}, "low < high"),
    ],
)
def test_tiles_that_do_not_fit_the_observations_are_refused(settings: dict[str, Any], message: str) -> None:
    spec = make_env(EnvConfig("CartPole-v1"), training=True).spec
    with pytest.raises(UserError, match=message):
        SemiGradientSarsaConfig(**settings).build(spec, np.random.default_rng(0), "cpu")

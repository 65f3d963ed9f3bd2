"""REINFORCE in a table: its kernels against plain Python and the policy gradient theorem, and the short corridor."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from random_steps import ALL_LEGAL, Turn, discounted_return, legal_table, split
from reinforce_world import GAMMA, courses, gradient_of_value
from run_helpers import digest, in_two

from tengen.agents._learner_kernels import Linear, Outcome, act, update
from tengen.agents._trees import empty_trajectory, reserve
from tengen.agents.reinforce import ReinforceConfig, SoftmaxTable
from tengen.agents.reinforce import _reinforce_kernels as kernels
from tengen.agents.tabular import TabularAgent
from tengen.config import RunConfig
from tengen.drive import drive
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.planners.exact import evaluate_exactly
from tengen.run import resume, train
from tengen.types import Bools, EnvSpec, Floats, TimeStep

S, A = 5, 3
ALPHA, ALPHA_W = Linear(0.3, 0.05, 400), Linear(0.5, 0.1, 200)
LEGAL = legal_table(S, A, 3)

numba_config: Any = numba.config  # its settings are set by name, out of mypy's sight
compiled_only = pytest.mark.skipif(numba_config.DISABLE_JIT, reason="many episodes take long as plain Python")


def learner_of(masked: bool = False, baseline: bool = True, **fields: Any) -> kernels.Reinforce:
    """A learner that has learnt something already; illegal actions seem the best, so that it shows if they count."""
    rng = np.random.default_rng(5)
    learner = kernels.Reinforce(
        theta=rng.normal(size=(S, A)) + (5.0 * ~LEGAL if masked else 0.0),
        baseline=rng.normal(size=S if baseline else 0),
        policy_step_size=ALPHA,
        baseline_step_size=ALPHA_W,
        gamma=GAMMA,
        discounted=True,
        legal=np.ones((S if masked else 0, A), np.bool_),
        episode=empty_trajectory(2),
    )
    return learner._replace(**fields)


def teach(learner: kernels.Reinforce, num_turns: int, masked: bool) -> tuple[kernels.Reinforce, list[Turn]]:
    """Let a learner act and learn in two rows of nonsense: discounts 1, -1, 0 and 0.5; ends, cuts and truncations."""
    world, rng = np.random.default_rng(0), np.random.default_rng(1)
    states, turns = [0, 1], []
    for number, row in itertools.product(range(num_turns), range(2)):
        s, s_t, clock = states[row], int(world.integers(S)), 2 * number
        legal, next_legal = (LEGAL[s], LEGAL[s_t]) if masked else (ALL_LEGAL, ALL_LEGAL)
        a = act(learner, row, s, legal, clock, rng)
        assert not masked or LEGAL[s, a]
        discount = float(world.choice([1, 1, 1, -1, 0.5, 0]))
        last = bool(world.random() < (0.7 if discount == 0 else 0.08))
        turn = Turn(row, clock, Outcome(s, a, float(world.normal()), discount, s_t, last), legal, next_legal)
        learner = reserve(learner, 1)
        update(learner, row, turn.outcome, next_legal, clock, rng)
        turns.append(turn)
        states[row] = int(world.integers(S)) if last else s_t
    return learner, turns


def softmax(preferences: Floats, legal: Bools) -> Floats:
    weights = np.exp(preferences) * (legal if len(legal) else 1.0)
    probabilities: Floats = weights / weights.sum()
    return probabilities


def line(schedule: Linear, clock: int) -> float:
    return float(np.interp(clock, [0, schedule.num_steps], [schedule.start, schedule.end]))


def slow_twin(start: kernels.Reinforce, turns: list[Turn]) -> tuple[Floats, Floats]:
    """S&B page 330 as it is written: every return summed up from its definition, ln pi differentiated by hand."""
    theta, w = start.theta.copy(), start.baseline.copy()
    for episode in split(turns):
        final, clock = episode[-1].outcome, episode[-1].clock
        v = w[final.s_t] if len(w) else 0.0
        returns = [discounted_return(episode, t, GAMMA, v) for t in range(len(episode))]
        for t, turn in enumerate(episode):
            s, a = turn.outcome.s_tm1, turn.outcome.a_tm1
            weight = np.prod([GAMMA * abs(before.outcome.discount_t) for before in episode[:t]])
            delta = returns[t] - (w[s] if len(w) else 0.0)
            if len(w):
                w[s] += line(ALPHA_W, clock) * delta
            gradient = np.eye(A)[a] - softmax(theta[s], turn.legal)
            theta[s] += line(ALPHA, clock) * (weight if start.discounted else 1.0) * delta * gradient
    return theta, w


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("discounted", [False, True])
@pytest.mark.parametrize("baseline", [False, True])
def test_the_kernel_learns_as_its_plain_twin(baseline: bool, discounted: bool, masked: bool) -> None:
    start = learner_of(masked, baseline, discounted=discounted)
    learner, turns = teach(learner_of(masked, baseline, discounted=discounted), 250, masked)
    lasts = {(turn.outcome.discount_t, turn.outcome.last) for turn in turns}
    assert lasts == set(itertools.product((1.0, -1.0, 0.5, 0.0), (False, True)))
    theta, w = slow_twin(start, turns)
    assert np.abs(theta - start.theta).max() > 0.1
    np.testing.assert_allclose(learner.theta, theta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(learner.baseline, w, rtol=1e-9, atol=1e-12)


def test_preferences_of_illegal_actions_are_never_learnt() -> None:
    learner, _ = teach(learner_of(masked=True), 250, masked=True)
    np.testing.assert_array_equal(learner.theta[~LEGAL], learner_of(masked=True).theta[~LEGAL])


def test_actions_are_drawn_by_the_softmax() -> None:
    learner, rng = learner_of(masked=True), np.random.default_rng(2)
    for s in range(S):
        drawn = [act(learner, 0, s, LEGAL[s], 0, rng) for _ in range(2_000)]
        np.testing.assert_allclose(
            np.bincount(drawn, minlength=A) / 2_000, softmax(learner.theta[s], LEGAL[s]), atol=0.05
        )


def test_the_softmax_of_huge_preferences_is_finite() -> None:
    probabilities = kernels.softmax(np.array([1e4, -1e4, 1e4]), ALL_LEGAL)
    np.testing.assert_array_equal(probabilities, [0.5, 0.0, 0.5])


def test_the_last_action_that_is_possible_is_drawn_where_the_sum_is_rounded_down() -> None:
    assert kernels.draw(np.array([0.5, 0.5 - 1e-12, 0.0]), 1 - 1e-15) == 1


# --- The policy gradient theorem ---


def test_the_expected_update_is_the_gradient_of_the_first_states_value_whatever_the_baseline() -> None:
    """S&B eq. 13.5: averaged over all episodes, with the true gamma^t; the gradient is found by finite differences."""
    theta = np.random.default_rng(3).normal(size=(4, 2))
    gradient = gradient_of_value(theta)
    step_size = 1e-7  # so small that theta stays where it is within an episode
    for baseline in (np.zeros(0), np.array([1.0, -2.0, 0.5, 3.0])):
        expected = np.zeros_like(theta)
        for course in courses():
            learner = kernels.Reinforce(
                theta.copy(),
                baseline.copy(),
                Linear(step_size, step_size, 0),
                Linear(0.0, 0.0, 0),
                GAMMA,
                True,
                np.ones((0, 2), np.bool_),
                empty_trajectory(1),
            )
            for outcome in course.steps:
                update(learner, 0, outcome, ALL_LEGAL, 0, np.random.default_rng(0))
            expected += course.odds(theta) * (learner.theta - theta) / step_size
        np.testing.assert_allclose(expected, gradient, atol=1e-6)
        assert np.abs(gradient).max() > 0.1


# --- The short corridor (S&B example 13.1) ---

CORRIDOR = EnvConfig("tengen/ShortCorridor-v0")


def corridor_returns(seed: int, episodes: int, **fields: Any) -> tuple[Floats, float]:
    """The returns of the first episodes, and the probability of going right after them."""
    env = make_env(CORRIDOR, training=True)
    agent = ReinforceConfig(gamma=1.0, **fields).build(env.spec, np.random.default_rng(seed), "cpu")
    assert isinstance(agent, TabularAgent)
    env.reset(seed)
    returns: list[float] = []
    for stretch in drive(agent, env, 10**8, 0, np.zeros(1), []):  # type: ignore[arg-type]  # it is tabled
        returns.extend(stretch.returns)
        if len(returns) >= episodes:
            break
    return np.array(returns[:episodes]), float(softmax(agent.learner.theta[0], ALL_LEGAL)[1])


def test_no_policy_of_the_corridor_is_worth_more_than_the_book_says() -> None:
    model = make_env(CORRIDOR, training=True).spec.model
    assert model is not None
    odds = np.linspace(0.02, 0.98, 961)
    values = [evaluate_exactly(model, np.tile([1 - p, p], (4, 1)), 1.0)[0] for p in odds]
    assert max(values) == pytest.approx(-11.66, abs=0.01)
    assert odds[np.argmax(values)] == pytest.approx(2 - np.sqrt(2), abs=0.002)
    assert values[30] == pytest.approx(-82, abs=1)  # S&B's epsilon-greedy left, p = 0.05


@compiled_only
def test_the_corridors_best_stochastic_policy_is_learnt_faster_with_a_baseline() -> None:
    """Figure 13.2: from p(right) = 0.05; medians, since a run that overshoots may stay where it went."""
    start = (1.47, -1.47)
    plain = [
        corridor_returns(seed, 1_000, policy_step_size=2**-13, baseline=False, initial_preferences=start)
        for seed in range(12)
    ]
    helped = [
        corridor_returns(seed, 1_000, policy_step_size=2**-9, baseline_step_size=2**-6, initial_preferences=start)
        for seed in range(12)
    ]
    early = [np.median([returns[100:200].mean() for returns, _ in runs]) for runs in (plain, helped)]
    assert early[1] > early[0] + 3.0, early
    for runs in (plain, helped):
        assert -13.5 < np.median([returns[-200:].mean() for returns, _ in runs]) < -11.2
        assert np.median([p for _, p in runs]) == pytest.approx(0.586, abs=0.08)


# --- Both drivers, and resume ---


def run_of(env_id: str, steps: int, driver: Any) -> RunConfig:
    agent = ReinforceConfig(policy_step_size=0.3, policy_step_size_end=0.1, step_size_decay_steps=1_500)
    return RunConfig("reinforce", agent, EnvConfig(env_id), steps, seed=3, checkpoint_period=0, driver=driver)


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Taxi-v4", "tengen/Gambler-v0"])
def test_both_drivers_arrive_at_the_same_agent(env_id: str, tmp_path: Path) -> None:
    for driver in ("compiled", "python"):
        train(run_of(env_id, 2_000, driver), tmp_path / driver)
    assert digest(tmp_path / "compiled") == digest(tmp_path / "python")


def test_a_run_goes_on_in_the_middle_of_an_episode_and_by_the_other_driver(tmp_path: Path) -> None:
    straight = run_of("Taxi-v4", 1_500, "compiled")
    train(straight, tmp_path / "straight")
    in_two(straight, 1_111, tmp_path / "two")
    assert digest(tmp_path / "two") == digest(tmp_path / "straight")
    train(replace(straight, steps=1_111), tmp_path / "changed")
    resume(tmp_path / "changed", steps=1_500, driver="python")
    assert digest(tmp_path / "changed") == digest(tmp_path / "straight")


# --- What it gives, and what it refuses ---


def corridor_spec() -> EnvSpec:
    return make_env(CORRIDOR, training=True).spec


def test_the_policy_is_the_softmax_of_the_preferences_and_stays_stochastic() -> None:
    agent = ReinforceConfig(initial_preferences=(0.0, np.log(3.0))).build(
        corridor_spec(), np.random.default_rng(0), "cpu"
    )
    policy = agent.policy()
    assert isinstance(policy, SoftmaxTable)
    rows = np.zeros(4_000, np.int64)
    step = TimeStep(rows, np.zeros(4_000), np.ones(4_000), rows == 0, rows != 0)
    np.testing.assert_allclose(policy.probabilities(step)[0], [0.25, 0.75])
    assert policy.act(step, np.random.default_rng(1)).mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 1.1}, "agent.gamma must be between 0 and 1, got 1.1"),
        ({"gamma": float("nan")}, "agent.gamma must be between 0 and 1, got nan"),
        ({"policy_step_size": -0.1}, "agent.policy_step_size must not be negative, and finite, got -0.1"),
        (
            {"policy_step_size_end": float("inf")},
            "agent.policy_step_size_end must not be negative, and finite, got inf",
        ),
        ({"baseline_step_size": float("nan")}, "agent.baseline_step_size must not be negative, and finite, got nan"),
        ({"baseline_step_size_end": -1.0}, "agent.baseline_step_size_end must not be negative, and finite, got -1.0"),
        ({"step_size_decay_steps": -1}, "agent.step_size_decay_steps must not be negative, got -1"),
        ({"initial_preferences": (float("inf"), 0.0)}, "agent.initial_preferences must be finite, got (inf, 0.0)"),
        ({"bins": (0,)}, "agent.bins must be positive whole numbers, got (0,)"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        ReinforceConfig(**settings)
    assert str(caught.value) == message


def test_preferences_must_be_one_for_each_action() -> None:
    with pytest.raises(
        UserError, match=r"^agent.initial_preferences must have 2 values for tengen/ShortCorridor-v0, one"
    ):
        ReinforceConfig(initial_preferences=(1.0, 2.0, 3.0)).build(corridor_spec(), np.random.default_rng(0), "cpu")


def test_a_continuous_space_needs_a_discretiser() -> None:
    spec = make_env(EnvConfig("CartPole-v1"), training=True).spec
    with pytest.raises(
        UserError, match=r"^reinforce keeps a table, and CartPole-v1 has the observations .* give --agent"
    ):
        ReinforceConfig().build(spec, np.random.default_rng(0), "cpu")

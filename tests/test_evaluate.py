from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from tengen.envs import EnvConfig, make_env
from tengen.evaluate import evaluate, evaluation_seed
from tengen.types import EnvSpec, Ints, TimeStep


class ConstantPolicy:
    def __init__(self, action: int) -> None:
        self.action = action

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        return np.full(len(step.reward), self.action)


class LengthsFromSeeds:
    """An environment whose episode of seed s lasts 1 + s % 5 steps and pays s at each."""

    def __init__(self, num_envs: int) -> None:
        self.spec = EnvSpec("lengths", gym.spaces.Discrete(100), gym.spaces.Discrete(2), num_envs)
        self.seeds = np.zeros(num_envs, np.int64)
        self.time = np.zeros(num_envs, np.int64)
        self.last = np.zeros(num_envs, bool)
        self.first = np.ones(num_envs, bool)

    def _step(self, reward: np.ndarray) -> TimeStep:
        return TimeStep(self.time.copy(), reward, np.where(self.last, 0.0, 1.0), self.first.copy(), self.last.copy())

    def reset(self, seed: int | Ints) -> TimeStep:
        self.last[:] = True
        return self.reset_done(np.asarray(seed))

    def step(self, actions: Ints) -> TimeStep:
        assert not self.last.any(), "a finished row was stepped"
        self.time += 1
        self.first[:] = False
        self.last = self.time >= 1 + self.seeds % 5
        return self._step(self.seeds.astype(float))

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        assert seeds is not None
        self.seeds[self.last] = seeds[self.last]
        self.time[self.last] = 0
        self.first[self.last] = True
        self.last[:] = False
        return self._step(np.zeros(len(self.seeds)))


@pytest.mark.parametrize("num_envs", [1, 2, 3, 7, 20])
def test_it_plays_the_episodes_of_n_seeds_in_a_row_and_not_the_first_n_to_finish(num_envs: int) -> None:
    result = evaluate(ConstantPolicy(0), LengthsFromSeeds(num_envs), 12, seed=30)  # type: ignore[arg-type]  # a toy
    assert result is not None
    seeds = np.arange(30, 42)
    np.testing.assert_array_equal(result.lengths, 1 + seeds % 5)
    np.testing.assert_array_equal(result.returns, seeds * (1 + seeds % 5))


def test_an_episode_is_the_one_that_gymnasium_plays_with_that_seed() -> None:
    result = evaluate(ConstantPolicy(1), make_env(EnvConfig("CartPole-v1", 2), training=False), 5, seed=100)
    assert result is not None
    for i in range(5):
        env = gym.make("CartPole-v1")
        env.reset(seed=100 + i)
        length, over = 0, False
        while not over:
            over = env.step(1)[2]
            length += 1
        assert result.lengths[i] == length


def test_runs_with_different_seeds_are_evaluated_on_different_episodes() -> None:
    first = [evaluation_seed(seed) for seed in (0, 1, 2, 12_345)]
    assert first == [1_000_000, 1_010_000, 1_020_000, 124_450_000]
    assert evaluation_seed(2**40) + 10_000 < 2**31


def test_random_actions_come_at_the_rate_of_epsilon() -> None:
    def length(epsilon: float) -> float:
        env = make_env(EnvConfig("CartPole-v1", 4), training=False)
        result = evaluate(ConstantPolicy(1), env, 40, 0, epsilon=epsilon)
        assert result is not None
        return float(result.lengths.mean())

    assert length(0.0) < 10.5
    assert 18 < length(1.0) < 27  # a random policy's 22


@pytest.mark.parametrize("env_id", ["CartPole-v1", "tengen/TicTacToe-v0"])
def test_random_actions_belong_to_the_episode_however_many_environments_play(env_id: str) -> None:
    def play(num_envs: int, seed: int = 50) -> tuple[list[float], list[int]]:
        env = make_env(EnvConfig(env_id, num_envs), training=False)
        result = evaluate(Lowest(), env, 12, seed, epsilon=0.5)
        assert result is not None
        return result.returns.tolist(), result.lengths.tolist()

    alone = play(1)
    assert len(set(alone[1])) > 1, "nothing was random"
    for num_envs in (2, 5, 12, 16):
        assert play(num_envs) == alone
    later = play(3, seed=53)  # an episode's draws follow from its own seed
    assert (later[0][:9], later[1][:9]) == (alone[0][3:], alone[1][3:])


def test_random_actions_differ_between_rows_and_steps() -> None:
    seen: list[tuple[int, ...]] = []

    class Watched(LengthsFromSeeds):
        def step(self, actions: Ints) -> TimeStep:
            seen.append(tuple(actions.tolist()))
            return super().step(actions)

    evaluate(ConstantPolicy(0), Watched(6), 60, 0, epsilon=1.0)  # type: ignore[arg-type]  # a toy
    assert len(set(seen)) > len(seen) // 2
    assert {action for actions in seen for action in actions} == {0, 1}


class Lowest:
    """The lowest legal action."""

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        if step.legal is None:
            return np.zeros(len(step.reward), np.int64)
        actions: Ints = step.legal.argmax(1)
        return actions


def test_a_draw_and_a_win_are_counted_from_the_side_that_moved_first() -> None:
    result = evaluate(Lowest(), make_env(EnvConfig("tengen/TicTacToe-v0", 3), training=False), 3, 0)
    assert result is not None
    # Squares 0 1 2 3 4 5 6: the first player holds 0 2 4 6, the diagonal 2 4 6, and wins with the seventh move.
    np.testing.assert_array_equal(result.lengths, 7)
    np.testing.assert_array_equal(result.returns, 1.0)


def test_the_summary_gives_the_interval_of_the_mean() -> None:
    result = evaluate(ConstantPolicy(0), LengthsFromSeeds(1), 4, seed=0)  # type: ignore[arg-type]  # a toy
    assert result is not None
    summary = result.summary()  # returns 0, 2, 6, 12
    assert summary["return_mean"] == 5.0
    assert summary["return_std"] == pytest.approx(5.2915, abs=1e-4)
    assert summary["return_ci95"] == pytest.approx(1.96 * 5.2915 / 2, abs=1e-3)
    assert (summary["return_min"], summary["return_max"], summary["length_mean"]) == (0.0, 12.0, 2.5)


def test_it_is_given_up_when_asked_to_stop() -> None:
    assert evaluate(ConstantPolicy(0), LengthsFromSeeds(1), 4, 0, should_stop=lambda: True) is None  # type: ignore[arg-type]  # a toy

"""GymnasiumEnvironment: semantics of ends, seeds, exact restore, and what a user is told."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Tuple

from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.envs.gymnasium_env import GymnasiumEnvironment
from tengen.errors import UserError
from tengen.types import Array, Ints, TimeStep


class Scripted(gym.Env[Any, Any]):
    """Counts steps in an observation buffer that it reuses; each episode ends as `ends` says after `length` steps."""

    metadata = {"render_modes": []}  # noqa: RUF012, Gymnasium's own declaration

    def __init__(
        self,
        length: int = 3,
        ends: tuple[bool, bool] = (True, False),
        mask: list[int] | None = None,
        start: int = 0,
        space: gym.Space[Any] | None = None,
        shape: tuple[int, ...] = (2,),
    ) -> None:
        self.length, self.ends, self.mask = length, ends, mask
        self.observation_space = Box(-1e9, 1e9, (2,), np.float64) if space is None else space
        self.action_space = Discrete(3, start=start)
        self.buffer = np.zeros(shape)
        self.actions: list[int] = []

    def info(self) -> dict[str, Any]:
        return {} if self.mask is None else {"action_mask": np.array(self.mask, np.int8)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.buffer[...] = 0.0
        self.buffer[..., 0] = seed or 0
        return self.buffer, self.info()

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.buffer[..., -1] += 1.0
        over = self.buffer[..., -1].max() >= self.length
        return self.buffer, 2.0, over and self.ends[0], over and self.ends[1], self.info()


class Irreproducible(Scripted):
    """Differs from one instance to the next in something that no seed reaches: `odd` of what `quirk` names."""

    instances = 0

    def __init__(self, quirk: str = "observation") -> None:
        super().__init__(length=50)
        Irreproducible.instances += 1
        self.number, self.quirk = Irreproducible.instances, quirk

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        if self.quirk == "observation" and self.buffer[1] == 4:
            observation = observation + self.number
        if self.quirk == "reward":
            reward = float(self.number)
        if self.quirk == "end":
            terminated = self.buffer[1] >= 2 and self.number % 2 == 0
        if self.quirk == "sooner":
            terminated, observation = self.buffer[1] >= (2 if self.number % 2 == 0 else 4), np.zeros(2)
        return observation, reward, terminated, truncated, info


gym.register("tengen_test/Scripted-v0", lambda **kwargs: Scripted(**kwargs))
gym.register("tengen_test/Irreproducible-v0", lambda **kwargs: Irreproducible(**kwargs))


def make(env_id: str, num_envs: int = 1, action_mask: bool = False, **kwargs: Any) -> Environment:
    return make_env(EnvConfig(env_id, num_envs=num_envs, action_mask=action_mask, kwargs=kwargs), training=True)


def scripted(num_envs: int = 1, action_mask: bool = False, **kwargs: Any) -> Environment:
    return make("tengen_test/Scripted-v0", num_envs, action_mask, **kwargs)


def zeros(env: Environment) -> Ints:
    return np.zeros(env.spec.num_envs, np.int64)


def assert_same(one: TimeStep, other: TimeStep) -> None:
    for name, a, b in zip(TimeStep._fields, one, other, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name, strict=True)


def arrays(step: TimeStep) -> list[Array]:
    return [array for array in step[:6] if array is not None]


def play(env: Environment, seed: int, num_steps: int) -> list[TimeStep]:
    rng = np.random.default_rng(seed)
    steps = []
    for _ in range(num_steps):
        actions = rng.integers(env.spec.num_actions, size=env.spec.num_envs)
        steps += [env.step(actions), env.reset_done()]
    return steps


def test_the_spec_is_the_environments() -> None:
    spec = make("CartPole-v1", 3).spec
    assert (spec.id, spec.num_envs, spec.num_actions, spec.max_episode_steps) == ("CartPole-v1", 3, 2, 500)
    assert spec.observation_space.shape == (4,)
    assert not spec.has_legal
    assert make("CartPole-v1", max_episode_steps=7).spec.max_episode_steps == 7


def test_a_time_step_has_the_types_and_shapes_of_the_contract() -> None:
    cart_pole, lake = make("CartPole-v1", 3).reset(0), make("FrozenLake-v1", 3).reset(0)
    assert cart_pole.observation.dtype == np.float32
    assert cart_pole.observation.shape == (3, 4)
    assert lake.observation.dtype == np.int64
    assert lake.observation.shape == (3,)
    for step in (cart_pole, lake):
        assert [array.dtype for array in step[1:5]] == [np.float64, np.float64, np.bool_, np.bool_]
        assert [array.shape for array in step[1:5]] == [(3,)] * 4
        assert step.legal is None


def test_a_fallen_pole_is_terminated_and_a_car_out_of_time_is_truncated() -> None:
    pole = make("CartPole-v1")
    pole.reset(0)
    steps = [pole.step(zeros(pole))]
    while not steps[-1].last[0]:
        steps.append(pole.step(zeros(pole)))
    assert [step.discount[0] for step in steps] == [1.0] * (len(steps) - 1) + [0.0]

    car = make("MountainCar-v0")
    car.reset(0)
    steps = [car.step(zeros(car)) for _ in range(200)]
    assert [step.last[0] for step in steps] == [False] * 199 + [True]
    assert all(step.discount[0] == 1.0 for step in steps)


@pytest.mark.parametrize(
    ("ends", "discount"), [((True, False), 0.0), ((False, True), 1.0), ((True, True), 0.0)], ids=str
)
def test_only_termination_sets_discount_to_zero(ends: tuple[bool, bool], discount: float) -> None:
    env = scripted(length=1, ends=ends)
    first = env.reset(0)
    assert (first.reward[0], first.discount[0], first.first[0], first.last[0]) == (0.0, 1.0, True, False)
    step = env.step(zeros(env))
    assert (step.reward[0], step.discount[0], step.first[0], step.last[0]) == (2.0, discount, False, True)


def test_the_final_observation_is_delivered_before_the_next_episodes_first() -> None:
    env, plain = make("CartPole-v1", 1), gym.make("CartPole-v1")
    step = env.reset(np.array([11]))
    plain.reset(seed=11)
    while not step.last[0]:
        step = env.step(np.array([1]))
        expected = plain.step(1)[0]
        np.testing.assert_array_equal(step.observation[0], expected)
    assert abs(step.observation[0, 2]) > 0.2  # fallen
    start = env.reset_done()
    assert np.abs(start.observation).max() <= 0.05
    assert (start.first[0], start.last[0], start.reward[0], start.discount[0]) == (True, False, 0.0, 1.0)


def test_a_reset_of_finished_rows_leaves_the_others_untouched() -> None:
    env, twin = make("CartPole-v1", 4), make("CartPole-v1", 4)
    seeds = np.arange(4)
    env.reset(seeds)
    twin.reset(seeds)
    rng = np.random.default_rng(0)
    resets = 0
    for _ in range(200):
        actions = rng.integers(2, size=4)
        step = env.step(actions)
        after = env.reset_done()
        for row in range(4):
            if step.last[row]:
                assert after.first[row]
                resets += 1
            else:
                for one, other in zip(arrays(step), arrays(after), strict=True):
                    np.testing.assert_array_equal(one[row], other[row])
        twin.step(actions)
        twin.reset_done()
    assert resets > 10
    assert_same(env.reset_done(), twin.reset_done())


def test_reset_done_with_no_finished_row_is_a_plain_look() -> None:
    env = make("CartPole-v1", 2)
    assert_same(env.reset(3), env.reset_done())
    assert_same(env.step(zeros(env)), env.reset_done())


def test_stepping_a_finished_row_is_our_own_mistake() -> None:
    env = scripted(length=1)
    env.reset(0)
    env.step(zeros(env))
    with pytest.raises(AssertionError, match="finished"):
        env.step(zeros(env))


def test_returned_arrays_are_the_callers_own() -> None:
    env, twin = scripted(2, length=4), scripted(2, length=4)
    kept = [env.reset(0)]
    copies = [[array.copy() for array in arrays(kept[0])]]
    twin.reset(0)
    for _ in range(9):
        for call in ("step", "reset_done"):
            step = env.step(zeros(env)) if call == "step" else env.reset_done()
            assert_same(step, twin.step(zeros(env)) if call == "step" else twin.reset_done())
            kept.append(step)
            copies.append([array.copy() for array in arrays(step)])
    for step, copy in zip(kept, copies, strict=True):
        for one, other in zip(arrays(step), copy, strict=True):
            np.testing.assert_array_equal(one, other)
    for array in arrays(kept[-1]):
        array[:] = 0  # what a caller does with them changes nothing in the environment
    assert_same(env.reset_done(), twin.reset_done())


def test_a_seed_of_a_rows_own_gives_the_episode_that_gymnasium_gives() -> None:
    env = make("CartPole-v1", 3)
    seeds = np.array([7, 8, 123456789])
    step = env.reset(seeds)
    for row, seed in enumerate(seeds):
        np.testing.assert_array_equal(step.observation[row], gym.make("CartPole-v1").reset(seed=int(seed))[0])
    while not step.last.any():
        step = env.step(zeros(env))
    row = int(step.last.argmax())
    step = env.reset_done(np.array([40, 41, 42]))
    np.testing.assert_array_equal(step.observation[row], gym.make("CartPole-v1").reset(seed=40 + row)[0])


def test_one_seed_gives_rows_and_episodes_that_differ_and_repeat() -> None:
    env, again, other = scripted(3, length=1), scripted(3, length=1), scripted(3, length=1)

    def seeds_of_ten_episodes(env: Environment, seed: int | Ints) -> Array:
        rows = [env.reset(seed).observation[:, 0]]
        for _ in range(9):
            env.step(zeros(env))
            rows.append(env.reset_done().observation[:, 0])
        return np.array(rows)

    seeds = seeds_of_ten_episodes(env, 5)
    assert len(set(seeds.ravel())) == 30
    assert seeds.max() < 2**31
    np.testing.assert_array_equal(seeds, seeds_of_ten_episodes(again, 5))
    assert not np.isin(seeds, seeds_of_ten_episodes(other, 6)).any()
    np.testing.assert_array_equal(seeds, seeds_of_ten_episodes(other, 5))  # a reset forgets what was
    own = seeds_of_ten_episodes(env, np.array([3, 4, 3]))
    np.testing.assert_array_equal(own[0], [3, 4, 3])
    np.testing.assert_array_equal(own[:, 0], own[:, 2])  # a row's later episodes follow from its own seed
    assert not np.isin(own[1:, 0], own[1:, 1]).any()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1", "Taxi-v4", "Acrobot-v1"])
@pytest.mark.parametrize("num_steps", [0, 5, 333])
def test_a_restored_environment_goes_on_exactly(env_id: str, num_steps: int) -> None:
    action_mask = env_id.startswith("Taxi")
    env, restored = make(env_id, 3, action_mask), make(env_id, 3, action_mask)
    env.reset(9)
    current = play(env, 1, num_steps)[-1] if num_steps else env.reset_done()
    restored.load_state_dict(as_saved(env.state_dict()))
    assert_same(current, restored.reset_done())
    for one, other in zip(play(env, 2, 300), play(restored, 2, 300), strict=True):
        assert_same(one, other)
    assert json.dumps(env.state_dict(), default=np.ndarray.tolist) == json.dumps(
        restored.state_dict(), default=np.ndarray.tolist
    )


def as_saved(tree: Any) -> Any:
    """A copy that shares nothing, as a checkpoint would return it."""
    if isinstance(tree, dict):
        return {name: as_saved(branch) for name, branch in tree.items()}
    if isinstance(tree, list):
        return [as_saved(branch) for branch in tree]
    return tree.copy() if isinstance(tree, np.ndarray) else json.loads(json.dumps(tree))


def test_a_state_taken_between_an_end_and_the_reset_goes_on_exactly() -> None:
    env, restored = make("CartPole-v1", 2), make("CartPole-v1", 2)
    step = env.reset(0)
    while not step.last.any():
        step = env.step(np.ones(2, np.int64))
    restored.load_state_dict(as_saved(env.state_dict()))
    assert_same(env.reset_done(), restored.reset_done())
    assert_same(env.step(zeros(env)), restored.step(zeros(env)))


def test_continuous_actions_are_replayed_exactly() -> None:
    env, restored = make("Pendulum-v1"), make("Pendulum-v1")
    env.reset(0)
    torque: Array = np.array([[0.3]])  # float64: the space is float32
    for _ in range(20):
        env.step(torque)
    restored.load_state_dict(as_saved(env.state_dict()))
    assert_same(env.step(torque), restored.step(torque))


def test_taking_a_state_changes_nothing() -> None:
    env, twin = make("FrozenLake-v1", 2), make("FrozenLake-v1", 2)
    env.reset(0)
    twin.reset(0)
    for _ in range(50):
        env.state_dict()
        assert_same(env.step(zeros(env)), twin.step(zeros(env)))
        env.state_dict()
        assert_same(env.reset_done(), twin.reset_done())


@pytest.mark.parametrize("quirk", ["observation", "reward", "end", "sooner"])
def test_an_irreproducible_environment_is_detected_at_load(quirk: str) -> None:
    env_id = "tengen_test/Irreproducible-v0"
    Irreproducible.instances = 0
    env, restored = make(env_id, quirk=quirk), make(env_id, quirk=quirk)
    env.reset(0)
    for _ in range(4):
        env.step(zeros(env))
    with pytest.raises(UserError, match=r"can't be resumed exactly.* 4 actions.*isn't reproducible"):
        restored.load_state_dict(as_saved(env.state_dict()))


def test_a_damaged_action_or_seed_is_detected_at_load() -> None:
    env = make("CartPole-v1", 2)
    env.reset(0)
    play(env, 0, 8)
    for change in ("actions", "seed"):
        state = as_saved(env.state_dict())
        if change == "actions":
            state["rows"][1]["actions"][-1] ^= 1
        else:
            state["rows"][1]["seed"] += 1
        with pytest.raises(UserError, match="can't be resumed exactly"):
            make("CartPole-v1", 2).load_state_dict(state)


def test_the_state_of_another_environment_is_refused() -> None:
    env = make("CartPole-v1", 2)
    env.reset(0)
    for other in (make("CartPole-v1", 3), make("Acrobot-v1", 2), make("FrozenLake-v1", 2)):
        with pytest.raises(UserError, match="saved environment is another"):
            other.load_state_dict(env.state_dict())
    state = as_saved(env.state_dict())
    state["step"]["observation"] = state["step"]["observation"].astype(np.float64)
    with pytest.raises(UserError, match=r"'observation' is float64 \(2, 4\), expected float32"):
        make("CartPole-v1", 2).load_state_dict(state)


def test_masks_become_legal_actions() -> None:
    env, plain = make("Taxi-v4", 2, action_mask=True), gym.make("Taxi-v4")
    assert env.spec.has_legal
    step = env.reset(np.array([4, 5]))
    _, info = plain.reset(seed=4)
    for action in (0, 1, 2, 3, 0):
        assert step.legal is not None
        assert step.legal.dtype == np.bool_
        assert step.legal.shape == (2, 6)
        np.testing.assert_array_equal(step.legal[0], info["action_mask"].astype(bool))
        step = env.step(np.array([action, action]))
        info = plain.step(action)[4]


@pytest.mark.parametrize(("ends", "legal"), [((True, False), [True] * 3), ((False, True), [True, False, True])])
def test_all_actions_count_as_legal_where_an_episode_has_terminated(ends: tuple[bool, bool], legal: list[bool]) -> None:
    env = scripted(action_mask=True, length=1, ends=ends, mask=[1, 0, 1])
    first = env.reset(0)
    assert first.legal is not None
    assert first.legal.tolist() == [[True, False, True]]
    step = env.step(zeros(env))
    assert step.legal is not None
    assert step.legal.tolist() == [legal]
    again = env.reset_done()
    assert again.legal is not None
    assert again.legal.tolist() == [[True, False, True]]


def test_a_mask_is_ignored_unless_asked_for() -> None:
    assert make("Taxi-v4").reset(0).legal is None


def test_a_missing_or_empty_mask_is_refused() -> None:
    with pytest.raises(UserError, match=r"CartPole-v1 gives no info\['action_mask'\]"):
        make("CartPole-v1", action_mask=True).reset(0)
    with pytest.raises(UserError, match="without any legal action"):
        scripted(action_mask=True, mask=[0, 0, 0]).reset(0)
    with pytest.raises(UserError, match="only discrete actions can be masked"):
        make("Pendulum-v1", action_mask=True)


def test_actions_are_numbered_from_zero_wherever_the_space_starts() -> None:
    inner = Scripted(length=99, start=5)
    env = GymnasiumEnvironment("offset", [inner])
    assert env.spec.action_space == Discrete(3)
    env.reset(0)
    for action in (0, 2, 1):
        env.step(np.array([action]))
    assert inner.actions == [5, 7, 6]
    restored = Scripted(length=99, start=5)
    GymnasiumEnvironment("offset", [restored]).load_state_dict(as_saved(env.state_dict()))
    assert restored.actions == [5, 7, 6]


@pytest.mark.parametrize("action", [-1, 2])
def test_an_action_that_does_not_exist_is_our_own_mistake(action: int) -> None:
    env = make("CartPole-v1")
    env.reset(0)
    with pytest.raises(AssertionError, match="only 2 exist"):
        env.step(np.array([action]))


def test_continuous_actions_can_be_made_and_are_passed_on() -> None:
    env, plain = make("Pendulum-v1", 2), gym.make("Pendulum-v1")
    assert isinstance(env.spec.action_space, Box)
    env.reset(np.array([1, 2]))
    plain.reset(seed=2)
    torque = np.array([[0.5], [-1.5]], np.float32)
    np.testing.assert_array_equal(env.step(torque).observation[1], plain.step(torque[1])[0])  # type: ignore[arg-type]


def test_a_module_before_the_id_is_imported() -> None:
    assert make("gymnasium:CartPole-v1").spec.num_actions == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EnvConfig("CartPol-v1"), r"no environment is called 'CartPol-v1'\. Did you mean 'CartPole-v1'\?"),
        (EnvConfig("CartPole-v9"), r"'CartPole-v9'\. Did you mean 'CartPole-v1'\?"),
        (EnvConfig("CartPole"), r"'CartPole'\. Did you mean 'CartPole-v1'\?"),
        (EnvConfig("tengen/TicTacTo-v0"), r"Did you mean 'tengen/TicTacToe-v0'\?"),
        (EnvConfig("a b!"), "no environment is called 'a b!'"),
        (EnvConfig(""), "no environment is called ''"),
        (EnvConfig("Taxi-v3"), "'Taxi-v3'.*`Taxi-v4`"),
        (EnvConfig("CliffWalking-v0"), "'CliffWalking-v0'.*`CliffWalking-v1`"),
        (EnvConfig("no_such_module:Thing-v0"), "'no_such_module', which can't be imported"),
        (EnvConfig("CartPole-v1", protocol="nature2015"), "CartPole-v1 has no protocol 'nature2015'.*--protocol"),
        (EnvConfig("CartPole-v1", kwargs={"foo": 1}), "CartPole-v1 can't be made with foo=1: .*'foo'"),
        (EnvConfig("FrozenLake-v1", kwargs={"map_name": "9x9"}), "can't be made with map_name='9x9'"),
        (EnvConfig("CartPole-v1", kwargs={"render_mode": "oil"}), "no render_mode 'oil', it has: human, rgb_array"),
    ],
    ids=lambda value: value.id if isinstance(value, EnvConfig) else "",
)
def test_what_can_not_be_made_is_explained_in_one_line(config: EnvConfig, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make_env(config, training=True)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **kwargs: Any) -> Any:
        raise gym.error.DependencyNotInstalled("Box2D is not installed")

    monkeypatch.setattr(gym, "make", missing)  # whether it is installed here or not
    with pytest.raises(UserError, match=r"LunarLander-v3 needs a package.*pip install tengen\[box2d\]"):
        make("LunarLander-v3")
    with pytest.raises(UserError, match=r"Ant-v5 needs a package.*pip install \w+\[mujoco\]"):
        make("Ant-v5")
    with pytest.raises(UserError, match="Box2D is not installed"):
        scripted()


def test_an_observation_of_the_wrong_shape_is_refused_rather_than_broadcast() -> None:
    env = scripted(shape=(1,))
    with pytest.raises(UserError, match=r"shape \(1,\), its space says \(2,\)"):
        env.reset(0)


def test_an_observation_space_that_is_not_supported_is_refused() -> None:
    with pytest.raises(UserError, match=r"observation space Text.*Box, Discrete"):
        scripted(space=gym.spaces.Text(9))
    with pytest.raises(UserError, match="observation space Tuple"):
        scripted(space=Tuple([Discrete(2), gym.spaces.Text(9)]))


@pytest.mark.parametrize("space", [Box(-1, 1, (0,)), Box(0, 255, (0, 84, 84), np.uint8), gym.spaces.MultiDiscrete([])])
def test_an_observation_space_that_holds_nothing_is_refused(space: gym.Space[Any]) -> None:
    with pytest.raises(UserError, match="which holds no number"):
        scripted(space=space)


def test_half_floats_are_seen_as_floats_of_32_bits() -> None:
    env = scripted(space=Box(-2.5, 1e4, (2,), np.float16))
    assert env.spec.observation_space == Box(-2.5, 1e4, (2,), np.float32)
    assert env.reset(np.array([7])).observation.dtype == np.float32


@pytest.mark.parametrize("space", [Tuple([Discrete(5), Discrete(9)]), gym.spaces.MultiDiscrete([5, 9])])
def test_the_parts_of_a_tuple_lie_in_a_row(space: gym.Space[Any]) -> None:
    step = scripted(space=space, num_envs=2).reset(np.array([3, 4]))
    assert step.observation.dtype == np.int64
    assert step.observation.tolist() == [[3, 0], [4, 0]]


class Painter(Scripted):
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> Any:
        return np.full((4, 6, 3), int(self.buffer[1]), np.uint8)


gym.register("tengen_test/Painter-v0", lambda **kwargs: Painter(**kwargs))


class Window(Painter):
    """Opens a window at its first reset, where there is no display."""

    metadata = {"render_modes": ["human", "rgb_array"]}  # noqa: RUF012

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if self.render_mode == "human":
            raise RuntimeError("x11 not available")
        return super().reset(seed=seed, options=options)


gym.register("tengen_test/Window-v0", lambda **kwargs: Window(**kwargs))


def test_a_missing_display_is_named_before_anything_begins() -> None:
    message = r"Window-v0 can't start with render_mode='human'.*display: x11 not available; without it"
    with pytest.raises(UserError, match=message):
        make("tengen_test/Window-v0", render_mode="human")
    make("tengen_test/Window-v0").reset(0)


def test_a_picture_is_drawn_where_it_can_be() -> None:
    env = make("tengen_test/Painter-v0", render_mode="rgb_array")
    assert isinstance(env, GymnasiumEnvironment)
    env.reset(0)
    env.step(zeros(env))
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape == (4, 6, 3)
    assert picture.max() == 1


def test_why_there_is_no_picture_is_said() -> None:
    for env_id, reason in (
        ("tengen_test/Painter-v0", "render_mode='rgb_array'"),
        ("tengen_test/Scripted-v0", "itself"),
    ):
        env = make(env_id)
        assert isinstance(env, GymnasiumEnvironment)
        env.reset(0)
        with pytest.raises(UserError, match=f"no picture of {env_id}: .*{reason}"):
            env.render()

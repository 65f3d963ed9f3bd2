from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from ale_py.env import AtariEnv
from ale_py.vector_env import AtariVectorEnv

from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.envs.atari import AtariEnvironment, game_ids
from tengen.envs.protocols import load_protocol
from tengen.errors import UserError
from tengen.types import Array, Ints, State, TimeStep

MakeGame = Callable[..., AtariEnvironment]


@pytest.fixture
def make_game() -> Iterator[MakeGame]:
    made = []

    def make(
        game: str = "Breakout", num_envs: int = 1, protocol: str = "nature2015", training: bool = True, **changes: Any
    ) -> AtariEnvironment:
        env = make_env(EnvConfig(f"ALE/{game}-v5", num_envs, protocol, kwargs=changes), training=training)
        assert isinstance(env, AtariEnvironment)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def play(env: AtariEnvironment, num_steps: int, seed: int = 0) -> list[TimeStep]:
    """Random actions, with resets; every TimeStep of step and of reset_done."""
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(num_steps):
        seen.append(env.step(rng.integers(env.spec.num_actions, size=env.spec.num_envs)))
        seen.append(env.reset_done())
    return seen


def difference(one: TimeStep, other: TimeStep) -> list[str]:
    pairs = zip(one._fields, one, other, strict=True)
    return [name for name, a, b in pairs if not (a is b is None or np.array_equal(a, b))]


def assert_same(some: list[TimeStep], others: list[TimeStep]) -> None:
    assert len(some) == len(others)
    for i, (one, other) in enumerate(zip(some, others, strict=True)):
        assert not difference(one, other), f"call {i} differs in {difference(one, other)}"


def copy_of(state: State) -> State:
    return {
        **{key: value.copy() for key, value in state.items() if isinstance(value, np.ndarray)},
        "rom": state["rom"],
        "traces": [trace.copy() for trace in state["traces"]],
        "step": {key: value.copy() for key, value in state["step"].items()},
    }


# What a TimeStep says


def test_lives_fall_from_5_to_0_in_one_training_game_with_discount_0_at_each_and_no_reset(make_game: MakeGame) -> None:
    env = make_game()
    step = env.reset(0)
    assert step.first.all()
    assert step.discount[0] == 1
    rng = np.random.default_rng(0)
    lives, at_losses = [5], []
    while not step.last[0]:
        step = env.step(rng.integers(4, size=1))
        assert not step.first[0]
        if env._lives[0] < lives[-1]:
            lives.append(int(env._lives[0]))
            at_losses.append((step.discount[0], step.last[0]))
        else:
            assert step.discount[0] == 1
    assert lives == [5, 4, 3, 2, 1, 0]
    assert at_losses == [(0, False)] * 4 + [(0, True)]


def test_stacks_run_on_across_a_life_loss_and_are_zero_padded_at_a_games_start(make_game: MakeGame) -> None:
    env = make_game()
    before = env.reset(0)
    losses = games = 0
    for step in play(env, 400):
        stack = step.observation[0]
        if step.first[0]:
            assert not stack[:3].any()
            assert stack[3].any()
            games += 1
        elif step is not before:
            assert np.array_equal(stack[:3], before.observation[0][1:])
            losses += step.discount[0] == 0 and not step.last[0]
        before = step
    assert losses >= 4
    assert games >= 1


def test_training_clips_rewards_and_keeps_the_score(make_game: MakeGame) -> None:
    env = make_game("SpaceInvaders")
    assert env.reset(1).score is not None
    steps = play(env, 300)
    scores = np.array([step.score for step in steps])
    assert scores.max() >= 5
    assert np.array_equal([step.reward for step in steps], np.clip(scores, -1, 1))


def test_evaluation_gives_the_games_own_score_and_whole_games(make_game: MakeGame) -> None:
    trained, evaluated = make_game("SpaceInvaders"), make_game("SpaceInvaders", training=False)
    trained.reset(np.array([1]))
    evaluated.reset(np.array([1]))
    lost_lives = 0
    for raw, clipped in zip(play(evaluated, 300), play(trained, 300), strict=True):
        assert raw.score is None
        assert clipped.score is not None
        assert np.array_equal(raw.reward, clipped.score)
        assert raw.discount[0] == 1 - raw.last[0]
        lost_lives += clipped.discount[0] == 0
    assert lost_lives >= 2


def test_the_frame_limit_truncates_and_leaves_discount_alone(make_game: MakeGame) -> None:
    env = make_game("Pong", 2, training_max_frames=42)  # 11 steps: ten of 4 frames, one of 2
    assert env.spec.max_episode_steps == 11
    env.reset(0)
    for step in [env.step(np.zeros(2, np.int64)) for _ in range(11)]:
        assert step.discount.all()
        assert not env._lives.any()
    assert step.last.all()
    assert env.reset_done().first.all()


class ScriptedGame:
    """Stands in for ALE's vector environment of one row."""

    def __init__(self, lives: list[int], terminated: list[bool], truncated: list[bool]) -> None:
        self._script = iter(zip(lives, terminated, truncated, strict=True))
        self._picture = np.zeros((1, 4, 84, 84), np.uint8)

    def step(self, actions: Ints) -> tuple[Array, Array, Array, Array, dict[str, Array]]:
        lives, terminated, truncated = next(self._script)
        info = {"lives": np.array([lives])}
        return self._picture, np.zeros(1, np.int32), np.array([terminated]), np.array([truncated]), info

    def reset(self, **_: Any) -> tuple[Array, dict[str, Array]]:
        return self._picture, {"lives": np.array([2])}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("lives", "terminated", "truncated", "discounts", "lasts"),
    [
        pytest.param([3, 2, 3, 2], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], id="lives-go-up"),
        pytest.param([1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], id="plays-on-at-0-lives"),
        pytest.param([2, 1], [0, 0], [0, 1], [1, 0], [0, 1], id="truncated-at-a-life-loss"),
        pytest.param([2, 2], [0, 1], [0, 0], [1, 0], [0, 1], id="over-with-lives-left"),
    ],
)
def test_only_a_fall_of_lives_is_a_loss_and_only_ale_ends_a_game(
    make_game: MakeGame,
    lives: list[int],
    terminated: list[bool],
    truncated: list[bool],
    discounts: list[int],
    lasts: list[int],
) -> None:
    env = make_game()
    env._env.close()
    env._env = ScriptedGame(lives, [bool(t) for t in terminated], [bool(t) for t in truncated])  # type: ignore[assignment]  # a stand-in
    env.reset(0)
    steps = [env.step(np.zeros(1, np.int64)) for _ in lives]
    assert [step.discount[0] for step in steps] == discounts
    assert [step.last[0] for step in steps] == lasts


# Protocols


def settings_of(make_game: MakeGame, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    class Spy(AtariVectorEnv):
        def __init__(self, game: str, num_envs: int, **settings: Any) -> None:
            seen.update(settings, game=game, num_envs=num_envs)
            super().__init__(game, num_envs, **settings)

    monkeypatch.setattr("tengen.envs.atari.AtariVectorEnv", Spy)
    make_game(**arguments)
    return seen


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["nature2015", "machado2018"])
def test_each_knob_of_a_protocol_arrives_in_ale(
    make_game: MakeGame, monkeypatch: pytest.MonkeyPatch, name: str, training: bool
) -> None:
    protocol = load_protocol(name)
    seen = settings_of(make_game, monkeypatch, protocol=name, training=training)
    noop_max = protocol.training_noop_max if training else protocol.evaluation_noop_max
    expected = {
        "repeat_action_probability": protocol.sticky_action_probability,
        "frameskip": protocol.frame_skip,
        "maxpool": protocol.max_pool,
        "stack_num": protocol.frame_stack,
        "img_height": protocol.screen_size,
        "img_width": protocol.screen_size,
        "grayscale": protocol.grayscale,
        "full_action_space": protocol.full_action_set,
        "use_fire_reset": protocol.fire_reset,
        "noop_max": noop_max + 1,
        "max_num_frames_per_episode": protocol.training_max_frames if training else protocol.evaluation_max_frames,
        "episodic_life": False,
        "reward_clipping": False,
    }
    assert {key: seen[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"sticky_action_probability": 0.125}, {"repeat_action_probability": 0.125}),
        ({"frame_skip": 2}, {"frameskip": 2}),
        ({"max_pool": False}, {"maxpool": False}),
        ({"frame_stack": 3}, {"stack_num": 3}),
        ({"screen_size": 48}, {"img_height": 48, "img_width": 48}),
        ({"grayscale": False}, {"grayscale": False}),
        ({"full_action_set": True}, {"full_action_space": True}),
        ({"fire_reset": True}, {"use_fire_reset": True}),
        ({"training_noop_max": 7}, {"noop_max": 8}),
        ({"training_max_frames": 77}, {"max_num_frames_per_episode": 77}),
        ({"evaluation_noop_max": 7, "evaluation_max_frames": 77}, {}),
    ],
)
def test_a_changed_knob_changes_its_setting_and_no_other(
    make_game: MakeGame, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    plain = settings_of(make_game, monkeypatch)
    changed = settings_of(make_game, monkeypatch, **changes)
    assert {key: value for key, value in changed.items() if value != plain[key]} == settings


def test_noops_are_at_most_the_protocols_number_of_frames(make_game: MakeGame) -> None:
    env = make_game("Pong", training_noop_max=2)
    env.reset(0)
    frames = {int(env._env.reset(seed=np.array([-1]))[1]["episode_frame_number"][0]) for _ in range(40)}
    assert frames == {0, 1, 2}


def test_an_environment_names_its_protocol_and_its_evaluation_epsilon(make_game: MakeGame) -> None:
    env = make_game(training=False, sticky_action_probability=0.25)
    assert env.protocol_name == "nature2015 (sticky_action_probability=0.25)"
    assert env.evaluation_epsilon == 0.05
    assert make_game(protocol="machado2018").spec.num_actions == 18
    assert env.spec.num_actions == 4
    assert env.spec.frame_stack == 4


def test_the_default_protocol_is_nature2015() -> None:
    env = make_env(EnvConfig("ALE/Pong-v5"), training=True)
    assert getattr(env, "protocol_name", None) == "nature2015"
    env.close()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EnvConfig("ALE/Brakeout-v5"), r"'ALE/Brakeout-v5'\. Did you mean 'ALE/Breakout-v5'\?"),
        (EnvConfig("ALE/breakout-v5"), "Did you mean 'ALE/Breakout-v5'"),
        (EnvConfig("ALE/Breakout-v4"), "Did you mean 'ALE/Breakout-v5'"),
        (EnvConfig("ALE/Combat-v5"), "no Atari game has the id"),
        (EnvConfig("ALE/Pong-v5", protocol="nature"), "Did you mean 'nature2015'"),
        (EnvConfig("ALE/Pong-v5", kwargs={"frameskip": 4}), "Did you mean 'frame_skip'"),
    ],
)
def test_a_wrong_name_gets_one_clear_message(config: EnvConfig, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env(config, training=True)


def test_game_ids_are_those_that_gymnasium_knows() -> None:
    assert "ALE/MsPacman-v5" in game_ids()
    assert "ALE/Pitfall2-v5" in game_ids()
    assert len(game_ids()) > 100


# Pictures


def area_resize(picture: Array, size: int) -> Array:
    """The mean over the area that each pixel of the smaller picture covers."""

    def weights(length: int) -> Array:
        edges = np.linspace(0, length, size + 1)
        cells = np.arange(length)
        covered = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
        clipped: Array = np.clip(covered, 0, 1) * size / length
        return clipped

    resized: Array = weights(picture.shape[0]) @ picture @ weights(picture.shape[1]).T
    return resized


def test_pictures_and_rewards_equal_those_of_a_single_ale_preprocessed_by_hand(make_game: MakeGame) -> None:
    env = make_game("Breakout", sticky_action_probability=0.25, training_noop_max=0)
    alone = AtariEnv("breakout", obs_type="grayscale", frameskip=1, repeat_action_probability=0.25)
    _, info = alone.reset(seed=1)
    ale_seed = int(np.random.SeedSequence(1).generate_state(2)[1])  # what AtariEnv makes of its seed
    assert ale_seed < 2**31
    step = env.reset(np.array([ale_seed]))
    rng = np.random.default_rng(0)
    num_steps = 0
    while not step.last[0]:
        action = rng.integers(4, size=1)
        step = env.step(action)
        frames: list[Array] = []
        reward, over = 0.0, False
        while len(frames) < 4 and not over:
            frame, frame_reward, over, _, info = alone.step(int(action[0]))
            frames.append(frame.astype(np.float64))
            reward += frame_reward
        assert step.score is not None
        assert step.score[0] == reward
        assert step.last[0] == over
        assert env._lives[0] == info["lives"]
        if not over:  # the last picture of a game cut in mid-step is ALE's own affair
            picture = area_resize(np.maximum(frames[2], frames[3]), 84)
            assert np.abs(picture - step.observation[0, -1]).max() <= 1  # rounding
        num_steps += 1
    assert num_steps > 100
    alone.close()


def test_render_shows_row_0_in_colour_whenever_it_is_asked(make_game: MakeGame) -> None:
    often, seldom = [make_game("Breakout", 2, sticky_action_probability=0.25) for _ in range(2)]
    for env in (often, seldom):
        env.reseed_after = 200
        env.reset(4)
    rng = np.random.default_rng(0)
    for i in range(450):  # over several games, and a reseeding
        action = rng.integers(4, size=2)
        step = often.step(action)
        assert not difference(step, seldom.step(action))
        if i % 3 == 0:
            often.render()
        often.reset_done()
        seldom.reset_done()
    assert often._num_drawn[0] > 1
    screen = often.render()
    assert screen.shape == (210, 160, 3)
    assert screen.dtype == np.uint8
    assert np.array_equal(screen, seldom.render())
    luminance = screen @ np.array([0.299, 0.587, 0.114])
    picture = step.observation[0, -1] if not step.last[0] else often.reset_done().observation[0, -1]
    assert np.abs(area_resize(luminance, 84) - picture).max() <= 3
    before = screen.copy()
    often.step(np.array([1, 1]))
    often.render()
    assert np.array_equal(screen, before)


# Seeds


def test_a_seed_gives_the_same_evaluation_game_in_any_row(make_game: MakeGame) -> None:
    first, second = [
        make_game("Breakout", 3, training=False, sticky_action_probability=0.25, evaluation_max_frames=160)
        for _ in range(2)
    ]
    first.reset(np.array([7, 8, 9]))
    second.reset(np.array([0, 1, 2]))
    for _ in range(40):
        second.step(np.array([1, 2, 3]))
    second.reset_done(np.array([9, 7, 8]))
    for i in range(40):
        ours, theirs = first.step(np.full(3, i % 4)), second.step(np.full(3, i % 4))
        for row, other in enumerate((1, 2, 0)):
            assert np.array_equal(ours.observation[row], theirs.observation[other])
            assert ours.reward[row] == theirs.reward[other]
    assert ours.last.all()
    assert not np.array_equal(ours.observation[0], ours.observation[1])


def test_reset_done_leaves_the_other_rows_untouched(make_game: MakeGame) -> None:
    env, twin = make_game("Breakout", 3), make_game("Breakout", 3)
    env.reset(0)
    twin.reset(0)
    rng = np.random.default_rng(0)
    step = env.reset_done()
    while not step.last.any():
        actions = rng.integers(4, size=3)
        step = env.step(actions)
        twin.step(actions)
    others = np.flatnonzero(~step.last)
    assert len(others)
    new = env.reset_done(np.array([50, 51, 52]))
    twin.reset_done()
    assert new.first.tolist() == step.last.tolist()
    for name in ("observation", "reward", "discount", "last", "score"):
        assert np.array_equal(getattr(new, name)[others], getattr(step, name)[others]), name
    for i in range(20):  # nor does another seed for the finished rows reach them later
        ours, theirs = env.step(np.full(3, i % 4)), twin.step(np.full(3, i % 4))
        assert np.array_equal(ours.observation[others], theirs.observation[others])
        env.reset_done()
        twin.reset_done()
    done = np.flatnonzero(step.last)
    assert not np.array_equal(ours.observation[done], theirs.observation[done])


def test_seeds_beyond_31_bits_are_taken_and_negative_ones_refused(make_game: MakeGame) -> None:
    env = make_game("Breakout", 2)
    one = env.reset(np.array([2**40, 2**40 + 1]))
    assert not difference(one, env.reset(np.array([2**40, 2**40 + 1])))
    env.reset(2**70)
    with pytest.raises(UserError, match="a seed must be 0 or more, got -1"):
        env.reset(-1)


def test_a_row_is_seeded_anew_only_at_a_games_end_once_its_trace_is_long(make_game: MakeGame) -> None:
    env = make_game("Breakout")
    env.reseed_after = 250
    env.reset(0)
    lengths = [0]
    for step in play(env, 700)[1::2]:
        trace = len(env._traces[0])
        if trace < lengths[-1]:
            assert step.first[0]
            assert lengths[-1] > 250
            assert trace == 0
        lengths.append(trace)
    assert env._num_drawn[0] >= 2
    assert max(lengths) < 250 + 2 * 250


# Restoring


def test_a_restored_environment_continues_byte_for_byte(make_game: MakeGame) -> None:
    """Four rows at different phases of their games: after life losses, over several games, some seeded anew."""
    env, other = [make_game("Breakout", 4, sticky_action_probability=0.25) for _ in range(2)]
    for each in (env, other):
        each.reseed_after = 250
    env.reset(0)
    play(env, 640)
    lengths = [len(trace) for trace in env._traces]
    assert len(set(lengths)) == 4
    assert (env._num_drawn > 1).any()
    assert any(-1 in trace for trace in env._traces)
    assert (env._lives < 5).any()
    state = copy_of(env.state_dict())

    other.reset(1)
    play(other, 30, seed=5)
    other.load_state_dict(state)
    assert not difference(env.reset_done(), other.reset_done())
    expected = play(env, 300, seed=1)
    assert any(step.last.any() for step in expected)
    assert_same(play(other, 300, seed=1), expected)
    for key in ("roots", "num_drawn", "seeds", "lives"):
        assert np.array_equal(env.state_dict()[key], other.state_dict()[key]), key


@pytest.mark.parametrize("after_reset", [False, True])
def test_a_state_can_be_taken_where_a_game_has_ended_and_where_the_next_began(
    make_game: MakeGame, after_reset: bool
) -> None:
    env, other = [make_game("Breakout", 2, sticky_action_probability=0.25) for _ in range(2)]
    step = env.reset(3)
    rng = np.random.default_rng(0)
    while not step.last.any():
        step = env.step(rng.integers(4, size=2))
    if after_reset:
        step = env.reset_done()
        assert step.first.any()
    other.load_state_dict(copy_of(env.state_dict()))
    assert not difference(env.reset_done(), other.reset_done())
    assert_same(play(other, 60), play(env, 60))


def test_all_rows_replay_at_once_and_end_together(make_game: MakeGame, monkeypatch: pytest.MonkeyPatch) -> None:
    env, other = [make_game("Breakout", 3) for _ in range(2)]
    env.reseed_after = 250
    env.reset(0)
    play(env, 420)
    num_actions = [sum(entry >= 0 for entry in trace) for trace in env._traces]
    assert len(set(num_actions)) > 1
    num_calls = 0
    step = other._env.step

    def counted(actions: Ints) -> Any:
        nonlocal num_calls
        num_calls += 1
        return step(actions)

    monkeypatch.setattr(other._env, "step", counted)
    other.load_state_dict(env.state_dict())
    assert num_calls == max(num_actions)


def test_an_environment_that_comes_out_otherwise_is_refused(make_game: MakeGame) -> None:
    env = make_game("Breakout", 2)
    env.reset(0)
    play(env, 30)
    state = copy_of(env.state_dict())
    state["traces"][1][3:] = 3
    with pytest.raises(UserError, match="could not be restored exactly"):
        make_game("Breakout", 2).load_state_dict(state)
    state["traces"][1][3:] = 17
    with pytest.raises(UserError, match="could not be restored exactly"):
        make_game("Breakout", 2).load_state_dict(state)


def test_the_state_of_another_game_or_number_of_rows_is_refused(make_game: MakeGame) -> None:
    env = make_game("Breakout", 2)
    env.reset(0)
    with pytest.raises(UserError, match="2 games of 'breakout', expected 1 of 'breakout'"):
        make_game("Breakout", 1).load_state_dict(env.state_dict())
    with pytest.raises(UserError, match="2 games of 'breakout', expected 2 of 'pong'"):
        make_game("Pong", 2).load_state_dict(env.state_dict())
    with pytest.raises(UserError, match="expected 2 of 'pong'"):
        make_game("Pong", 2).load_state_dict({"rng": {}})


@pytest.mark.parametrize(("training", "protocol"), [(True, "nature2015"), (False, "machado2018")])
def test_atari_meets_the_contract_of_an_environment(training: bool, protocol: str) -> None:
    from tengen.testing import check_environment

    changes = {"sticky_action_probability": 0.25, "training_max_frames": 120, "evaluation_max_frames": 150}

    def make(num_envs: int) -> Environment:
        return make_env(EnvConfig("ALE/Breakout-v5", num_envs, protocol, kwargs=changes), training=training)

    check_environment(make, num_envs=2, num_steps=75)

"""Atari games on ale-py's vector environment, under a named protocol; restored exactly by replaying.

ALE can't save a game together with its generators, so a row's state is the seed it was last seeded with and its trace:
every action and reset since. Replaying that gives the same game, byte for byte. A seeded reset takes 70 ms where one
that runs on takes 4 ms, so games run on, and a row is seeded anew at a game's end once its trace has grown long.

Start reading at `AtariEnvironment.step`. Letters: B environments, k frames in a stack, H and W a picture's sides.
"""

from __future__ import annotations

import os
import sys
from array import array
from typing import Any

import numpy as np
from ale_py import roms
from ale_py.registration import rom_id_to_name
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

from tengen.contracts import Environment
from tengen.envs.config import EnvConfig
from tengen.envs.protocols import DEFAULT_PROTOCOL, AtariProtocol, load_protocol
from tengen.errors import UserError, did_you_mean
from tengen.types import Array, Bools, EnvSpec, Ints, State, TimeStep

_RESET = -1  # marks, in a trace, a reset without a seed
_UNSEEDED = -1  # ALE's own sign for "go on with your generators"
_MULTI_PLAYER_ROMS = {"combat", "joust", "maze_craze", "warlords"}  # they have no mode for one player
_SCREEN = (210, 160)  # height and width of the console's picture


def make(config: EnvConfig, *, training: bool) -> Environment:
    """Make `config.num_envs` games of `ALE/<Game>-v5` under `config.protocol`.

    Args:
        config: Its `kwargs` may change fields of the protocol (`{"sticky_action_probability": 0.25}`).
        training: Whether the protocol's rules for training hold, or those for evaluation.

    Raises:
        UserError: The game, the protocol or one of its fields does not exist.
    """
    rom = _rom_of(config.id)
    chosen = DEFAULT_PROTOCOL if config.protocol is None else config.protocol
    protocol = load_protocol(chosen).with_changes(**config.kwargs)
    if protocol.wrappers == "sb3":
        from tengen.envs.atari_sb3 import SB3AtariEnvironment

        return SB3AtariEnvironment(config.id, config.num_envs, protocol, training=training)
    return AtariEnvironment(rom, config.num_envs, protocol, training=training)


def game_ids() -> list[str]:
    """Return the ids of all games that ale-py brings along, sorted."""
    return sorted(f"ALE/{rom_id_to_name(rom)}-v5" for rom in roms.get_all_rom_ids() if rom not in _MULTI_PLAYER_ROMS)


def _rom_of(env_id: str) -> str:
    for rom in roms.get_all_rom_ids():
        if env_id == f"ALE/{rom_id_to_name(rom)}-v5" and rom not in _MULTI_PLAYER_ROMS:
            return rom
    raise UserError(
        f"no Atari game has the id {env_id!r}.{did_you_mean(env_id, game_ids())} Expected ALE/<Game>-v5, "
        "as in ALE/Breakout-v5."
    )


class AtariEnvironment:
    """B games side by side that never reset themselves.

    The game is over where ALE says so, or where the protocol's frame limit truncates it. A life loss under a training
    protocol is discount 0, without `last`: the game and the frame stack run on.

    Attributes:
        protocol_name: The protocol's name, with its changes if there are any.
        evaluation_epsilon: The chance of a random action that the protocol asks of an evaluation.
        reseed_after: A row whose trace holds more actions than this is seeded anew at its game's end.
    """

    reseed_after = 2000

    def __init__(self, rom: str, num_envs: int, protocol: AtariProtocol, *, training: bool) -> None:
        self.protocol = protocol
        self.protocol_name = protocol.name
        self.evaluation_epsilon = protocol.evaluation_epsilon
        self._rom = rom
        self._max_frames = protocol.training_max_frames if training else protocol.evaluation_max_frames
        self._noop_max = protocol.training_noop_max if training else protocol.evaluation_noop_max
        self._clips_rewards = training and protocol.training_clip_rewards
        self._life_loss_ends_value = training and protocol.training_life_loss_ends_value
        self._env = self._vector_env(num_envs)
        self._colour_env: AtariVectorEnv | None = None
        self._screen: Array | None = None  # what the colour twin shows
        self._num_rendered = 0  # entries of row 0's trace that the colour twin has played; -1 where it has to be seeded
        self.spec = EnvSpec(
            id=f"ALE/{rom_id_to_name(rom)}-v5",
            observation_space=self._env.single_observation_space,
            action_space=self._env.single_action_space,
            num_envs=num_envs,
            frame_stack=protocol.frame_stack,
            max_episode_steps=-(-self._max_frames // protocol.frame_skip),
        )
        self._roots = np.zeros(num_envs, np.uint64)  # what a row's seeds are drawn from
        self._num_drawn = np.zeros(num_envs, np.int64)  # how many were
        self._seeds = np.zeros(num_envs, np.int64)  # what each row was last seeded with
        self._traces = [array("b") for _ in range(num_envs)]  # actions and resets since
        self._lives = np.zeros(num_envs, np.int64)
        self._current: TimeStep | None = None

    @property
    def base_protocol(self) -> str:
        """The protocol's name, without the changes that its own name lists."""
        return self.protocol.name.partition(" (")[0]

    def _vector_env(self, num_envs: int, **changes: Any) -> AtariVectorEnv:
        protocol = self.protocol
        settings: dict[str, Any] = {
            "num_threads": min(num_envs, _num_cores()),  # results don't depend on it
            "max_num_frames_per_episode": self._max_frames,
            "repeat_action_probability": protocol.sticky_action_probability,
            "full_action_space": protocol.full_action_set,
            "autoreset_mode": AutoresetMode.NEXT_STEP,  # never happens: no row is stepped past its end
            "img_height": protocol.screen_size,
            "img_width": protocol.screen_size,
            "grayscale": protocol.grayscale,
            "stack_num": protocol.frame_stack,
            "frameskip": protocol.frame_skip,
            "maxpool": protocol.max_pool,
            "noop_max": self._noop_max + 1,  # ALE draws from 0 to one less
            "use_fire_reset": protocol.fire_reset,
            "reward_clipping": False,  # the score is wanted as well
            # Both are derived from `lives` here: `episodic_life` restarts the whole game at each life, and
            # `life_loss_info` hides a truncation that falls on a life loss.
            "episodic_life": False,
            "life_loss_info": False,
        }
        return AtariVectorEnv(self._rom, num_envs, **{**settings, **changes})

    def reset(self, seed: int | Ints) -> TimeStep:
        """Start every row anew; an int seeds all rows, an array [B] gives each row's own seed."""
        num_envs = self.spec.num_envs
        if np.ndim(seed) == 0:
            self._roots[:] = np.random.SeedSequence(_checked(int(seed))).generate_state(num_envs, np.uint64)
            self._num_drawn[:] = 0
            for row in range(num_envs):
                self._start_trace(row, self._draw_seed(row))
        else:
            assert np.shape(seed) == (num_envs,), f"{np.shape(seed)} seeds for {num_envs} environments"
            for row, own in enumerate(np.asarray(seed)):
                self._seed_row(row, int(own))
        observation, info = self._env.reset(seed=self._seeds)
        return self._start(np.ones(num_envs, np.bool_), observation, info)

    def step(self, actions: Ints) -> TimeStep:
        """Play one action [B] in each row for `frame_skip` frames."""
        assert self._current is not None, "reset the environment before the first step"
        assert not self._current.last.any(), "a row is past its last step: call reset_done first"
        actions = np.asarray(actions, np.int64)
        assert ((actions >= 0) & (actions < self.spec.num_actions)).all(), f"no such actions: {actions}"
        observation, reward, terminated, truncated, info = self._env.step(actions)
        for trace, action in zip(self._traces, actions.tolist(), strict=True):
            trace.append(action)
        lives = info["lives"]
        # Lives may be 0 all along (Pong), or in the last of several lives, and may go up: only a fall says something.
        ends_value = terminated | (lives < self._lives) if self._life_loss_ends_value else terminated
        self._lives = lives
        score = reward.astype(np.float64)
        self._current = TimeStep(
            observation=observation,
            reward=np.clip(score, -1.0, 1.0) if self._clips_rewards else score,
            discount=np.where(ends_value, 0.0, 1.0),
            first=np.zeros(len(score), np.bool_),
            last=terminated | truncated,
            score=score if self._clips_rewards else None,
        )
        return self._current

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        """Start the finished rows: with the seeds given, else with a row's own stream of games."""
        assert self._current is not None, "reset the environment first"
        done = self._current.last
        if not done.any():
            return self._current
        ale_seeds = []
        for row in np.flatnonzero(done).tolist():
            if seeds is not None:
                self._seed_row(row, int(seeds[row]))
            elif len(self._traces[row]) > self.reseed_after:
                self._start_trace(row, self._draw_seed(row))
            else:
                self._traces[row].append(_RESET)
                ale_seeds.append(_UNSEEDED)
                continue
            ale_seeds.append(int(self._seeds[row]))
        observation, info = self._env.reset(seed=np.array(ale_seeds), options={"reset_mask": done})
        return self._start(done, observation, info)

    def _start(self, new: Bools, observation: Array, info: dict[str, Array]) -> TimeStep:
        """The TimeStep after a reset of the rows `new`."""
        old = self._current
        self._lives = info["lives"]
        if old is None or new.all():
            zeros, ones = np.zeros(len(new)), np.ones(len(new))
            old = TimeStep(observation, zeros, ones, new, ~new, score=zeros if self._clips_rewards else None)
        self._current = TimeStep(
            observation=observation,
            reward=np.where(new, 0.0, old.reward),
            discount=np.where(new, 1.0, old.discount),
            first=new | old.first,
            last=old.last & ~new,
            score=None if old.score is None else np.where(new, 0.0, old.score),
        )
        return self._current

    def _seed_row(self, row: int, seed: int) -> None:
        """Let a row's next game, and all that follow it, come from a seed of its own."""
        self._roots[row] = _checked(seed)
        self._num_drawn[row] = 0
        self._start_trace(row, _ale_seed(seed))

    def _draw_seed(self, row: int) -> int:
        """The next seed of a row's own stream."""
        self._num_drawn[row] += 1
        return _ale_seed(int(self._roots[row]), int(self._num_drawn[row]))

    def _start_trace(self, row: int, seed: int) -> None:
        self._seeds[row] = seed
        self._traces[row] = array("b")
        if row == 0:
            self._num_rendered = -1

    @property
    def render_fps(self) -> float:
        """Pictures a second of a film at the console's pace; one picture is one step."""
        return 60 / self.protocol.frame_skip

    def render(self) -> Array:
        """Return row 0's screen in colour, uint8 [210, 160, 3]. A twin plays along from when this is first called."""
        assert self._current is not None, "reset the environment first"
        if self._colour_env is None:
            height, width = _SCREEN
            self._colour_env = self._vector_env(1, img_height=height, img_width=width, grayscale=False, stack_num=1)
            self._num_rendered = -1
        if self._num_rendered < 0:
            self._screen, _ = self._colour_env.reset(seed=self._seeds[:1])
            self._num_rendered = 0
        for entry in self._traces[0][self._num_rendered :]:
            if entry == _RESET:
                self._screen, _ = self._colour_env.reset(seed=np.array([_UNSEEDED]))
            else:
                self._screen, *_ = self._colour_env.step(np.array([entry]))
        self._num_rendered = len(self._traces[0])
        assert self._screen is not None
        screen: Array = self._screen[0, 0].copy()
        return screen

    def state_dict(self) -> State:
        """Each row's seed and trace, and the current TimeStep."""
        assert self._current is not None, "reset the environment first"
        return {
            "rom": self._rom,
            "roots": self._roots,
            "num_drawn": self._num_drawn,
            "seeds": self._seeds,
            "traces": [np.array(trace, np.int8) for trace in self._traces],
            "lives": self._lives,
            "step": {key: value for key, value in self._current._asdict().items() if value is not None},
        }

    def load_state_dict(self, state: State) -> None:
        """Play every row's trace again.

        Raises:
            UserError: The games that came out are not those that were saved.
        """
        traces = [np.asarray(trace, np.int8) for trace in state.get("traces", [])]
        if state.get("rom") != self._rom or len(traces) != self.spec.num_envs:
            raise UserError(
                f"the saved state holds {len(traces)} games of {state.get('rom')!r}, expected {self.spec.num_envs} "
                f"of {self._rom!r}; resume with the environments that the run was started with"
            )
        self._current = None  # until all went well
        replayed = None
        if all(trace.max(initial=0) < self.spec.num_actions for trace in traces):
            replayed = self._replay(np.asarray(state["seeds"], np.int64), traces)
        saved = (state["step"]["observation"], state["lives"])
        if replayed is None or not all(map(np.array_equal, replayed, saved)):
            raise UserError(
                f"the games of {self.spec.id} could not be restored exactly: replaying their actions gave other "
                "pictures than were saved; use the protocol and the version of ale-py that the run was made with"
            )
        self._roots = np.array(state["roots"], np.uint64)
        self._num_drawn = np.array(state["num_drawn"], np.int64)
        self._seeds = np.array(state["seeds"], np.int64)
        self._traces = [array("b", trace.tobytes()) for trace in traces]
        self._lives = np.array(state["lives"])
        self._num_rendered = -1
        self._current = TimeStep(**{key: np.array(value) for key, value in state["step"].items()})

    def _replay(self, seeds: Ints, traces: list[Array]) -> tuple[Array, Array]:
        """Play traces in all rows at once; return the last observations and lives.

        The vector environment steps all rows together, so rows with shorter traces start later, that all end together:
        until then they play something that their seeded reset wipes out.
        """
        num_steps = [int(np.count_nonzero(trace != _RESET)) for trace in traces]
        longest = max(num_steps)
        positions = [0] * len(traces)
        observation, info = self._env.reset(seed=seeds)
        for tick in range(longest + 1):
            ale_seeds = {}
            for row, trace in enumerate(traces):
                if tick == longest - num_steps[row] > 0:
                    ale_seeds[row] = int(seeds[row])
                elif positions[row] < len(trace) and trace[positions[row]] == _RESET:
                    ale_seeds[row] = _UNSEEDED
                    positions[row] += 1
            if ale_seeds:
                mask = np.isin(np.arange(len(traces)), list(ale_seeds))
                observation, info = self._env.reset(
                    seed=np.array(list(ale_seeds.values())), options={"reset_mask": mask}
                )
            if tick == longest:
                break
            actions = np.zeros(len(traces), np.int64)
            for row, trace in enumerate(traces):
                if tick >= longest - num_steps[row]:
                    actions[row] = trace[positions[row]]
                    positions[row] += 1
            observation, _, _, _, info = self._env.step(actions)
        return observation, info["lives"]

    def close(self) -> None:
        """Free the games."""
        self._env.close()
        if self._colour_env is not None:
            self._colour_env.close()


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _checked(seed: int) -> int:
    if seed < 0:
        raise UserError(f"a seed must be 0 or more, got {seed}")
    return seed


def _ale_seed(*entropy: int) -> int:
    """A seed in ALE's range of 31 bits: a single number that fits is taken as it is."""
    if len(entropy) == 1 and entropy[0] < 2**31:
        return entropy[0]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)

"""Gymnasium environments behind Tengen's interface: B of them side by side, none of which resets itself.

Gymnasium's own vector classes don't serve: the one that `make_vec("CartPole-v1")` returns ignores `reset_mask`
silently, and `SyncVectorEnv` with B = 1 runs at a third of the speed of `make`.

B batch, A actions.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Sequence
from importlib.metadata import metadata
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.wrappers import TimeLimit

from tengen.contracts import Environment
from tengen.envs._rows import Rows, row_generators
from tengen.envs.config import EnvConfig
from tengen.errors import UserError, did_you_mean
from tengen.registry import names
from tengen.tables import TransitionTables
from tengen.types import Array, EnvSpec, Ints, State, TimeStep

_EVALUATION_LIMIT = 10_000  # steps


def make(config: EnvConfig, *, training: bool) -> Environment:
    """Make `config.num_envs` environments of any Gymnasium id; `module:Id-v0` imports a module that registers it.

    Args:
        config: `kwargs` go to `gymnasium.make`.
        training: Without, an environment on tables that has no step limit gets one of 10,000: a policy that goes
            round in circles must come to an end, too. Otherwise it makes no difference.

    Raises:
        UserError: The id is unknown, a package is missing, a setting is wrong, or a space isn't supported.
    """
    config.refuse_protocol()
    from tengen.envs.book import model_of, samples_like_tables
    from tengen.envs.tabled import TabledEnvironment

    gym_spec = _find_spec(config.id)
    envs = [_construct(gym_spec, config) for _ in range(config.num_envs)]
    inner = [env.unwrapped for env in envs]
    model = model_of(inner[0])
    bare = (type(envs[0]) is TimeLimit and envs[0].env is inner[0]) or envs[0] is inner[0]
    if model is not None and bare and samples_like_tables(inner[0]) and not config.action_mask:
        limit = _limit(envs[0])
        return TabledEnvironment(config.id, inner, model, limit if training else limit or _EVALUATION_LIMIT)
    return GymnasiumEnvironment(config.id, envs, action_mask=config.action_mask, model=model)


class GymnasiumEnvironment:
    """A list of Gymnasium environments as one.

    Each episode is seeded, with the next `integers(2**31)` of its row's generator unless a seed is given. What
    `state_dict` keeps is therefore the episode's seed and its actions, and a load replays them.

    Args:
        env_id: The name to report.
        envs: At least one, all alike. They are this object's own from now on.
        action_mask: Take `info["action_mask"]` as the legal actions.
        model: Their transition tables, for planners, where there are any.

    Raises:
        UserError: The spaces are not supported.
    """

    def __init__(
        self,
        env_id: str,
        envs: Sequence[gym.Env[Any, Any]],
        action_mask: bool = False,
        model: TransitionTables | None = None,
    ) -> None:
        assert envs, "no environment"
        self._envs = list(envs)
        observation_space, action_space = envs[0].observation_space, envs[0].action_space
        self._first_action = 0
        self._num_actions: int | None = None  # of a discrete space
        if isinstance(action_space, Discrete):
            self._first_action, self._num_actions = int(action_space.start), int(action_space.n)
            action_space = Discrete(int(action_space.n))
        elif action_mask:
            raise UserError(f"{env_id} has the action space {action_space}: only discrete actions can be masked")
        self._action_mask = action_mask
        observation_space = array_space(env_id, observation_space)
        assert observation_space.shape is not None
        self.spec = EnvSpec(
            id=env_id,
            observation_space=observation_space,
            action_space=action_space,
            num_envs=len(envs),
            has_legal=action_mask,
            max_episode_steps=_limit(envs[0]),
            model=model,
        )
        self._rows = Rows(
            len(envs), observation_space.shape, observation_space.dtype, self.spec.num_actions if action_mask else None
        )
        self._generators: list[np.random.Generator] = []  # empty until the first reset
        self._seeds = [0] * len(envs)  # of the current episodes
        self._actions: list[list[Any]] = [[] for _ in envs]  # of the current episodes, as they were passed to `step`

    def reset(self, seed: int | Ints) -> TimeStep:
        """Start every row anew; a seed S of a row's own gives the episode of `gymnasium.make(id).reset(seed=S)`."""
        self._generators = row_generators(seed, len(self._envs))
        seeds = None if np.ndim(seed) == 0 else np.asarray(seed)
        for row in range(len(self._envs)):
            self._reset_row(row, self._draw_seed(row) if seeds is None else int(seeds[row]))
        return self._rows.copy_out()

    def step(self, actions: Ints) -> TimeStep:
        """Apply one action [B] to each row. No row may be past its `last`."""
        rows = self._rows
        assert self._generators, "step before reset"
        assert not np.count_nonzero(rows.last), "a finished row was stepped: call reset_done first"
        assert len(actions) == len(self._envs), f"{len(actions)} actions for {len(self._envs)} environments"
        rows.first[:] = False
        for row, action in enumerate(self._to_list(actions)):
            self._step_row(row, action)
        return rows.copy_out()

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        """Start the finished rows, leave the others as they were, and return the current TimeStep."""
        assert self._generators, "reset_done before reset"
        for row in self._rows.last.nonzero()[0].tolist():
            self._reset_row(row, self._draw_seed(row) if seeds is None else int(seeds[row]))
        return self._rows.copy_out()

    @property
    def render_fps(self) -> float:
        """Pictures a second of a film at the pace that the environment asks for; one picture is one step."""
        return float(self._envs[0].metadata.get("render_fps") or 30)

    def render(self) -> Array:
        """Return a picture of row 0, uint8 [H, W, 3].

        Raises:
            UserError: It can't draw itself, or was made without `render_mode="rgb_array"`.
        """
        return picture_of(self.spec.id, self._envs[0])

    def state_dict(self) -> State:
        """Return each row's generator, its episode's seed and actions so far, and the current TimeStep."""
        assert self._generators, "state_dict before reset"
        rows = zip(self._seeds, self._actions, self._generators, strict=True)
        return {
            "rows": [
                {"seed": seed, "actions": self._to_array(actions), "rng": generator.bit_generator.state}
                for seed, actions, generator in rows
            ],
            "step": self._rows.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken, by replaying the actions since each row's reset.

        Raises:
            UserError: It is another environment's state, or the replay does not arrive at the saved observation.
        """
        self._generators = row_generators(0, len(self._envs))
        saved = self._rows.like()
        saved.load_state_dict(state["step"])  # refuses another number of rows
        for row, row_state in enumerate(state["rows"]):
            self._reset_row(row, int(row_state["seed"]))
            actions = self._to_list(row_state["actions"])
            for action in actions:
                if self._rows.last[row]:
                    break
                self._rows.first[row] = False
                self._step_row(row, action)
            if len(self._actions[row]) != len(actions) or not self._rows.same(saved, row):
                raise UserError(
                    f"{self.spec.id} can't be resumed exactly: replaying the {len(actions)} actions of its episode from"
                    f" seed {row_state['seed']} arrived elsewhere, so it isn't reproducible; start a new run"
                )
            self._generators[row].bit_generator.state = row_state["rng"]

    def close(self) -> None:
        """Close every row's environment."""
        for env in self._envs:
            env.close()

    def _draw_seed(self, row: int) -> int:
        return int(self._generators[row].integers(2**31))

    def _reset_row(self, row: int, seed: int) -> None:
        observation, info = self._envs[row].reset(seed=seed)
        rows = self._rows
        if np.shape(observation) != rows.observation.shape[1:]:
            raise UserError(
                f"{self.spec.id} gives an observation of shape {np.shape(observation)},"
                f" its space says {rows.observation.shape[1:]}: mend the environment"
            )
        self._seeds[row] = seed
        self._actions[row] = []
        rows.observation[row] = observation
        rows.reward[row] = 0.0
        rows.discount[row] = 1.0
        rows.first[row] = True
        rows.last[row] = False
        self._take_mask(row, info)

    def _step_row(self, row: int, action: Any) -> None:
        observation, reward, terminated, truncated, info = self._envs[row].step(action)
        self._actions[row].append(action)
        rows = self._rows
        rows.observation[row] = observation
        rows.reward[row] = reward
        rows.discount[row] = 0.0 if terminated else 1.0
        rows.last[row] = terminated or truncated
        if rows.legal is not None:
            self._take_mask(row, info)

    def _take_mask(self, row: int, info: dict[str, Any]) -> None:
        legal = self._rows.legal
        if legal is None:
            return
        if self._rows.discount[row] == 0.0:
            legal[row] = True  # nothing follows: a mask of zeros would leave a maximum over nothing
            return
        mask = info.get("action_mask")
        if mask is None:
            raise UserError(f"{self.spec.id} gives no info['action_mask']: leave --env.action-mask out")
        legal[row] = mask
        if not legal[row].any():
            raise UserError(f"{self.spec.id} gives an info['action_mask'] without any legal action: mend its mask")

    def _to_list(self, actions: Array) -> list[Any]:
        num_actions = self._num_actions
        if num_actions is None:
            return list(np.array(actions, self.spec.action_space.dtype))  # as it is saved, so that a replay is exact
        chosen: list[int] = np.asarray(actions).tolist()
        assert not chosen or (min(chosen) >= 0 and max(chosen) < num_actions), (
            f"actions {chosen}, but only {num_actions} exist"
        )
        return [action + self._first_action for action in chosen] if self._first_action else chosen

    def _to_array(self, actions: list[Any]) -> Array:
        space = self.spec.action_space
        if isinstance(space, Discrete):
            return np.array(actions, np.int64) - self._first_action
        return np.array(actions, space.dtype).reshape(len(actions), *(space.shape or ()))


def array_space(env_id: str, space: gym.Space[Any]) -> gym.Space[Any]:
    """Return the space of an environment's observations as arrays.

    A Tuple of numbers becomes a row of them; floats are of 32 or 64 bits, which kernels and networks know.

    Raises:
        UserError: The space is not supported.
    """
    if 0 in (space.shape or ()):
        raise UserError(f"{env_id} has the observation space {space}, which holds no number: mend the environment")
    if isinstance(space, Box) and space.dtype.kind == "f" and space.dtype not in (np.float32, np.float64):
        dtype = np.float32 if space.dtype == np.float16 else np.float64
        return Box(space.low.astype(dtype), space.high.astype(dtype), dtype=dtype)
    if isinstance(space, Box | Discrete | MultiDiscrete):
        return space
    parts = getattr(space, "spaces", None)
    if isinstance(space, gym.spaces.Tuple) and parts and all(isinstance(part, Discrete) for part in parts):
        return MultiDiscrete([part.n for part in parts], start=[part.start for part in parts])
    raise UserError(
        f"{env_id} has the observation space {space}: Box, Discrete, MultiDiscrete and a Tuple of Discrete ones are"
        " supported; register it wrapped in gymnasium.wrappers.FlattenObservation"
    )


def picture_of(env_id: str, env: gym.Env[Any, Any]) -> Array:
    """Return a picture of an environment, uint8 [H, W, 3].

    Raises:
        UserError: It can't draw itself, or was made without `render_mode="rgb_array"`.
    """
    if env.render_mode != "rgb_array":
        can = "rgb_array" in (env.metadata.get("render_modes") or ())
        hint = "make it with the keyword argument render_mode='rgb_array'" if can else "it can't draw itself"
        raise UserError(f"no picture of {env_id}: {hint}")
    try:
        picture = env.render()
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise UserError(f"no picture of {env_id}: a package is missing: {error}") from error
    return np.array(picture, np.uint8)


def _limit(env: gym.Env[Any, Any]) -> int | None:
    return env.spec.max_episode_steps if env.spec is not None else None


def _find_spec(env_id: str) -> gym.envs.registration.EnvSpec:
    """Return Gymnasium's registration of an id, with the wrapper that checks call order left out: we assert it."""
    module, _, name = env_id.rpartition(":")
    if module and not all(part.isidentifier() for part in module.split(".")):
        raise UserError(f"{env_id!r} names {module!r}, which is no module: write it as in package.module:Name-v0")
    try:
        if module:
            importlib.import_module(module)
        spec = copy.deepcopy(gym.spec(name))
    except ImportError as error:
        raise UserError(f"{env_id!r} names the module {module!r}, which can't be imported: {error}") from error
    except gym.error.DeprecatedEnv as error:
        raise UserError(f"Gymnasium refuses {env_id!r}: {error}") from error
    except gym.error.Error as error:
        hint = did_you_mean(name, [*gym.registry, *names("envs")])
        raise UserError(
            f"no environment is called {env_id!r}.{hint} Give a Gymnasium id with its version, such as CartPole-v1,"
            " ALE/<Game>-v5, or one from `tengen list envs`"
        ) from error
    spec.order_enforce = False
    return spec


def _construct(spec: gym.envs.registration.EnvSpec, config: EnvConfig) -> gym.Env[Any, Any]:
    given = ", ".join(f"{name}={value!r}" for name, value in config.kwargs.items())
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not in the possible render_modes", category=UserWarning)
            env = gym.make(spec, disable_env_checker=True, **config.kwargs)
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise UserError(f"{config.id} needs a package that isn't installed: {_remedy(spec, error)}") from error
    except Exception as error:  # whatever a constructor makes of what it was given
        with_kwargs = f" with {given}" if given else ""
        raise UserError(f"{config.id} can't be made{with_kwargs}: {type(error).__name__}: {error}") from error
    modes = env.metadata.get("render_modes") or []
    if env.render_mode is not None and env.render_mode not in modes:  # of which Gymnasium only warns
        known = ", ".join(modes) or "none"
        raise UserError(f"{config.id} has no render_mode {env.render_mode!r}, it has: {known}")
    if env.render_mode == "human":
        _open_window(config.id, env)
    return env


def _open_window(env_id: str, env: gym.Env[Any, Any]) -> None:
    """Let an environment show itself, as it does from its first reset on.

    Raises:
        UserError: It can't: there is no display.
    """
    try:
        env.reset(seed=0)
    except Exception as error:  # whatever its toolkit makes of a missing display
        raise UserError(
            f"{env_id} can't start with render_mode='human', which needs a display: {error}; without it"
            " `tengen play` films what was learnt"
        ) from error


def _remedy(spec: gym.envs.registration.EnvSpec, error: Exception) -> str:
    """Return the command that installs what an environment lacks, where we know an extra for it; else the error."""
    parts = str(spec.entry_point).split(".")
    family = parts[2] if parts[:2] == ["gymnasium", "envs"] and len(parts) > 2 else ""
    extra = family.replace("_", "-")
    for package in ("tengen", "gymnasium"):
        if extra and extra in (metadata(package).get_all("Provides-Extra") or []):
            return f"`pip install {package}[{extra}]` installs it"
    return str(error)

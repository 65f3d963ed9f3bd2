"""The rules of an Environment, and the check that tries them. Read `check_environment` from the top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tengen.contracts import Environment
from tengen.testing.timesteps import check_rows
from tengen.testing.trees import (
    freeze_state,
    freeze_step,
    frozen_state_of,
    same_array,
    state_difference,
    step_difference,
    wrong_leaf,
)
from tengen.testing.violation import Rules, Violation
from tengen.types import EnvSpec, Ints, State, TimeStep

MakeEnv: TypeAlias = Callable[[int], Environment]

ENVIRONMENT_RULES: Rules = {
    "protocol": "An environment has every method of tengen.Environment, and spec.num_envs is its number of rows.",
    "fields": "Every field of a TimeStep leads with B and has the dtype of tengen.types.TimeStep.",
    "observation-space": "Each row's observation is in spec.observation_space.",
    "discount": "Discount is within [-1, 1].",
    "first": "Rows are `first` after their reset and only then; there reward is 0, discount 1 and `last` False.",
    "legal": "Every row has a legal action; where the episode has terminated all actions count as legal.",
    "has-legal": "A TimeStep carries `legal` exactly where spec.has_legal says so.",
    "score": "`score` is None, or [B] float64.",
    "frame-stack": "A stack is zero-padded when its episode starts, and each step shifts in one frame, newest last.",
    "simulator-state": "`state` is what spec.simulator observes and finds legal actions in.",
    "owned-arrays": "The arrays of a TimeStep belong to the caller: the environment never writes to them again.",
    "never-resets-itself": "A step that ends an episode returns its final observation, not the next episode's first.",
    "truncation": "Truncation (an episode cut at spec.max_episode_steps) leaves discount alone: it is not 0.",
    "seeded": "The same seed and actions give the same trajectory.",
    "reset-forgets": "reset(seed) starts anew: nothing from before it shows.",
    "seeds-differ": "Different seeds give different trajectories, and so do the rows of one seed.",
    "rows-independent": "With a seed for each row, a row's episode depends neither on its place nor on the other rows.",
    "reset-done-rows": "reset_done starts the finished rows and returns the others exactly as they were.",
    "reset-done-look": "With no finished row, reset_done is a plain look at the current TimeStep and changes nothing.",
    "reset-done-seeds": "reset_done(seeds) starts the episodes of those seeds.",
    "state-leaves": "A state is a tree of dicts and lists of numpy arrays, RowLogs and JSON scalars.",
    "state-restores": "A fresh environment that loads a state continues exactly where it was taken, mid-episode too.",
    "state-peek": "Taking a state changes nothing that comes after.",
    "state-same": "Equal histories have equal states, whenever states were taken or loaded on the way.",
}


def check_environment(
    make: MakeEnv,
    *,
    num_envs: int = 3,
    num_steps: int = 300,
    seed: int = 0,
    deterministic: bool = False,
    truncates: bool = True,
) -> None:
    """Check that an environment with discrete actions keeps every rule of `ENVIRONMENT_RULES`.

    It is stepped with random legal actions, once to look at every TimeStep, and then again and again with the same
    actions in other circumstances.

    Args:
        make: Makes the environment with a given number of rows.
        num_envs: Rows, at least 2.
        num_steps: Steps of each row; enough of them that episodes end.
        seed: Of the environment and the actions.
        deterministic: Nothing in it is random, so that different seeds need not differ.
        truncates: An episode that reaches `spec.max_episode_steps` is cut there. Pass False where the rules end it.

    Raises:
        Violation: A rule is broken.
        ValueError: No row finished an episode in `num_steps`, so that half of the rules could not be tried.
    """
    if num_envs < 2:
        raise ValueError(f"rows are compared with one another: num_envs must be at least 2, got {num_envs}")
    env = make(num_envs)
    if not isinstance(env, Environment) or env.spec.num_envs != num_envs:
        raise _violation("protocol", f"{env!r} when asked for {num_envs} rows")
    recording = record(env, seed, num_steps)
    spec = env.spec
    if not any(len(call.step.last) and call.step.last.any() for call in recording.calls):
        raise ValueError(f"no episode of {spec.id} ended within {num_steps} steps of random actions: raise num_steps")

    for call in recording.calls:
        check_rows(ENVIRONMENT_RULES, spec, call.step, call.where)
    _check_arrays_are_the_callers(recording)
    _check_calls(recording)
    if spec.frame_stack:
        _check_frame_stack(recording, spec.frame_stack)
    if truncates and spec.max_episode_steps is not None:
        _check_truncation(recording, spec.max_episode_steps)

    _follow(make(num_envs), recording, "seeded")
    _follow(env, recording, "reset-forgets")
    env.close()
    _follow(make(num_envs), recording, "reset-done-look", look=False)
    if not deterministic:
        _check_seeds_differ(make(num_envs), recording)
    _check_states(make, num_envs, recording)
    _check_rows_alone(make, num_envs, num_steps, seed)


@dataclass(frozen=True)
class Call:
    """What one call to an environment returned."""

    name: str  # reset, step or reset_done
    turn: int  # number of steps before it
    step: TimeStep  # a copy

    @property
    def where(self) -> str:
        """The call, in words."""
        return f"{self.name}() after {self.turn} steps"


@dataclass
class Recording:
    """A trajectory of every row: the seed, the actions, and what each call returned."""

    seed: int
    actions: list[Ints] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    returned: list[TimeStep] = field(default_factory=list)  # the very arrays that the environment gave

    def add(self, name: str, turn: int, step: TimeStep) -> TimeStep:
        """Keep what a call returned."""
        self.returned.append(step)
        self.calls.append(Call(name, turn, freeze_step(step)))
        return step


def record(env: Environment, seed: int, num_steps: int) -> Recording:
    """Step an environment with random legal actions, looking at reset_done() after each step as the loop does."""
    recording = Recording(seed)
    rng = np.random.default_rng([seed, 1])
    step = recording.add("reset", 0, env.reset(seed))
    for turn in range(num_steps):
        actions = np.array([_random_action(env.spec, step, row, rng) for row in range(env.spec.num_envs)])
        recording.actions.append(actions)
        recording.add("step", turn, env.step(actions.copy()))
        step = recording.add("reset_done", turn + 1, env.reset_done())
    return recording


def _random_action(spec: EnvSpec, step: TimeStep, row: int, rng: np.random.Generator) -> int:
    if step.legal is None:
        return int(rng.integers(spec.num_actions))
    return int(rng.choice(np.flatnonzero(step.legal[row])))


def _check_arrays_are_the_callers(recording: Recording) -> None:
    for call, returned in zip(recording.calls, recording.returned, strict=True):
        changed = step_difference(call.step._replace(state=None), returned._replace(state=None))
        if changed:
            raise _violation("owned-arrays", f"what {call.where} returned was changed later, {changed}")


def _check_calls(recording: Recording) -> None:
    """Check what each call did to the rows: new where it should be, as it was elsewhere."""
    ends = starts_alike = 0
    previous = recording.calls[0].step
    if not previous.first.all():
        raise _violation("first", f"reset() returned first {previous.first}")
    varied = False
    for call in recording.calls[1:]:
        step = call.step
        if call.name == "step":
            if step.first.any():
                raise _violation("first", f"{call.where} returned first {step.first}")
            varied = varied or not same_array(step.observation, previous.observation)
        else:
            others = [(int(row), int(row)) for row in np.flatnonzero(~previous.last)]
            changed = step_difference(previous, step, others)
            if changed:
                rule = "reset-done-rows" if previous.last.any() else "reset-done-look"
                raise _violation(rule, f"{call.where} changed an unfinished row, {changed}")
            for row in np.flatnonzero(previous.last):
                if not step.first[row]:
                    raise _violation("first", f"{call.where} returned first False in the finished row {row}")
                ends += 1
                starts_alike += same_array(previous.observation[row], step.observation[row])
        previous = step
    if varied and ends == starts_alike:
        raise _violation(
            "never-resets-itself", f"all {ends} episodes ended in the observation that the next began with"
        )


def _check_frame_stack(recording: Recording, frame_stack: int) -> None:
    previous = recording.calls[0].step
    for call in recording.calls:
        for row, stack in enumerate(call.step.observation):
            if len(stack) != frame_stack:
                raise _violation("frame-stack", f"{len(stack)} frames for spec.frame_stack {frame_stack}")
            if call.step.first[row]:
                if stack[:-1].any():
                    raise _violation(
                        "frame-stack", f"{call.where}, row {row}: the older frames of a first stack are not 0"
                    )
            elif call.name == "step" and not same_array(stack[:-1], previous.observation[row][1:]):
                raise _violation(
                    "frame-stack", f"{call.where}, row {row}: the older frames are not those of the step before"
                )
        previous = call.step


def _check_truncation(recording: Recording, max_episode_steps: int) -> None:
    length = np.zeros(len(recording.calls[0].step.first), np.int64)
    cut = []
    for call in recording.calls:
        if call.name != "step":
            continue
        length += 1
        too_long = np.flatnonzero((length > max_episode_steps) | ((length == max_episode_steps) & ~call.step.last))
        if len(too_long):
            raise _violation("truncation", f"{call.where}, row {too_long[0]} goes on after {max_episode_steps} steps")
        cut += list(call.step.discount[(length == max_episode_steps) & call.step.last])
        length[call.step.last] = 0
    if cut and not np.any(cut):
        raise _violation("truncation", f"discount 0 in all {len(cut)} episodes that reached {max_episode_steps} steps")


def _follow(
    env: Environment,
    recording: Recording,
    rule: str,
    *,
    start: int | None = None,
    look: bool = True,
    peek: bool = False,
) -> None:
    """Take a recording's actions again and see that everything returned is the same.

    Args:
        env: Takes them.
        recording: What it has to equal.
        rule: The rule that is broken where it does not.
        start: The steps after which a restored environment goes on; None resets it with the recording's seed.
        look: Whether to call reset_done() also where no row is finished.
        peek: Whether to take states on the way.
    """
    if start is None:
        step = env.reset(recording.seed)
        _compare(step, recording.calls[0], rule)
    else:
        step = recording.calls[2 * start].step
    for turn in range(start or 0, len(recording.actions)):
        if peek:
            env.state_dict()
        step = env.step(recording.actions[turn].copy())
        _compare(step, recording.calls[2 * turn + 1], rule)
        if peek:
            env.state_dict()
        if look or step.last.any():
            _compare(env.reset_done(), recording.calls[2 * turn + 2], rule)


def _compare(step: TimeStep, call: Call, rule: str) -> None:
    difference = step_difference(step, call.step)
    if difference:
        raise _violation(rule, f"{call.where} returned another TimeStep than the first time, {difference}")


def _check_seeds_differ(env: Environment, recording: Recording) -> None:
    env.reset(recording.seed + 1)
    same = True
    for turn, actions in enumerate(recording.actions):
        same = same and step_difference(env.step(actions.copy()), recording.calls[2 * turn + 1].step) is None
        if not same:
            break
        env.reset_done()
    if same:
        raise _violation("seeds-differ", f"seeds {recording.seed} and {recording.seed + 1} agree in every TimeStep")
    env.reset(recording.seed)
    for actions in recording.actions:
        step = env.step(np.full_like(actions, actions[0]))
        if step_difference(step, step, [(0, row) for row in range(1, len(actions))]):
            env.close()
            return
        env.reset_done()
    raise _violation("seeds-differ", f"all rows agree in every TimeStep of seed {recording.seed} when they act alike")


def _check_states(make: MakeEnv, num_envs: int, recording: Recording) -> None:
    states, end = _states_along(make(num_envs), recording)
    env = make(num_envs)
    _follow(env, recording, "state-peek", peek=True)
    _compare_states(frozen_state_of(env), end, "in which a state was taken before and after each step")
    env.close()
    for (turn, after_step), state in states.items():
        env = make(num_envs)
        env.load_state_dict(freeze_state(state))
        where = f"loaded the state of {turn + after_step} steps{', before reset_done()' if after_step else ''}"
        loaded = frozen_state_of(env)
        try:
            if after_step:
                turn += 1
            _compare(env.reset_done(), recording.calls[2 * turn], "state-restores")
            _follow(env, recording, "state-restores", start=turn)
        except Violation as violation:
            raise _violation("state-restores", f"having {where}: {violation}") from violation
        _compare_states(loaded, state, f"that has just {where}")
        _compare_states(frozen_state_of(env), end, f"that had {where} on the way")
        env.close()


def _states_along(env: Environment, recording: Recording) -> tuple[dict[tuple[int, bool], State], State]:
    """Return states by (steps before, whether taken between step() and reset_done()), and the last state."""
    num_steps = len(recording.actions)
    ends = [turn for turn in range(num_steps) if recording.calls[2 * turn + 1].step.last.any()]
    wanted = {(0, False), (num_steps // 2, False), (ends[len(ends) // 2], True)}
    states: dict[tuple[int, bool], State] = {}

    def take(turn: int, after_step: bool) -> None:
        if (turn, after_step) in wanted:
            state = env.state_dict()
            wrong = wrong_leaf(state)
            if wrong:
                raise _violation("state-leaves", wrong)
            states[turn, after_step] = freeze_state(state)

    env.reset(recording.seed)
    for turn, actions in enumerate(recording.actions):
        take(turn, False)
        env.step(actions.copy())
        take(turn, True)
        env.reset_done()
    end = frozen_state_of(env)
    env.close()
    return states, end


def _compare_states(state: State, expected: State, which: str) -> None:
    difference = state_difference(state, expected)
    if difference:
        raise _violation("state-same", f"in an environment {which}, {difference}")


@dataclass
class _Episode:
    """One row's episode from its seed: `start` is the number of steps before it, `steps` a copy of each TimeStep."""

    seed: int
    row: int
    start: int
    steps: list[TimeStep]


def _check_rows_alone(make: MakeEnv, num_envs: int, num_steps: int, seed: int) -> None:
    """Play episodes of given seeds side by side, and each of them again alone in a single row."""
    together = _play_seeded(make(num_envs), num_steps, 1000 * (seed + 1))
    first = [episode for episode in together if episode.start == 0]
    later = [episode for episode in together if episode.start > 0]
    alone = make(1)
    for episode in [*first, *later[: 2 * num_envs]]:
        rng = np.random.default_rng(episode.seed)
        step = alone.reset(np.array([episode.seed]))
        for i, expected in enumerate(episode.steps):
            difference = step_difference(step, expected, [(0, episode.row)])
            if difference:
                rule = "reset-done-seeds" if episode.start else "rows-independent"
                seen = f"seed {episode.seed} {i} steps after its start, alone against row {episode.row} of {num_envs}"
                raise _violation(rule, f"{seen}, {difference}")
            if i + 1 < len(episode.steps):
                step = alone.step(np.array([_random_action(alone.spec, step, 0, rng)]))
    alone.close()


def _play_seeded(env: Environment, num_steps: int, seed: int) -> list[_Episode]:
    """Play episodes, each with a seed of its own for the environment and for its actions."""
    rows = range(env.spec.num_envs)
    seeds = np.array([seed + 100 * row for row in rows])
    rngs = [np.random.default_rng(s) for s in seeds]
    step = env.reset(seeds.copy())
    running = [_Episode(int(seeds[row]), row, 0, []) for row in rows]
    episodes = list(running)
    for turn in range(num_steps):
        copy = freeze_step(step)
        for episode in running:
            episode.steps.append(copy)
        step = env.step(np.array([_random_action(env.spec, step, row, rngs[row]) for row in rows]))
        if step.last.any():
            copy = freeze_step(step)
            for row in np.flatnonzero(step.last):
                running[row].steps.append(copy)
                seeds[row] += 1
                rngs[row] = np.random.default_rng(seeds[row])
                running[row] = _Episode(int(seeds[row]), int(row), turn + 1, [])
                episodes.append(running[row])
            step = env.reset_done(seeds.copy())
    env.close()
    return [episode for episode in episodes if episode.steps]


def _violation(rule: str, seen: Any) -> Violation:
    return Violation(ENVIRONMENT_RULES, rule, str(seen))

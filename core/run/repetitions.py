"""Many runs at once: independent repetitions of one run with seeds of their own, in parallel threads.

Repetition r of a run with seed S is what a run with seed S + r would be. Compiled stretches of the loop release
Python's lock, so that tabular repetitions take all cores; what goes step by step takes turns.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tengen.contracts import Agent, Environment
from tengen.run.recorder import Recorder
from tengen.run.turns import Turn, turns
from tengen.types import Metrics, State

_FIRST_LEG = 50  # steps of each repetition
_SECONDS = 0.5  # aimed at for a leg, so that a signal is soon heard


@dataclass(frozen=True)
class Repetition:
    """One of them."""

    agent: Agent
    env: Environment
    recorder: Recorder
    env_seed: int


class Repetitions:
    """Runs side by side that are all at the same step between two legs.

    Args:
        members: At least one.
        compiled: Whether their loops run compiled.
    """

    def __init__(self, members: Sequence[Repetition], compiled: bool) -> None:
        assert members, "no repetition"
        self.members = members
        self.compiled = compiled

    def turns(self, start: int, stop: int, period: int) -> Iterator[Turn]:
        """Let all go from `start` to `stop` decisions each; yield each leg with the rows that sum it up.

        Args:
            start: Decisions made by each.
            stop: Decisions of each in the end.
            period: A leg ends at each multiple of it, unless it is 0.
        """
        began, count, length = time.perf_counter(), start, _FIRST_LEG
        with ThreadPoolExecutor(max_workers=num_cores()) as pool:
            while count < stop:
                until = min(stop, count + length)
                if period > 0:
                    until = min(until, (count // period + 1) * period)
                leg_began = time.perf_counter()
                legs = list(pool.map(lambda member, a=count, b=until: self._leg(member, a, b), self.members))
                now = time.perf_counter()
                if until - count == length:
                    length = max(1, int(length * min(4.0, _SECONDS / max(now - leg_began, 1e-6))))
                before, (count,) = count, {done for done, _ in legs}  # with several environments it may go past `until`
                rate = len(self.members) * (count - start) / max(now - began, 1e-9)
                yield Turn(before, count, list(summed_up([rows for _, rows in legs], rate)))

    def _leg(self, member: Repetition, start: int, stop: int) -> tuple[int, list[tuple[int, Metrics]]]:
        """Let one go on; return the decisions done and its rows."""
        done = start
        rows: list[tuple[int, Metrics]] = []
        for turn in turns(
            member.agent,
            member.env,
            member.recorder,
            compiled=self.compiled,
            env_seed=member.env_seed,
            start=start,
            stop=stop,
        ):
            done = turn.num_steps
            rows.extend(turn.rows)
        return done, rows

    def state_dict(self) -> dict[str, State]:
        """Return the state of the only run, or of each, by component."""
        if len(self.members) == 1:
            (only,) = self.members
            return {
                "agent": only.agent.state_dict(),
                "env": only.env.state_dict(),
                "recorder": only.recorder.state_dict(),
            }
        return {
            "agent": {"runs": [member.agent.state_dict() for member in self.members]},
            "env": {"runs": [member.env.state_dict() for member in self.members]},
            "recorder": {"runs": [member.recorder.state_dict() for member in self.members]},
        }

    def load_state_dict(self, agent: State, env: State, recorder: State) -> None:
        """Continue from a state."""
        if len(self.members) == 1:
            agent, env, recorder = ({"runs": [state]} for state in (agent, env, recorder))
        states = zip(agent["runs"], env["runs"], recorder["runs"], strict=True)
        for member, (own_agent, own_env, own_recorder) in zip(self.members, states, strict=True):
            member.agent.load_state_dict(own_agent)
            member.env.load_state_dict(own_env)
            member.recorder.load_state_dict(own_recorder)


def summed_up(rows: Sequence[Sequence[tuple[int, Metrics]]], rate: float) -> Iterator[tuple[int, Metrics]]:
    """Yield a row for each step at which the repetitions have one: means over them, and half 95% intervals.

    The interval of `charts/episodic_return` is `charts/episodic_return_ci95` (normal). A repetition in which no episode
    ended since its row before has no part in the mean.

    Args:
        rows: Of each repetition: its rows by step.
        rate: Steps a second of all together.
    """
    by_step: dict[int, list[Metrics]] = {}
    for own in rows:
        for step, row in own:
            by_step.setdefault(step, []).append(row)
    for step in sorted(by_step):
        summary: dict[str, float] = {}
        for name in sorted({name for row in by_step[step] for name in row} - {"charts/SPS"}):
            values = np.array([float(row[name]) for row in by_step[step] if name in row])
            summary[name] = float(values.mean())
            if name in ("charts/episodic_return", "charts/episodic_length"):
                spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
                summary[f"{name}_ci95"] = 1.96 * spread / math.sqrt(len(values))
        yield step, {**summary, "charts/SPS": round(rate, 1)}


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

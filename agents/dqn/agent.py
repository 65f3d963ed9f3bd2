"""DQN (Mnih et al. 2015, "Human-level control through deep reinforcement learning", algorithm 1)."""

from __future__ import annotations

from functools import partial

import numpy as np

from tengen.actions import epsilon_greedy
from tengen.agents.dqn.learner import GreedyPolicy, Learner
from tengen.agents.dqn.pace import Pace
from tengen.agents.dqn.practice import Practice
from tengen.agents.dqn.support import SupportWatch
from tengen.contracts import Policy, Replay
from tengen.schedules import LinearSchedule
from tengen.types import Decision, EnvSpec, Metrics, State, TimeStep


class DQN:
    """Acts epsilon-greedily, remembers every step, and learns from samples of what it remembers.

    Args:
        spec: The environment.
        learner: The networks and their update.
        replay: Where transitions are kept.
        practice: Lets the learner make an update from the replay.
        pace: When updates are made.
        epsilon: Probability of a random action, by environment steps.
        learn_start: Environment steps taken at random before the first update.
        learn_period: Environment steps between learning.
        updates_per_learn: Updates each time.
        reward_clip: Each reward is clipped to [-x, x] before it is remembered, or None.
        watch: Remarks on the support of C51; None where there is none.
        rng: Draws exploration.
    """

    def __init__(
        self,
        spec: EnvSpec,
        learner: Learner,
        replay: Replay[object],
        practice: Practice,
        pace: Pace,
        epsilon: LinearSchedule,
        *,
        learn_start: int,
        learn_period: int,
        updates_per_learn: int,
        reward_clip: float | None,
        watch: SupportWatch | None,
        rng: np.random.Generator,
    ) -> None:
        self.num_actions = spec.num_actions
        self.learner = learner
        self.replay = replay
        self.practice = practice
        self.pace = pace
        self.epsilon = epsilon
        self.learn_start = learn_start
        self.learn_period = learn_period
        self.updates_per_learn = updates_per_learn
        self.reward_clip = reward_clip
        self.watch = watch
        self.rng = rng
        self.num_steps = 0  # environment steps seen

    @property
    def note(self) -> str | None:
        """What else there is to say of it when training starts."""
        return self.learner.note

    def remark(self, metrics: Metrics) -> str | None:
        """Return what a user should be warned of at a row of metrics, if anything."""
        return None if self.watch is None else self.watch.remark(metrics)

    def act(self, step: TimeStep) -> Decision:
        """Return the greedy actions, each replaced by a random legal one with probability epsilon."""
        epsilon = 1.0 if self.num_steps < self.learn_start else self.epsilon(self.num_steps)
        return Decision(epsilon_greedy(step, self.num_actions, epsilon, self.learner.exploring_actions, self.rng))

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Remember the step, and learn as often as `learn_period` came round in it."""
        metrics = self.pace.collect()
        if metrics:
            self.learner.publish()
        if self.reward_clip is not None:
            next_step = next_step._replace(reward=next_step.reward.clip(-self.reward_clip, self.reward_clip))
        if self.watch is not None:
            self.watch.see(next_step.reward)
        self.replay.add(step, decision, next_step)
        before = max(self.num_steps, self.learn_start)
        self.num_steps += len(step.reward)
        due = self.num_steps // self.learn_period - before // self.learn_period
        if due > 0 and self.num_steps > self.learn_start and len(self.replay) > 0:
            metrics = self.pace.start(partial(self._learn, due * self.updates_per_learn, self.num_steps)) or metrics
        return metrics

    def _learn(self, num_updates: int, num_steps: int) -> Metrics:
        for _ in range(num_updates):
            metrics = self.practice(self.learner, num_steps)
        return {**metrics, "charts/epsilon": self.epsilon(num_steps)}

    def policy(self) -> Policy:
        """Return the greedy policy; it goes on learning with the agent."""
        return GreedyPolicy(self.learner, self.pace.finish)

    def state_dict(self) -> State:
        """Return networks, optimizer, replay, generator and counters."""
        self.pace.finish()
        return {
            "learner": self.learner.state_dict(),
            "replay": self.replay.state_dict(),
            "pace": self.pace.state_dict(),
            "rng": self.rng.bit_generator.state,
            "num_steps": self.num_steps,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.pace.load_state_dict(state["pace"])
        self.learner.load_state_dict(state["learner"])
        self.replay.load_state_dict(state["replay"])
        self.rng.bit_generator.state = state["rng"]
        self.num_steps = int(state["num_steps"])

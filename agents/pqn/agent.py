"""PQN (Gallici et al. 2024, "Simplifying deep temporal difference learning", algorithm 1).

B environments, A actions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tengen.actions import random_actions
from tengen.agents.pqn.learner import Learner
from tengen.agents.pqn.rollout import Rollout
from tengen.contracts import Policy
from tengen.schedules import LinearSchedule
from tengen.types import Array, Bools, Decision, EnvSpec, Floats, Ints, Metrics, State, TimeStep


class PQN:
    """Acts epsilon-greedily for T steps of every environment, then learns their lambda-returns, and forgets them.

    The values that returns are bootstrapped from are those that the network gave when it acted.

    Args:
        spec: The environment.
        learner: The network and its updates.
        rollout: Holds T steps.
        epsilon: Probability of a random action, by environment steps.
        gamma: Discount factor.
        trace_decay: lambda.
        num_epochs: Times that each transition is learnt from.
        batch_size: Transitions in an update, at most.
        reward_clip: Each reward is clipped to [-x, x] before it is remembered, or None.
        rng: Draws exploration, and the order of learning.
    """

    def __init__(
        self,
        spec: EnvSpec,
        learner: Learner,
        rollout: Rollout,
        epsilon: LinearSchedule,
        *,
        gamma: float,
        trace_decay: float,
        num_epochs: int,
        batch_size: int,
        reward_clip: float | None,
        rng: np.random.Generator,
    ) -> None:
        self.num_actions = spec.num_actions
        self.learner = learner
        self.rollout = rollout
        self.epsilon = epsilon
        self.gamma = gamma
        self.trace_decay = trace_decay
        self.num_epochs = num_epochs
        self.batch_size = batch_size
        self.reward_clip = reward_clip
        self.rng = rng
        self.num_steps = 0  # environment steps seen

    def act(self, step: TimeStep) -> Decision:
        """Return the greedy actions, each replaced by a random legal one with probability epsilon."""
        q = legal_values(self.learner.action_values(step.observation), step.legal)
        explore = self.rng.random(len(q)) < self.epsilon(self.num_steps)
        random = random_actions(step, self.num_actions, self.rng)
        return Decision(np.where(explore, random, q.argmax(1)), {"value": q.max(1)})

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Remember the step, and learn when T of them are held."""
        if self.reward_clip is not None:
            next_step = next_step._replace(reward=next_step.reward.clip(-self.reward_clip, self.reward_clip))
        self.rollout.add(step, decision, next_step, self._final_value(next_step))
        self.num_steps += len(step.reward)
        if not self.rollout.is_full:
            return {}
        target = self.rollout.targets(self.gamma, self.trace_decay).ravel()  # [N]
        observation: Array = self.rollout.observation.reshape(len(target), *self.rollout.observation.shape[2:])
        batches = self._batches(len(target))
        metrics = self.learner.fit(observation, self.rollout.action.ravel(), target, batches, self.num_steps)
        self.rollout.clear()
        return {**metrics, "charts/epsilon": self.epsilon(self.num_steps)}

    def policy(self) -> Policy:
        """Return the greedy policy; it goes on learning with the agent."""
        return GreedyPolicy(self.learner)

    def state_dict(self) -> State:
        """Return the network, the optimizer, the rollout so far, the generator and the counter."""
        return {
            "learner": self.learner.state_dict(),
            "rollout": self.rollout.state_dict(),
            "rng": self.rng.bit_generator.state,
            "num_steps": self.num_steps,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.learner.load_state_dict(state["learner"])
        self.rollout.load_state_dict(state["rollout"])
        self.rng.bit_generator.state = state["rng"]
        self.num_steps = int(state["num_steps"])

    def _final_value(self, next_step: TimeStep) -> Floats:
        """Return the values [B] that no later `act` will give: of rows that end here, or all at the rollout's end."""
        value = np.zeros(len(next_step.reward))
        rows = (next_step.discount != 0.0) & (next_step.last | self.rollout.will_be_full)
        if rows.any():
            legal = None if next_step.legal is None else next_step.legal[rows]
            value[rows] = legal_values(self.learner.action_values(next_step.observation[rows]), legal).max(1)
        return value

    def _batches(self, num_transitions: int) -> Iterator[Ints]:
        num_batches = -(-num_transitions // self.batch_size)
        for _ in range(self.num_epochs):
            yield from np.array_split(self.rng.permutation(num_transitions), num_batches)


class GreedyPolicy:
    """Picks the action of the greatest Q."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        actions: Ints = legal_values(self.action_values(step), step.legal).argmax(1)
        return actions

    def action_values(self, step: TimeStep) -> Floats:
        """Return Q of each action in each row, [B, A]."""
        return self.learner.action_values(step.observation)


def legal_values(q: Floats, legal: Bools | None) -> Floats:
    """Return Q [B, A] with -inf for actions that aren't legal."""
    return q if legal is None else np.where(legal, q, -np.inf)

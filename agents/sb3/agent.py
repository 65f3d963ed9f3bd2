"""An agent of stable-baselines3 in Tengen's loop: its own `learn`, unmodified, with control turned around.

`learn` runs in a thread and asks its environment for steps; `act` returns the actions that it asked for, and `update`
and the next `act` give it what followed. Only one of both threads ever runs, so that a run is as reproducible as any
other. It learns in `act`, since stable-baselines3 wants to see the first observation of a new episode before going on;
so what is evaluated after a step has learnt from all steps before it, as in its own evaluations.
"""

from __future__ import annotations

import weakref
from typing import Any

from tengen.agents.sb3.adapter import Shown, Tally, shown_of_state, shown_state
from tengen.agents.sb3.learning import Learning
from tengen.agents.sb3.policy import SB3Policy, SB3StochasticPolicy
from tengen.agents.sb3.replay_log import BufferLog, load_rows
from tengen.contracts import Policy
from tengen.errors import UserError
from tengen.perception.torch_state import load_module_state, load_optimizer_state, module_state, optimizer_state
from tengen.types import Array, Decision, Metrics, State, TimeStep


class SB3Agent:
    """Lets a model of stable-baselines3 act and learn.

    Args:
        learning: Its `learn`, one turn at a time.
        num_envs: B.
        stochastic: Whether its policy draws its actions.
        save_replay: Whether its state holds its replay, if it has one.
        note: What else there is to say of it when training starts.
    """

    def __init__(self, learning: Learning, num_envs: int, *, stochastic: bool, save_replay: bool, note: str) -> None:
        self.note = note
        self._learning = learning
        self._model = learning.model
        self._stochastic = stochastic
        self._saves_replay = save_replay
        self._tally = Tally(num_envs)
        self._pending: Shown | None = None  # shown as soon as it is known what follows the end of an episode
        self._actions: Array | None = None  # asked for, and not yet taken
        self._timeline = object()
        weakref.finalize(self, learning.stop)

    @property
    def not_restored(self) -> str | None:
        """What a resumed run lacks of what it had, or None: then it goes on exactly."""
        if self._saves_replay or self._buffer is None:
            return None
        return "its replay was not saved (agent.save_replay): it begins with an empty one"

    @property
    def _buffer(self) -> Any:
        return getattr(self._model, "replay_buffer", None)

    def act(self, step: TimeStep) -> Decision:
        """Let it learn from what was last shown, and return the actions that it asks for then."""
        learning = self._learning
        actions = self._actions
        shown, self._pending = self._pending, None
        if shown is not None:
            if not learning.started:
                learning.start(shown.observation)
            actions = learning.show(shown._replace(observation=step.observation.copy()))
        if actions is None or not learning.started:
            actions = learning.start(step.observation.copy())
        self._actions = actions
        return Decision(actions.astype("int64"))

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Take note of what followed; show it at once where that is the end of its training."""
        shown = self._tally.shown(next_step)
        self._actions = None
        if self._learning.started and self._learning.ends_with_next_turn():
            self._learning.show(shown)
        else:
            self._pending = shown
        return self._learning.metrics()

    def policy(self) -> Policy:
        """Return the policy as learnt so far; it shares memory with the agent."""
        policy = self._model.policy
        return SB3StochasticPolicy(policy) if self._stochastic else SB3Policy(policy)

    def state_dict(self) -> State:
        """Return networks, optimizer, replay, and where its learning is."""
        learning, policy = self._learning, self._model.policy
        state: State = {
            "policy": module_state(policy),
            "optimizer": optimizer_state(policy.optimizer),
            "beginning": learning.beginning,
            "rollout": shown_state(learning.rollout),
            "pending": shown_state([] if self._pending is None else [self._pending]),
            "returns": self._tally.returns,
            "lengths": self._tally.lengths,
        }
        if self._buffer is not None and self._saves_replay:
            state["replay"] = BufferLog(self._buffer, learning.num_rows, self._timeline)
        return state

    def load_state_dict(self, state: State) -> None:
        """Continue from a state; the rollout that was under way is gone through again when it next acts."""
        learning, policy = self._learning, self._model.policy
        learning.stop()
        load_module_state(policy, state["policy"])
        load_optimizer_state(policy.optimizer, state["optimizer"])
        learning.load(state["beginning"], shown_of_state(state["rollout"]))
        pending = shown_of_state(state["pending"])
        self._pending = pending[0] if pending else None
        self._actions = None
        self._tally.returns, self._tally.lengths = state["returns"].copy(), state["lengths"].copy()
        self._timeline = object()
        buffer = self._buffer
        if buffer is None:
            return
        buffer.pos, buffer.full = 0, False
        if self._saves_replay:
            if "replay" not in state:
                raise UserError("the checkpoint has no replay: it was made with agent.save_replay off, go on with that")
            load_rows(buffer, state["replay"], learning.num_rows - len(learning.rollout))

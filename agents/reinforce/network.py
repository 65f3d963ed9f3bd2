"""REINFORCE with networks: the agent remembers episodes, and learns from those that have ended.

N steps, B environments side by side, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn, optim

from tengen.agents.reinforce.config import ReinforceNetworkConfig
from tengen.agents.reinforce.sampling import sample_softmax, softmax
from tengen.contracts import Policy
from tengen.perception.networks import plain_network
from tengen.perception.torch_state import load_module_state, load_optimizer_state, module_state, optimizer_state
from tengen.types import Array, Bools, Decision, EnvSpec, Floats, Ints, Metrics, State, TimeStep


class Experience(NamedTuple):
    """Steps of an episode, or of several behind one another."""

    observation: Array  # [N, ...]
    action: Ints  # [N]
    legal: Bools  # [N, A], or [N, 0]: all actions are
    returns: Floats  # [N]
    weight: Floats  # [N], of what is learnt from the step


class Baseline(Protocol):
    """What returns are compared with."""

    def values(self, observation: Array) -> Floats:
        """Return the value [N] of each observation [N, ...]."""
        ...

    def fit(self, experience: Experience) -> Metrics:
        """Learn from episodes that have ended."""
        ...

    def state_dict(self) -> State:
        """Return what has been learnt."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        ...


class NoBaseline:
    """Zero everywhere; there is nothing to learn."""

    def values(self, observation: Array) -> Floats:
        """Return zeros [N]."""
        return np.zeros(len(observation))

    def fit(self, experience: Experience) -> Metrics:
        """Learn nothing."""
        return {}

    def state_dict(self) -> State:
        """Return an empty state."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Do nothing."""


class NetworkBaseline:
    """A network fitted to the returns by mean squared error.

    Args:
        network: Observations [N, ...] -> values [N, 1].
        optimizer: Of its parameters.
        num_updates: Gradient steps on each batch.
        device: Where it is.
    """

    def __init__(self, network: nn.Module, optimizer: optim.Optimizer, num_updates: int, device: torch.device) -> None:
        self.network = network
        self.optimizer = optimizer
        self.num_updates = num_updates
        self.device = device

    @torch.inference_mode()
    def values(self, observation: Array) -> Floats:
        """Return the value [N] of each observation [N, ...]."""
        values: Floats = self._values(observation).cpu().numpy().astype(np.float64)
        return values

    def fit(self, experience: Experience) -> Metrics:
        """Make gradient steps towards the returns; report the loss before the last."""
        target = torch.from_numpy(experience.returns).to(self.device, torch.float32)
        for _ in range(self.num_updates):
            loss = nn.functional.mse_loss(self._values(experience.observation), target)
            _descend(self.optimizer, loss)
        return {"losses/baseline_loss": loss.detach()}

    def state_dict(self) -> State:
        """Return the network and the optimizer's moments."""
        return {"network": module_state(self.network), "optimizer": optimizer_state(self.optimizer)}

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        load_module_state(self.network, state["network"])
        load_optimizer_state(self.optimizer, state["optimizer"])

    def _values(self, observation: Array) -> Tensor:
        values: Tensor = self.network(torch.from_numpy(observation).to(self.device))
        return values.squeeze(1)


class SoftmaxNetwork:
    """Draws a legal action by the softmax of a network's preferences.

    Args:
        network: Observations [N, ...] -> preferences [N, A].
        device: Where it is.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network = network
        self.device = device

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        return sample_softmax(self._preferences(step), step.legal, rng)

    def probabilities(self, step: TimeStep) -> Floats:
        """Return the probability of each action in each row, [B, A]."""
        return softmax(self._preferences(step), step.legal)

    def log_probabilities(self, observation: Array, legal: Bools) -> Tensor:
        """Return ln pi [N, A], which can be differentiated; -inf for actions that aren't legal.

        Args:
            observation: [N, ...].
            legal: [N, A]; or [N, 0]: all are.
        """
        preferences: Tensor = self.network(torch.from_numpy(observation).to(self.device))
        if legal.shape[1] > 0:
            preferences = preferences.masked_fill(~torch.from_numpy(legal).to(self.device), -torch.inf)
        return preferences.log_softmax(1)

    def _preferences(self, step: TimeStep) -> Floats:
        with torch.inference_mode():
            preferences = self.network(torch.from_numpy(step.observation).to(self.device))
        return preferences.cpu().numpy().astype(np.float64)  # type: ignore[no-any-return]  # as torch has it


class ReinforceNetwork:
    """Acts by a softmax policy and moves it along the gradient of what whole episodes returned (S&B page 330).

    Args:
        policy: What it acts by.
        optimizer: Of the policy's parameters.
        baseline: What returns are compared with.
        spec: The environment.
        gamma: Discount factor.
        discount_updates: Weigh the step at time t by gamma^t.
        episodes_per_update: Episodes in a batch.
        rng: Draws actions.
    """

    def __init__(
        self,
        policy: SoftmaxNetwork,
        optimizer: optim.Optimizer,
        baseline: Baseline,
        spec: EnvSpec,
        *,
        gamma: float,
        discount_updates: bool,
        episodes_per_update: int,
        rng: np.random.Generator,
    ) -> None:
        self.optimizer = optimizer
        self.baseline = baseline
        self.gamma = gamma
        self.update_gamma = gamma if discount_updates else 1.0
        self.episodes_per_update = episodes_per_update
        self.rng = rng
        self._policy = policy
        space: Any = spec.observation_space
        self._memory = [_Memory(space, spec) for _ in range(spec.num_envs)]  # [B], the episodes under way
        self._finished: list[Experience] = []

    def act(self, step: TimeStep) -> Decision:
        """Draw an action for each row."""
        return Decision(self._policy.act(step, self.rng))

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Remember one step of every row, and learn when enough episodes have ended.

        A discount of 0 ends one as well, since nothing that follows counts. An episode that is only cut off counts on
        with the baseline of its final observation.
        """
        reward, discount, last = next_step.reward.tolist(), next_step.discount.tolist(), next_step.last.tolist()
        for row, memory in enumerate(self._memory):
            memory.add(step, row, int(decision.actions[row]), reward[row], discount[row])
            if last[row] or discount[row] == 0.0:
                v_t = 0.0
                if discount[row] != 0.0:
                    v_t = float(self.baseline.values(next_step.observation[row : row + 1])[0])
                self._finished.append(memory.finish(self.gamma, self.update_gamma, v_t))
        if len(self._finished) < self.episodes_per_update:
            return {}
        batch = Experience(*(np.concatenate(parts) for parts in zip(*self._finished, strict=True)))
        num_episodes, self._finished = len(self._finished), []
        return self.learn(batch, num_episodes)

    def learn(self, batch: Experience, num_episodes: int) -> Metrics:
        """Make a gradient step of the policy, and fit the baseline; return what is to be reported."""
        delta = batch.returns - self.baseline.values(batch.observation)  # before the baseline learns these returns
        loss = self.policy_loss(batch, delta, num_episodes)
        _descend(self.optimizer, loss)
        return {"losses/policy_loss": loss.detach(), **self.baseline.fit(batch)}

    def policy_loss(self, batch: Experience, delta: Floats, num_episodes: int) -> Tensor:
        """Return the mean over episodes of the sum of -weight delta ln pi(a|s), for the gradient of S&B eq. 13.11.

        A mean over steps would be biased: it gives a step of a long episode less weight.
        """
        log_pi = self._policy.log_probabilities(batch.observation, batch.legal)  # [N, A]
        chosen = log_pi.gather(1, torch.from_numpy(batch.action)[:, None].to(log_pi.device)).squeeze(1)
        weight = torch.from_numpy(batch.weight * delta).to(log_pi.device, torch.float32)
        return -(weight * chosen).sum() / num_episodes

    def policy(self) -> Policy:
        """Return the stochastic policy; it goes on learning with the agent."""
        return self._policy

    def state_dict(self) -> State:
        """Return networks, optimizers, generator and the episodes that have not been learnt from."""
        return {
            "policy": module_state(self._policy.network),
            "optimizer": optimizer_state(self.optimizer),
            "baseline": self.baseline.state_dict(),
            "rng": self.rng.bit_generator.state,
            "episodes": [memory.state_dict() for memory in self._memory],
            "finished": [experience._asdict() for experience in self._finished],
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        load_module_state(self._policy.network, state["policy"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        self.baseline.load_state_dict(state["baseline"])
        self.rng.bit_generator.state = state["rng"]
        for memory, saved in zip(self._memory, state["episodes"], strict=True):
            memory.load_state_dict(saved)
        self._finished = [Experience(**saved) for saved in state["finished"]]


class _Memory:
    """The steps so far of one environment's episode.

    Args:
        space: Of observations.
        spec: The environment.
    """

    def __init__(self, space: Any, spec: EnvSpec) -> None:
        self._shape, self._dtype = space.shape, space.dtype
        self._num_masks = spec.num_actions if spec.has_legal else 0
        self._clear()

    def _clear(self) -> None:
        self._observation: list[Array] = []
        self._action: list[int] = []
        self._legal: list[Array] = []
        self._reward: list[float] = []
        self._discount: list[float] = []

    def add(self, step: TimeStep, row: int, action: int, reward: float, discount: float) -> None:
        """Remember a step of a row."""
        self._observation.append(step.observation[row].copy())
        self._action.append(action)
        self._legal.append(np.ones(0, np.bool_) if step.legal is None else step.legal[row].copy())
        self._reward.append(reward)
        self._discount.append(discount)

    def finish(self, gamma: float, update_gamma: float, v_t: float) -> Experience:
        """Return the episode, and forget it.

        Args:
            gamma: Discount factor.
            update_gamma: A step's weight is multiplied by it at each step.
            v_t: The value of the final observation; of no account where the last discount is 0.
        """
        returns, weights = returns_and_weights(self._reward, self._discount, gamma, update_gamma, v_t)
        steps = self.state_dict()
        self._clear()
        return Experience(steps["observation"], steps["action"], steps["legal"], returns, weights)

    def state_dict(self) -> State:
        """Return the steps as arrays."""
        length = len(self._action)
        return {
            "observation": np.array(self._observation, self._dtype).reshape(length, *self._shape),
            "action": np.array(self._action, np.int64),
            "legal": np.array(self._legal, np.bool_).reshape(length, self._num_masks),
            "reward": np.array(self._reward, np.float64),
            "discount": np.array(self._discount, np.float64),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self._observation, self._legal = list(np.array(state["observation"])), list(np.array(state["legal"]))
        self._action = state["action"].tolist()
        self._reward, self._discount = state["reward"].tolist(), state["discount"].tolist()


def returns_and_weights(
    rewards: Sequence[float], discounts: Sequence[float], gamma: float, update_gamma: float, v_t: float
) -> tuple[Floats, Floats]:
    """Return the return [N] of each step of an episode, and the weight [N] of what is learnt from it.

    Args:
        rewards: N of them.
        discounts: Of the TimeSteps: -1 where the other side is to move, whose gain counts with its sign turned.
        gamma: Discount factor.
        update_gamma: A step's weight is the product of these, and of the sizes of the discounts, before it.
        v_t: The value of the final observation; of no account where the last discount is 0.
    """
    returns, weights = np.empty(len(rewards)), np.empty(len(rewards))
    g, weight = v_t, 1.0
    for t in range(len(rewards) - 1, -1, -1):
        g = rewards[t] + gamma * discounts[t] * g
        returns[t] = g
    for t, discount in enumerate(discounts):
        weights[t] = weight
        weight *= update_gamma * abs(discount)
    return returns, weights


def _descend(optimizer: optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
    optimizer.step()


def build(config: ReinforceNetworkConfig, spec: EnvSpec, rng: np.random.Generator, device: str) -> ReinforceNetwork:
    """Return the agent that a config describes.

    Args:
        config: Its settings.
        spec: The environment.
        rng: Its children seed the networks and the actions.
        device: "cpu", "cuda" or "cuda:N".
    """
    network_rng, agent_rng = rng.spawn(2)
    generator = torch.Generator().manual_seed(int(network_rng.integers(2**62)))
    place = torch.device(device)
    network = plain_network(spec.observation_space, spec.num_actions, config.hidden, generator).to(place)
    baseline: Baseline = NoBaseline()
    if config.baseline:
        values = plain_network(spec.observation_space, 1, config.hidden, generator).to(place)
        optimizer = optim.Adam(values.parameters(), config.baseline_learning_rate, fused=True)
        baseline = NetworkBaseline(values, optimizer, config.baseline_updates, place)
    return ReinforceNetwork(
        SoftmaxNetwork(network, place),
        optim.Adam(network.parameters(), config.policy_learning_rate, fused=True),
        baseline,
        spec,
        gamma=config.gamma,
        discount_updates=config.discount_updates,
        episodes_per_update=config.episodes_per_update,
        rng=agent_rng,
    )

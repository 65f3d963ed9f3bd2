"""DQN's settings; standard library only, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal

from tengen.agents._checks import check_learning_rates, check_widths
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.agents.dqn.agent import DQN
    from tengen.types import EnvSpec


_HUGE = 1e30  # finite in float32, too
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("n_step", "learn_period", "updates_per_learn", "target_period"), (1, inf)),
    "batch_size": (1, 10**6),  # beyond, the activations alone take a machine's memory
    **dict.fromkeys(("replay_capacity", "num_quantiles"), (1, 10**12)),  # what memory there is for
    "num_atoms": (2, 10**12),
    **dict.fromkeys(("gamma", "epsilon_start", "epsilon_end", "target_rate", "pop_art_rate"), (0, 1)),
    **dict.fromkeys(("priority_exponent", "importance_start", "importance_end"), (0, 1)),
    **dict.fromkeys(("learn_start", "epsilon_decay_steps", "learning_rate_decay_steps", "importance_steps"), (0, inf)),
    **dict.fromkeys(("noise_start", "huber_kappa"), (0, _HUGE)),
    "adam_epsilon": (1e-30, _HUGE),
}


@dataclass(frozen=True)
class DQNConfig:
    """Deep Q-network (Mnih et al. 2015) and the parts of Rainbow. Steps are decisions, summed over environments."""

    gamma: float = 0.99
    """Discount factor."""
    n_step: int = 1
    """Rewards summed before bootstrapping."""
    hidden: tuple[int, ...] = (120, 84)
    """Widths of the fully connected layers (behind the Nature CNN where observations are pictures)."""
    learning_rate: float = 2.5e-4
    """Step size of the optimizer."""
    learning_rate_end: float | None = None
    """Step size after `learning_rate_decay_steps`; constant unless given."""
    learning_rate_decay_steps: int = 50_000
    """Environment steps over which the step size goes to its end in a straight line."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """adam, or the paper's centred rmsprop."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    batch_size: int = 32
    """Transitions in an update."""
    replay: Literal["uniform", "prioritized", "none"] = "uniform"
    """Learn from random samples of a replay buffer, or by priority; none: from the latest step only, as it comes."""
    replay_capacity: int = 100_000
    """Frames that the replay buffer holds, over all environments."""
    priority_exponent: float = 0.6
    """Prioritized replay: how strongly errors count; 0 is uniform."""
    importance_start: float = 0.4
    """Prioritized replay: at step 0, how much of the sampling's bias the weights of losses take back, from 0 to 1."""
    importance_end: float = 1.0
    """The same after `importance_steps`."""
    importance_steps: int = 50_000
    """Environment steps over which it goes to its end in a straight line."""
    learn_start: int = 1_000
    """Environment steps taken at random before learning."""
    learn_period: int = 4
    """Environment steps between learning."""
    updates_per_learn: int = 1
    """Gradient updates each time."""
    target: Literal["periodic", "polyak", "none"] = "periodic"
    """Target network: a frozen copy renewed each `target_period`, a Polyak average, or none (the network itself)."""
    target_period: int = 1_000
    """Updates between renewals of the frozen copy."""
    target_rate: float = 0.005
    """Polyak: the share of the network that goes into its average at each update."""
    epsilon_start: float = 1.0
    """Probability of a random action at step 0."""
    epsilon_end: float = 0.05
    """Probability of a random action after `epsilon_decay_steps`."""
    epsilon_decay_steps: int = 10_000
    """Environment steps over which epsilon goes to its end in a straight line."""
    loss: Literal["huber", "squared"] = "huber"
    """Loss of the temporal-difference error; Huber is the paper's error clipping to [-1, 1]."""
    reward_clip: float | None = None
    """Clip rewards to [-x, x] before learning; Atari protocols clip by themselves."""
    gradient_clip: float | None = 10.0
    """Largest norm of the gradient; none unless given."""
    double: bool = False
    """Double Q-learning: the online network chooses the next action, the target network says what it is worth."""
    dueling: bool = False
    """Value and advantages of actions in two streams of the network."""
    noisy: bool = False
    """Noise of a learnt size in the fully connected layers, to explore with; set epsilon to 0 beside it."""
    noise_start: float = 0.5
    """Noisy networks: the initial size of the noise."""
    distribution: Literal["none", "categorical", "quantile"] = "none"
    """Learn the distribution of returns: on a fixed support (C51), or its quantiles (QR-DQN)."""
    num_atoms: int = 51
    """Categorical: atoms of the support."""
    v_min: float = -10.0
    """Categorical: the lowest atom."""
    v_max: float = 10.0
    """Categorical: the highest atom."""
    num_quantiles: int = 200
    """Quantile: how many."""
    huber_kappa: float = 1.0
    """Quantile: where Huber's loss becomes linear; 0 is plain quantile regression."""
    pop_art: bool = False
    """Measure returns in units of their running mean and deviation (Pop-Art), instead of clipping rewards."""
    pop_art_rate: float = 3e-4
    """Pop-Art: step size of the running moments."""
    overlap: bool = False
    """Learn while the environments take their next step, from data up to the step before; for GPUs."""
    compile: bool = False
    """Compile the loss by torch.compile (on a GPU with CUDA graphs); takes a minute at the start."""
    backend: Literal["auto", "torch", "by_hand", "compiled"] = "auto"
    """torch; on a CPU by_hand, torch without autograd, or compiled, kernels for small MLPs; auto: the fastest."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Arithmetic of forward and backward passes; auto takes bfloat16 where the run starts on a processor with it."""

    def __post_init__(self) -> None:
        for name, (smallest, greatest) in _RANGES.items():
            value = getattr(self, name)
            if not smallest <= value <= greatest:
                one_sided = f"at most {greatest:g}" if value > greatest else f"at least {smallest:g}"
                limits = f"between {smallest} and {greatest}" if greatest == 1 else one_sided
                raise UserError(f"agent.{name} must be {limits}, got {value}")
        if not self.pop_art_rate > 0:
            raise UserError(f"agent.pop_art_rate must be greater than 0, got {self.pop_art_rate}")
        check_learning_rates(self.learning_rate, self.learning_rate_end)
        check_widths("hidden", self.hidden)
        for name in ("reward_clip", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"agent.{name} must be greater than 0, or none, got {value}")
        if self.n_step > 1 and self.replay == "none":
            raise UserError(
                f"agent.n_step of {self.n_step} needs a replay buffer: leave agent.replay as it is, or n_step at 1"
            )
        if self.batch_size > self.replay_capacity and self.replay != "none":
            raise UserError(
                f"agent.batch_size of {self.batch_size} is more than the replay holds: "
                f"agent.replay_capacity is {self.replay_capacity}"
            )
        if not -_HUGE <= self.v_min < self.v_max <= _HUGE:
            raise UserError(f"agent.v_min must be below agent.v_max, got {self.v_min} and {self.v_max}")
        if self.dueling and not self.hidden:
            raise UserError("agent.dueling needs a fully connected layer for each stream: give agent.hidden a width")

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why DQN can't take these spaces, or None."""
        from gymnasium.spaces import Box, Discrete  # loaded already: the spec holds its spaces

        if not isinstance(spec.action_space, Discrete):
            return f"dqn needs a discrete action space, {spec.id} has {spec.action_space}"
        if not isinstance(spec.observation_space, Box | Discrete):
            return f"dqn needs Box or Discrete observations, {spec.id} has {spec.observation_space}"
        return None

    def obstacle(self, device: str) -> str | None:
        """Return why these settings can't be learnt by on this machine, or None; imports torch if it has to ask."""
        if not self.compile or device != "cpu":
            return None
        from tengen.agents.dqn.build import why_torch_compiles_nothing

        reason = why_torch_compiles_nothing()
        return None if reason is None else f"agent.compile can't be had here: {reason}; install one, or leave it out"

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> DQN:
        """Assemble the agent; imports torch."""
        from tengen.agents.dqn.build import build

        return build(self, spec, rng, device)

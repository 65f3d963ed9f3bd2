"""AlphaZero's settings; standard library only, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal

from tengen.agents._checks import check_learning_rates, check_widths
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.agents.alphazero.agent import AlphaZero
    from tengen.types import EnvSpec

_MOST = {"blocks": 200, "width": 4096}  # what files of networks may hold


@dataclass(frozen=True)
class AlphaZeroConfig:
    """AlphaZero (Silver et al. 2018): a policy and value network that learns from its own search, by self-play.

    Steps are moves, summed over games. With the Gumbel search (Danihelka et al. 2022) few simulations a move will do.
    """

    search: Literal["gumbel", "puct"] = "gumbel"
    """How the tree is searched: Gumbel AlphaZero's sequential halving, or AlphaZero's PUCT with noise at the root."""
    simulations: int = 32
    """Simulations of each move of self-play."""
    policy_simulations: int | None = None
    """Simulations of each move when it is evaluated; as many as in self-play unless given, 0 for the bare network."""
    max_considered: int = 16
    """Gumbel: the greatest number of moves considered at the root."""
    exploration: float = 1.25
    """PUCT: the weight of prior probabilities."""
    root_noise: float = 0.25
    """PUCT: the share of Dirichlet noise in the prior at the root."""
    dirichlet: float = 10.0
    """PUCT: the noise's concentration, divided by the number of the game's actions; each legal move gets one part."""
    sampled_moves: int = 8
    """Moves at a game's start that are drawn in proportion to visits; later ones are what search likes best."""
    network: str | None = None
    """A network of a board to start from, instead of a new one of `blocks` and `width`: the name of a shipped one, or a
    file of `tengen perceive export`, which must stay where it is. It may be of another board size."""
    blocks: int = 4
    """Residual blocks of a board's network."""
    width: int = 64
    """Features of each convolution."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the fully connected layers, where what is seen is no board."""
    replay_capacity: int = 100_000
    """Positions of finished games that are remembered."""
    batch_size: int = 128
    """Positions in an update."""
    learn_start: int = 1_000
    """Positions that must be remembered before the first update."""
    learn_period: int = 64
    """Steps between learning."""
    updates_per_learn: int = 1
    """Updates each time."""
    symmetries: bool = True
    """Show positions turned and mirrored at random, where the game looks the same then."""
    learning_rate: float = 1e-3
    """Step size of the optimizer, AdamW."""
    learning_rate_end: float | None = None
    """Step size after `learning_rate_decay_steps`; constant unless given."""
    learning_rate_decay_steps: int = 500_000
    """Steps over which the step size goes to its end in a straight line."""
    weight_decay: float = 1e-4
    """Of all weights, in each update, times the step size."""
    value_weight: float = 1.0
    """Weight of the value's loss beside the policy's."""
    territory_weight: float = 0.0
    """Weight of the loss of whose each point will be, beside the policy's; above 0 for games about points (Go) only."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Arithmetic of the network; auto takes bfloat16 where the run starts on a processor with it."""

    def __post_init__(self) -> None:
        for name in ("simulations", "max_considered", "replay_capacity", "batch_size", "learn_start"):
            if getattr(self, name) < 1:
                raise UserError(f"agent.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learn_period", "updates_per_learn"):
            if getattr(self, name) < 1:
                raise UserError(f"agent.{name} must be at least 1, got {getattr(self, name)}")
        for name, most in _MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise UserError(f"agent.{name} must be from 1 to {most}, got {getattr(self, name)}")
        for name in (
            *("sampled_moves", "exploration", "weight_decay", "value_weight", "learning_rate_decay_steps"),
            "territory_weight",
        ):
            if not 0 <= getattr(self, name) < inf:
                raise UserError(f"agent.{name} must not be negative, and finite, got {getattr(self, name)}")
        if self.policy_simulations is not None and self.policy_simulations < 0:
            raise UserError(f"agent.policy_simulations must not be negative, got {self.policy_simulations}")
        if not 0 <= self.root_noise <= 1:
            raise UserError(f"agent.root_noise must be between 0 and 1, got {self.root_noise}")
        if not 0 < self.dirichlet < inf:
            raise UserError(f"agent.dirichlet must be greater than 0, and finite, got {self.dirichlet}")
        check_learning_rates(self.learning_rate, self.learning_rate_end)
        check_widths("hidden", self.hidden)
        if self.learn_start > self.replay_capacity:
            raise UserError(
                f"agent.learn_start {self.learn_start} is more than agent.replay_capacity {self.replay_capacity}"
            )

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why AlphaZero can't play this, or None."""
        from gymnasium.spaces import Box, Discrete  # loaded already: the spec holds its spaces

        if spec.simulator is None:
            return f"alphazero searches by the rules of a game, {spec.id} has no simulator"
        if not getattr(spec.simulator, "deterministic", False):
            return f"alphazero needs rules without chance, and those of {spec.id} don't say that they are"
        if not isinstance(spec.observation_space, Box | Discrete):
            return f"alphazero needs Box or Discrete observations, {spec.id} has {spec.observation_space}"
        return None

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> AlphaZero:
        """Assemble the agent; imports torch."""
        from tengen.agents.alphazero.build import build

        return build(self, spec, rng, device)

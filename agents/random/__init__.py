"""The agent that picks a legal action at random."""

from tengen.agents.random.agent import RandomAgent, RandomPolicy
from tengen.agents.random.config import RandomConfig

__all__ = ["RandomAgent", "RandomConfig", "RandomPolicy"]

"""Tables of values: the agents of Sutton & Barto's first part, step by step or in one compiled loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.tabular.config import (
    DoubleQLearningConfig,
    ExpectedSarsaConfig,
    QLearningConfig,
    SarsaConfig,
)
from tengen.agents.tabular.monte_carlo_config import MonteCarloConfig, OffPolicyMonteCarloConfig
from tengen.agents.tabular.multi_step_config import (
    NStepSarsaConfig,
    QLambdaConfig,
    QSigmaConfig,
    SarsaLambdaConfig,
    TreeBackupConfig,
)
from tengen.agents.tabular.prediction_config import PredictionConfig

if TYPE_CHECKING:
    from tengen.agents.tabular.agent import GreedyTable, TabularAgent

__all__ = [
    "DoubleQLearningConfig",
    "ExpectedSarsaConfig",
    "GreedyTable",
    "MonteCarloConfig",
    "NStepSarsaConfig",
    "OffPolicyMonteCarloConfig",
    "PredictionConfig",
    "QLambdaConfig",
    "QLearningConfig",
    "QSigmaConfig",
    "SarsaConfig",
    "SarsaLambdaConfig",
    "TabularAgent",
    "TreeBackupConfig",
]

__getattr__ = lazy_exports(
    __name__, {"GreedyTable": "tengen.agents.tabular.agent", "TabularAgent": "tengen.agents.tabular.agent"}
)

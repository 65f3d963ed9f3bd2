"""REINFORCE: Monte Carlo policy gradient, in a table and with networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.reinforce.config import ReinforceConfig, ReinforceNetworkConfig

if TYPE_CHECKING:
    from tengen.agents.reinforce.network import ReinforceNetwork, SoftmaxNetwork
    from tengen.agents.reinforce.table import SoftmaxTable

__all__ = ["ReinforceConfig", "ReinforceNetwork", "ReinforceNetworkConfig", "SoftmaxNetwork", "SoftmaxTable"]

__getattr__ = lazy_exports(
    __name__,
    {
        "ReinforceNetwork": "tengen.agents.reinforce.network",
        "SoftmaxNetwork": "tengen.agents.reinforce.network",
        "SoftmaxTable": "tengen.agents.reinforce.table",
    },
)

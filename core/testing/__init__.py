"""Contract suites that a plug-in author can call, one line in a test each.

    def test_my_environment_keeps_the_contract():
        check_environment(lambda num_envs: MyEnv(num_envs))

Each raises `Violation`, an AssertionError that names the broken rule and the call and row where it was seen. The rules
of a suite are listed in its module (`ENVIRONMENT_RULES` and so on) and explained in `tengen.contracts` and
`tengen.types`. Nothing here needs pytest.
"""

from tengen.testing.agent import AGENT_RULES, check_agent
from tengen.testing.environment import ENVIRONMENT_RULES, check_environment
from tengen.testing.policy import POLICY_RULES, check_policy
from tengen.testing.prioritizing_replay import PRIORITIZING_RULES, check_prioritizing_replay
from tengen.testing.replay import REPLAY_RULES, check_replay
from tengen.testing.simulator import SIMULATOR_RULES, check_simulator
from tengen.testing.violation import Violation

__all__ = [
    "AGENT_RULES",
    "ENVIRONMENT_RULES",
    "POLICY_RULES",
    "PRIORITIZING_RULES",
    "REPLAY_RULES",
    "SIMULATOR_RULES",
    "Violation",
    "check_agent",
    "check_environment",
    "check_policy",
    "check_prioritizing_replay",
    "check_replay",
    "check_simulator",
]

"""What a search believes, as text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tengen.planners.mcts.search import Search


def root_report(search: Search, row: int = 0, *, name: Callable[[int], str] = str, most: int = 10) -> str:
    """Return a table of a root's actions, the most visited first, with what is expected to follow each.

    Args:
        search: After a run.
        row: The game.
        name: What an action is called.
        most: Actions shown at most.
    """
    result = search.result()
    visits, values, priors = result.visits[row], result.values[row], result.priors[row]
    shown = [action for action in np.lexsort((-values, -visits))[:most].tolist() if visits[action] > 0]
    lines = [
        f"value {result.value[row]:+.3f} after {visits.sum()} visits, {search.num_nodes[row]} nodes",
        f"{'action':>8}{'visits':>9}{'value':>8}{'prior':>8}  follows",
    ]
    for action in shown:
        follows = " ".join(name(later) for later in search.principal_variation(row, action)[1:])
        line = f"{name(action):>8}{visits[action]:>9}{values[action]:>+8.3f}{priors[action]:>8.3f}  {follows}"
        lines.append(line.rstrip())
    return "\n".join(lines)

"""What a run of `tengen perceive fit` has learnt: its network, to be tested, exported and played with.

Nothing is written into the run's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tengen.checkpoint import Checkpoint, CheckpointStore
from tengen.run.fit import open_fit

if TYPE_CHECKING:
    from tengen.perception.network_file import Card


class Fitted(NamedTuple):
    """A fit's network as of a checkpoint."""

    network: Any  # with its normalisations
    card: Card
    task_config: Any


def fit_checkpoint(folder: Path, step: int | None = None) -> Checkpoint:
    """Return a checkpoint of a fit: of a step, or the latest one that is whole.

    Raises:
        UserError: There is none.
    """
    return CheckpointStore(folder / "checkpoints").load(step, resume=False)


def load_fitted(folder: Path, step: int | None = None) -> Fitted:
    """Return what a fit has learnt as of a checkpoint (the latest one that is whole unless told).

    Raises:
        UserError: There is no such run or checkpoint, or its settings don't fit it.
    """
    from tengen.perception.network_file import Card, make_network
    from tengen.perception.torch_state import load_module_state

    config = open_fit(folder)
    saved, task = fit_checkpoint(folder, step), config.task_config
    architecture = task.architecture()
    network = make_network(architecture)
    load_module_state(network, saved.state(resume=False)["learner"]["network"])
    about = {"task": config.task, "step": saved.step, "settings": config.to_dict()}
    return Fitted(network.eval(), Card(architecture, task.planes, task.size, None, about), task)

"""Nested NamedTuples of arrays, as learners are: their state, and room for the episodes that some of them remember.

B environments side by side, T steps of an episode.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen.agents._learner_kernels import Trajectory, is_growing
from tengen.errors import UserError
from tengen.types import Array, State


def empty_trajectory(num_envs: int) -> Trajectory:
    """Return a trajectory of no steps yet."""
    shape = (num_envs, 64)
    return Trajectory(
        np.zeros(num_envs, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape),
        np.zeros(shape),
    )


def grows(tree: Any) -> bool:
    """Return whether a tree has a memory of steps in it."""
    return is_growing(tree) or (isinstance(tree, tuple) and any(map(grows, tree)))


def reserve(tree: Any, num_steps: int) -> Any:
    """Return a tree in which every memory of steps has room for some more."""
    if is_growing(tree):
        needed = int(tree.length.max()) + num_steps
        room = tree[1].shape[1]
        if needed <= room:
            return tree
        more = max(needed, 2 * room) - room
        return type(tree)(tree.length, *(np.pad(array, ((0, 0), (0, more))) for array in tree[1:]))
    if isinstance(tree, tuple):
        branches = [reserve(branch, num_steps) for branch in tree]
        same = all(new is old for new, old in zip(branches, tree, strict=True))
        return tree if same else type(tree)(*branches)
    return tree


def arrays_of(tree: Any) -> State:
    """Return the arrays of a tree by name; numbers, which are settings, are left out."""
    state: State = {}
    for name, branch in zip(tree._fields, tree, strict=True):
        if is_growing(branch):  # without the room behind it, which depends on who reserved it and on the past
            held = np.arange(int(branch.length.max())) < branch.length[:, None]  # [B, T]
            state[name] = {"length": branch.length} | {
                part: np.where(held, array[:, : held.shape[1]], np.zeros((), array.dtype))
                for part, array in zip(branch._fields[1:], branch[1:], strict=True)
            }
        elif isinstance(branch, tuple):
            inner = arrays_of(branch)
            if inner:
                state[name] = inner
        elif isinstance(branch, np.ndarray):
            state[name] = branch
    return state


def load_arrays(tree: Any, state: State) -> Any:
    """Return a tree with the arrays of `arrays_of`; all but memories of steps are written in place.

    Raises:
        UserError: The state is another tree's.
    """
    branches = []
    for name, branch in zip(tree._fields, tree, strict=True):
        if is_growing(branch):
            saved = type(branch)(**state[name])
            grown = reserve(branch._replace(length=np.array(saved.length, np.int64)), 0)
            for own, theirs in zip(grown[1:], saved[1:], strict=True):
                own[:, : theirs.shape[1]] = theirs
            branches.append(grown)
        elif isinstance(branch, tuple):
            branches.append(load_arrays(branch, state.get(name, {})))
        elif isinstance(branch, np.ndarray):
            branches.append(_fill(name, branch, state.get(name)))
        else:
            branches.append(branch)
    return type(tree)(*branches)


def _fill(name: str, own: Array, saved: Array | None) -> Array:
    if saved is None or saved.shape != own.shape:
        found = "nothing" if saved is None else f"the shape {saved.shape}"
        raise UserError(
            f"the checkpoint's {name!r} has {found}, expected {own.shape}: it is of another agent or environment"
        )
    own[...] = saved
    return own

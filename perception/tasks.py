"""The tasks that `tengen perceive fit` knows, by name. Nothing is imported before it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from tengen.errors import UserError, did_you_mean

TASKS: Final[Mapping[str, str]] = {"go-policy": "tengen.perception.go_policy:GoPolicyConfig"}
"""Where each task's config class is. Such a class has `build(tell) -> Task` and `architecture()`."""


def resolve_task(name: str) -> type[Any]:
    """Return a task's config class.

    Raises:
        UserError: No task has this name.
    """
    if name not in TASKS:
        known = list(TASKS)
        raise UserError(f"no task is called {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    module, _, attribute = TASKS[name].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), attribute)
    return found

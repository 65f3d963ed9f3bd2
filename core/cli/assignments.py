"""Options whose values are assignments, such as `--set dqn.gamma=0.9`."""

from __future__ import annotations

from collections.abc import Sequence


def rejoined(texts: Sequence[str]) -> list[str]:
    """Return assignments, put together again where their commas took them apart."""
    joined: list[str] = []
    for text in texts:
        if "=" not in text and joined:
            joined[-1] += f",{text}"
        else:
            joined.append(text)
    return joined

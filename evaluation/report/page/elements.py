"""HTML by function calls: all text is escaped unless it is already markup."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


_VOID = frozenset({"img", "input", "link", "meta", "br"})


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """Return an element.

    Args:
        name: Of the element.
        children: Text, which is escaped; Markup; lists of them; None for nothing.
        attributes: `class_` is class, `aria_label` is aria-label; True is an attribute without a value, and None and
            False leave it out.
    """
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if name in _VOID:
        return Markup(opened)
    return Markup(f"{opened}{joined(children)}</{name}>")


def joined(children: Iterable[Any]) -> Markup:
    """Return children one after the other."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(str(child))
        elif isinstance(child, list | tuple):
            parts.append(str(joined(child)))
        else:
            parts.append(html.escape(str(child)))
    return Markup("".join(parts))


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def table(
    heading: Sequence[Any], rows: Iterable[Sequence[Any]], *, caption: str, kind: str | None = "numbers"
) -> Markup:
    """Return a table whose first column names its rows, in a frame that scrolls by itself where it is too wide.

    Args:
        heading: Of the columns.
        rows: Their cells.
        caption: What it shows; read by a screen reader, and seen.
        kind: Its class: `numbers` where all columns but the first hold them, `wide` where cells hold long text.
    """
    head = tag("tr", [tag("th", cell, scope="col") for cell in heading])
    body = [tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in rest]) for first, *rest in rows]
    whole = tag(
        "table",
        tag("thead", head),
        tag("tbody", body),
        class_=kind,
        aria_label=caption,
    )
    frame = tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)
    return joined([tag("p", caption, class_="caption"), frame])


def data(value: Any, **attributes: Any) -> Markup:
    """Return a script element that holds JSON, in which nothing can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return tag("script", Markup(text), type="application/json", **attributes)

"""Plain values (TOML, JSON) into dataclasses, checked against the fields' types. Standard library only.

Layers of settings are checked one by one with `check_values`, so that a wrong one is blamed on its file, laid over one
another with `overlay`, and made into objects once with `build`, so that ranges are checked on the result alone.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import textwrap
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tengen.errors import UserError, did_you_mean

T = TypeVar("T")

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "none"}


def field_types(cls: type[Any]) -> dict[str, Any]:
    """Return the type of each field of a dataclass that its constructor takes."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def field_docs(cls: type[Any]) -> dict[str, str]:
    """Return the string below each field of a dataclass, on one line; nothing for fields that have none."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # made at run time
            continue
        definition = tree.body[0]
        assert isinstance(definition, ast.ClassDef)
        for node, below in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        docs[node.target.id] = " ".join(text.split())
    return docs


def default_values(cls: type[Any]) -> dict[str, Any]:
    """Return the defaults of a dataclass as nested dicts; fields without a default are left out."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            values[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = field.default_factory()
        else:
            continue
        if dataclasses.is_dataclass(values[field.name]):
            values[field.name] = to_values(values[field.name])
    return values


def to_values(instance: Any) -> dict[str, Any]:
    """Return a dataclass instance as nested dicts; other values stay as they are."""
    return {
        field.name: to_values(value) if dataclasses.is_dataclass(value := getattr(instance, field.name)) else value
        for field in dataclasses.fields(instance)
    }


def finite(value: Any) -> Any:
    """Return a JSON value with null where a NaN or an infinity was, which JSON can't hold."""
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def overlay(below: Mapping[str, Any], above: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Lay values over others: nested dataclasses field by field, anything else (a dict field, too) as a whole."""
    result = dict(below)
    kinds = field_types(cls)
    for name, value in above.items():
        nested = isinstance(result.get(name), Mapping) and dataclasses.is_dataclass(kinds[name])
        result[name] = overlay(result[name], value, kinds[name]) if nested else value
    return result


def check_values(cls: type[Any], values: Any, where: str, prefix: str = "") -> dict[str, Any]:
    """Return values for some fields of a dataclass, converted to the fields' types.

    Args:
        cls: A dataclass; fields may be nested dataclasses.
        values: A mapping as TOML or JSON give it.
        where: What to blame, e.g. the file's name.
        prefix: What to put before a field's name in messages, e.g. "agent.".

    Raises:
        UserError: A field does not exist, or its value has the wrong type.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: {prefix.rstrip('.') or 'it'} must be a table of settings, got {values!r}")
    kinds = field_types(cls)
    for name in values:
        if name not in kinds:
            raise unknown_setting(name, list(kinds), where, prefix)
    return {name: convert(value, kinds[name], where, prefix + name) for name, value in values.items()}


def unknown_setting(name: str, known: list[str], where: str, prefix: str = "") -> UserError:
    """Return the error for a setting that does not exist."""
    hint = did_you_mean(name, known) or f" It knows: {', '.join(known)}."
    return UserError(f"{where}: there is no setting {prefix + name!r}.{hint}")


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Make a dataclass of checked values.

    Raises:
        UserError: A value is out of its range.
    """
    kinds = field_types(cls)
    return cls(
        **{
            name: build(kinds[name], value)
            if dataclasses.is_dataclass(kinds[name]) and isinstance(value, Mapping)
            else value
            for name, value in values.items()
        }
    )


def convert(value: Any, kind: Any, where: str, name: str) -> Any:
    """Return a TOML or JSON value as a type: tuples from arrays, floats from whole numbers, and no other bending.

    Raises:
        UserError: It has another type.
    """
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return check_values(kind, value, where, f"{name}.")
    try:
        return _convert(value, kind)
    except TypeError:
        raise UserError(f"{where}: {name} must be {describe(kind)}, got {_shown(value)}") from None


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _convert(value: Any, kind: Any) -> Any:
    """Return `value` as `kind`; TypeError when it is something else."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any or (origin is Literal and any(value == part and type(value) is type(part) for part in parts)):
        return value
    if is_union(kind):
        for part in parts:
            try:
                return _convert(value, part)
            except TypeError:
                continue
    elif origin in (tuple, list) and isinstance(value, list | tuple):
        if origin is tuple and parts[-1] is not Ellipsis:
            if len(value) == len(parts):
                return tuple(_convert(item, part) for item, part in zip(value, parts, strict=True))
        else:
            return origin(_convert(item, parts[0]) for item in value)
    elif (origin or kind) is dict and isinstance(value, dict):
        return value
    elif kind is float and type(value) is int:
        return float(value)
    elif isinstance(kind, type) and type(value) is kind:
        return value
    raise TypeError


def is_union(kind: Any) -> bool:
    """Return whether a type is a union, as `float | None` is."""
    return get_origin(kind) in (Union, types.UnionType)


def describe(kind: Any) -> str:
    """Return what a type expects, in words."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join([", ".join(map(repr, parts[:-1])), repr(parts[-1])] if parts[1:] else [repr(parts[0])])
    if is_union(kind):
        return " or ".join(describe(part) for part in parts)
    if origin in (tuple, list):
        if origin is tuple and parts[-1] is not Ellipsis:
            return f"a list of {len(parts)} values ({', '.join(describe(part) for part in parts)})"
        return f"a list, each item {describe(parts[0])}"
    if (origin or kind) is dict or dataclasses.is_dataclass(kind):
        return "a table"
    return _NAMES.get(kind, getattr(kind, "__name__", str(kind)))

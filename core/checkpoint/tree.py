"""State trees as JSON plus named arrays, exactly: what is decoded equals what was encoded, to the bit.

In the JSON, objects with one key that begins with a single "$" stand for what JSON lacks:
`{"$array": name}` and `{"$log": name}` refer to arrays and row logs kept elsewhere, `{"$int": "0x1f"}` is an int too
large for other readers' doubles, `{"$float": "7ff0000000000000"}` the bits of an infinity or a NaN. A user's key that
begins with "$" gets a second one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tengen.contracts import RowLog
from tengen.types import Array

DTYPES: Final = frozenset(
    {"bool", "float16", "float32", "float64", "complex64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""Names of the dtypes that can be kept: those that safetensors reads back into numpy."""

_LARGEST_PLAIN_INT: Final = 2**53


@dataclass
class Encoded:
    """A tree taken apart.

    Attributes:
        document: JSON values.
        arrays: By name, C-contiguous.
        logs: By name.
    """

    document: Any = None
    arrays: dict[str, Array] = field(default_factory=dict)
    logs: dict[str, RowLog] = field(default_factory=dict)


def encode(tree: Any, root: str = "") -> Encoded:
    """Take a state tree apart.

    Args:
        tree: Dicts with string keys and lists; leaves are arrays, `RowLog`s, int, float, str, bool and None.
        root: What the paths in error messages and in names begin with.

    Raises:
        TypeError: Something else is in it; the message names its path.
    """
    encoded = Encoded()
    encoded.document = _encode(tree, root, encoded)
    return encoded


def decode(document: Any, arrays: Mapping[str, Array], log: Callable[[str], RowLog]) -> Any:
    """Put a tree together again; KeyError or ValueError where the document refers to nothing or is malformed."""
    if isinstance(document, list):
        return [decode(item, arrays, log) for item in document]
    if not isinstance(document, dict):
        return document
    if len(document) == 1:
        (key, value), *_ = document.items()
        if key == "$array":
            return arrays[value]
        if key == "$log":
            return log(value)
        if key == "$int":
            return int(value, 16)
        if key == "$float":
            return struct.unpack(">d", bytes.fromhex(value))[0]
    return {key[1:] if key.startswith("$$") else key: decode(value, arrays, log) for key, value in document.items()}


def check_array(array: Array, path: str) -> Array:
    """Return an array in C order (itself where it is); TypeError where its dtype can't be kept."""
    dtype = array.dtype
    if type(array) not in (np.ndarray, np.memmap) or dtype.name not in DTYPES:
        raise TypeError(
            f"{path}: arrays of {dtype} ({type(array).__name__}) can't be kept; use one of {sorted(DTYPES)}"
        )
    if dtype.byteorder == ">":
        raise TypeError(f"{path}: big-endian arrays can't be kept; use .astype({dtype.name!r})")
    # np.ascontiguousarray would turn a 0-d array into a 1-d one.
    return array if array.flags.c_contiguous else array.copy(order="C")


def check_text(text: str, path: str) -> str:
    """Return a text; TypeError where it has lone surrogates, which no file could hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TypeError(f"{path}: the text {text!r} is not valid Unicode") from None
    return text


def _encode(node: Any, path: str, out: Encoded) -> Any:
    # Exact types: a numpy float64 or an enum would come back as something else than it was.
    kind = type(node)
    if node is None or kind is bool:
        return node
    if kind is str:
        return check_text(node, path)
    if kind is int:
        return node if abs(node) <= _LARGEST_PLAIN_INT else {"$int": hex(node)}
    if kind is float:
        return node if math.isfinite(node) else {"$float": struct.pack(">d", node).hex()}
    if isinstance(node, dict):
        return _encode_dict(node, path, out)
    if kind is list:
        return [_encode(item, f"{path}/{index}", out) for index, item in enumerate(node)]
    if isinstance(node, np.ndarray):
        return {"$array": _enter(out.arrays, path, check_array(node, path))}
    if isinstance(node, RowLog):
        return {"$log": _enter(out.logs, path, node)}
    raise TypeError(
        f"{path or '/'}: {kind.__module__}.{kind.__qualname__} can't be kept in a state; expected a dict, a list, "
        "a numpy array, a RowLog, int, float, str, bool or None"
    )


def _encode_dict(node: dict[Any, Any], path: str, out: Encoded) -> dict[str, Any]:
    document = {}
    for key, value in node.items():
        if type(key) is not str:
            raise TypeError(f"{path or '/'}: the key {key!r} is not a str")
        check_text(key, f"{path}/{key!r}")
        document[f"${key}" if key.startswith("$") else key] = _encode(value, f"{path}/{key}", out)
    return document


def _enter(table: dict[str, Any], path: str, value: Any) -> str:
    """Enter a value under its path, with a number behind it where keys with slashes made two paths equal."""
    base = path if path.startswith("/") else f"/{path}"  # never "__metadata__", which safetensors keeps for itself
    name, number = base, 1
    while name in table:
        number += 1
        name = f"{base}#{number}"
    table[name] = value
    return name

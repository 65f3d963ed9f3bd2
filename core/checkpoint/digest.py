"""A canonical SHA-256 of a state: two states share it exactly when they are equal to the bit.

It depends on nothing but the values: not on the order of keys, the memory layout of arrays, chunks, files, or on when
checkpoints were taken. Row logs are hashed field by field over their live rows in order, a block at a time.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tengen.checkpoint.chunks import fields_of, rows_of
from tengen.checkpoint.tree import check_array, check_text
from tengen.contracts import RowLog
from tengen.types import Array, State

BLOCK_BYTES: Final = 1 << 23
"""Row logs are read in blocks of about this size."""


def digest_state(components: Mapping[str, State]) -> str:
    """The digest of named state trees, in 64 hexadecimal digits; TypeError where something in them can't be kept."""
    return _digest(dict(components), "").hex()


def _digest(node: Any, path: str) -> bytes:
    """One tag for the kind of node, then its parts, each of a fixed size or preceded by its size."""
    kind = type(node)
    if node is None:
        return _hash(b"none")
    if kind is bool:
        return _hash(b"bool", b"1" if node else b"0")
    if kind is int:
        return _hash(b"int", hex(node).encode())
    if kind is float:
        return _hash(b"float", struct.pack(">d", node))
    if kind is str:
        return _hash(b"str", check_text(node, path).encode())
    if kind is list:
        return _hash(b"list", *(_digest(item, f"{path}/{index}") for index, item in enumerate(node)))
    if isinstance(node, dict):
        return _hash(
            b"dict", *(part for key in sorted(node) for part in (_key(key, path), _digest(node[key], f"{path}/{key}")))
        )
    if isinstance(node, np.ndarray):
        array = check_array(node, path)
        return _hash(b"array", _form(array.dtype.name, array.shape), _bytes(array))
    if isinstance(node, RowLog):
        return _digest_log(node, path)
    raise TypeError(f"{path or '/'}: {kind.__module__}.{kind.__qualname__} can't be kept in a state")


def _digest_log(log: RowLog, path: str) -> bytes:
    fields = fields_of(log, path)
    hashes = {name: hashlib.sha256() for name in fields}
    rows_per_block = max(1, BLOCK_BYTES // max(1, sum(entry.row_bytes for entry in fields.values())))
    for start in range(log.start, log.stop, rows_per_block):
        for name, array in rows_of(log, fields, start, min(start + rows_per_block, log.stop)).items():
            hashes[name].update(_bytes(array))
    parts = [
        part
        for name, entry in fields.items()
        for part in (name.encode(), _form(entry.dtype, entry.shape), hashes[name].digest())
    ]
    return _hash(b"log", struct.pack(">QQ", log.start, log.stop), *parts)


def _hash(*parts: bytes | memoryview) -> bytes:
    result = hashlib.sha256()
    for part in parts:
        result.update(struct.pack(">Q", len(part)))
        result.update(part)
    return result.digest()


def _key(key: Any, path: str) -> bytes:
    if type(key) is not str:
        raise TypeError(f"{path or '/'}: the key {key!r} is not a str")
    return check_text(key, path).encode()


def _form(dtype: str, shape: tuple[int, ...]) -> bytes:
    return f"{dtype} {list(shape)}".encode()


def _bytes(array: Array) -> memoryview:
    """The bytes of an array in C order, without a copy."""
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")

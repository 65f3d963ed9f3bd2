"""Checkpoints on disk: atomic, checksummed, safe to load, and exact to the bit.

Start reading at `store.py`; `tree.py` says what a state may hold, `digest.py` what its digest is made of.
"""

from tengen.checkpoint.checkpoint import Checkpoint
from tengen.checkpoint.digest import digest_state
from tengen.checkpoint.files import DamagedCheckpointError, write_json
from tengen.checkpoint.lock import RunLock
from tengen.checkpoint.store import BestMark, CheckpointStore

__all__ = [
    "BestMark",
    "Checkpoint",
    "CheckpointStore",
    "DamagedCheckpointError",
    "RunLock",
    "digest_state",
    "write_json",
]

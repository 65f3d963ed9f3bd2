"""`python train.py AGENT --env ENV ...` is `tengen train AGENT --env ENV ...`."""

from __future__ import annotations

import importlib.util
import sys

if __name__ == "__main__":
    if importlib.util.find_spec("tengen") is None:
        print(
            f"train.py: tengen is not installed for {sys.executable}; "
            "run `make train`, or `pip install -e .` in this folder, or use .venv/bin/python",
            file=sys.stderr,
        )
        sys.exit(2)
    from tengen.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))

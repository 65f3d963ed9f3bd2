"""The page of a comparison: start at `document.py`."""

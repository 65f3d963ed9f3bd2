"""Data: presets, protocols and score tables."""

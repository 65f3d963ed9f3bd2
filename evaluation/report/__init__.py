"""Comparisons on one page."""

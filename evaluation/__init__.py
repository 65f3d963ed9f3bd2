"""Protocols, score tables, statistics and comparison."""

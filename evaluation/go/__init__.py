"""Engines that play Go, the protocol that they talk by, and matches between them."""

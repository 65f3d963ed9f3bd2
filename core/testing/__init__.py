"""Contract suites that a plug-in author can call."""

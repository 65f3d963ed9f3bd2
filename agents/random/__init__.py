"""The agent that picks a legal action at random."""

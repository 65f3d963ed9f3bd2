"""Monte-Carlo tree search over any simulator."""

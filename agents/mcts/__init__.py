"""Monte-Carlo tree search as an agent: it searches, and learns nothing."""

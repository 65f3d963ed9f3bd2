"""AlphaZero: a policy and value network that learns from its own search, by self-play."""

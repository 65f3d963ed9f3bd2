"""stable-baselines3's agents in Tengen's loop."""

"""Go: rules, observations, records of games."""

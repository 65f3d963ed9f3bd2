"""What agents are worth: statistics, comparisons, sweeps, pictures of what was learnt, and matches of Go."""

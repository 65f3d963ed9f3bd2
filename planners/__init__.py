"""Models (world simulators) and the planners that use them."""

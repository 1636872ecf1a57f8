"""Floor 4: what a network can do, what it costs, and how it is stored."""

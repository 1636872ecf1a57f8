"""Floor 3: what a channel is worth, which ones stay, and what becomes of the others."""

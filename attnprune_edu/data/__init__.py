"""Floor 1: the data, images and sequences of tokens, and where they come from."""

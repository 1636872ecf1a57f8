"""Floor 1: the images, and where they come from."""

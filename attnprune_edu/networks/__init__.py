"""Floor 2: networks, how they are trained, and how channels flow through them."""

"""Floor 5: many prunings, compared or searched, and tables of long runs."""

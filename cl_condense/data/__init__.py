"""Real images: class-major sets, and where they come from."""

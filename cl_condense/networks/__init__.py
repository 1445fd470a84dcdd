"""Networks that condensation can look into, their weights from keys, by name."""

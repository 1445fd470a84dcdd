"""Training networks: augmentation, protocols, many networks side by side, accuracy."""

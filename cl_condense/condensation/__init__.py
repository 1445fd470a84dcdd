"""Optimising images: the loop, recipes as data, how images are stored, files of sets."""

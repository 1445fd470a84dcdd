"""Memories of condensed images over a stream of classes."""

"""The papers' tables as data: published numbers, what a cell needs, ours beside them."""

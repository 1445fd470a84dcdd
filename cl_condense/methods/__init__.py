"""The papers' methods: a paper a file, by name."""

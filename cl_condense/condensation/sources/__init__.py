"""Where the networks of an iteration come from."""

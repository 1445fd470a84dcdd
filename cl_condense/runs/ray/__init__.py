"""Tasks on Ray: the executor, what is at work, and what its workers do."""

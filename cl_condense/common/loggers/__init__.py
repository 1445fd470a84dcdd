"""Where curves, accuracies and pictures of work go: a logger is a file here and a line in ``registry``."""

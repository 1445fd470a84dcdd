"""Experiments: class-incremental, standalone, evaluations; what decides them and what they leave."""

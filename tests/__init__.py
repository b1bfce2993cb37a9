"""The tests; `make` at the root says how they are run."""

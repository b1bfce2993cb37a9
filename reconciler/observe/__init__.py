"""Homes → facts. Judges nothing; every read has a bound; no path is followed by name twice."""

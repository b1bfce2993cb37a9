"""Tests that each run as root on a machine of their own, with the real Apache and real accounts."""

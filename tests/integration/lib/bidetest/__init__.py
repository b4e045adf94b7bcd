"""Integration tests of bide with real processes: see harness.py for how a test file looks."""

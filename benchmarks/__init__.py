"""Measures Parley, the floors below it and a peer beside it, and verifies every message while doing so."""

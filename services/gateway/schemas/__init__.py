"""Builds every generated document from rows, contracts and settings alone. Writes no file and serves nothing."""

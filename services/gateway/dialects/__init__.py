"""Client APIs of older chat modules, each a table of rows (`rows.py`) over the contracts."""

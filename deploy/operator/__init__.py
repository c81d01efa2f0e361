"""What an operator does by hand to a running Parley, wherever it runs; knows no service's inside.

`python -m deploy.operator dead list|replay|drop` (`make dead`): the letters that no service could handle.
"""

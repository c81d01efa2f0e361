"""What an operator does by hand to a running Parley, wherever it runs.

`python -m deploy.operator dead list|replay|drop` (`make dead`): the letters that no service could handle.
`python -m deploy.operator media usage|collect|check` (`make media`): the files, and what they take.
"""

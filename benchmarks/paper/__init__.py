"""The tables of the paper, repeated on other data."""

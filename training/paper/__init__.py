"""The tables of the paper, run again on the cases at hand."""

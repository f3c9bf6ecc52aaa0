"""Exchange with other programs: mammograms and data sets in, annotations and prelabels out."""

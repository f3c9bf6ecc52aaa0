"""Edit effort: how much of a prelabel a person changed, measured once for every correction."""

"""The starter weights: their recipe, from phantoms to networks, and their manifest."""

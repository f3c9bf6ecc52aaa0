"""The shape of label-studio-ml 2.x, which is on no package index: what its base class and server ask of a model."""

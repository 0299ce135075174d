"""One suite over every store, so that no fake can lie."""

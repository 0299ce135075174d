"""Keys of objects: partition, name and salt, and the parser of keys."""

"""Keys of objects: partition, name and salt, and how a key is parsed."""

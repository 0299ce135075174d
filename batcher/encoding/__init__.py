"""From payloads to the compressed body of an object, and back."""

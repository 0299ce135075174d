"""Events as the services send them, through the handler."""

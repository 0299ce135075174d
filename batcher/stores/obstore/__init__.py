"""The store on top of obstore."""

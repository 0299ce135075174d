"""What is deployed: the package, the template, the role."""

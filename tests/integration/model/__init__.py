"""The real handler under a model of AWS: what is promised holds through whatever may happen."""

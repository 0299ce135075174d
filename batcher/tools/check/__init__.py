"""Checks of a deployment before records are lost: bucket, permissions, function and mapping.

The modules `bucket`, `bucket_policy`, `findings`, `function` and `mapping` are pure: they evaluate
AWS responses. `destination`, `deployment`, `role` and `package` fetch those responses, and `probe`
sends each request of the writer once.
"""

"""Predictions over gRPC: unary, batch and bidirectional streaming calls, health checking and reflection."""

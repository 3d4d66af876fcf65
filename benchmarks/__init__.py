"""Benchmarks of the library against its alternatives. Command: python -m benchmarks"""

"""Benchmarks of speed, memory and quality; each prints what it measured, none is a test."""

"""Experiments: design, power, sequential looks, estimates that stay honest, and the readout."""

"""Bounds on what a network can compute over a box: one file a method, one signature for all.

A method is called with a network, boxes of shape (batch, inputs) and rows (rows, logits), and returns LayerBounds.
"""

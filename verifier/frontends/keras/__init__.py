"""How a Keras model is read and replayed."""

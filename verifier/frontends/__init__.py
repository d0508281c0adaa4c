"""How a network is read: each frontend turns a file or an object into steps, and steps become a Network."""

"""How each operation that torch executes is read: the table, with every file that enters operations into it."""

from verifier.frontends.torch import aten_moves, aten_relus, aten_sums, aten_windows
from verifier.frontends.torch.aten_table import OPERATIONS, SUPPORTED

__all__ = ["OPERATIONS", "SUPPORTED", "aten_moves", "aten_relus", "aten_sums", "aten_windows"]

"""Matrices of weights: dense arrays where they are small or full, sparse (scipy) where most entries are 0.

A convolution as a dense matrix would take thousands of times its own size. Both forms hold stored values exactly, and
`@` with an array of one or two axes works on either. What differs is here.
scipy is imported only where a matrix is worth it: most questions are about small networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from verifier.enclosure import Array, Indices
from verifier.errors import NetworkError

Matrix = Any  # Array, or scipy.sparse.csr_array of float64 with sorted indices and no stored zero

DENSE_ENTRIES = 2**18  # matrices up to 2 MiB stay dense: BLAS is faster on them whatever they hold
SPARSE_SHARE = 1 / 16  # of entries that are not 0, up to which a larger one is sparse


def is_sparse(matrix: Matrix) -> bool:
    """Whether it is stored by its entries that are not 0."""
    return not isinstance(matrix, np.ndarray)


def stored(value: Any, name: str) -> Matrix:
    """A caller's weights as float64: an array, or a sparse matrix of scipy's. Nothing is rounded.

    What has the form that Matrix says already is returned as it is. Lists, tensors and arrays of other real dtypes are
    read. A read-only array is copied, since torch takes none.

    Raises:
        NetworkError: It holds something else than real numbers, is ragged, or holds numbers that float64 would round.
    """
    if type(value) is np.ndarray and value.dtype == np.float64 and value.flags.writeable:
        return value
    if hasattr(value, "tocsr"):
        known = type(value).__name__ == "csr_array" and value.dtype == np.float64
        return value if known and value.has_canonical_format else _stored_sparse(value, name)
    if hasattr(value, "detach"):  # a torch tensor, perhaps of a dtype that numpy does not have
        value = value.detach().to_dense().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    if isinstance(value, np.ma.MaskedArray):
        raise NetworkError(f"{name}: expected an array of numbers, found a masked array; fill it first")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):  # ragged, or nothing that numpy reads
        raise NetworkError(f"{name}: expected an array of numbers, found a ragged {type(value).__name__}") from None
    if array.dtype.kind not in "iuf":
        raise NetworkError(f"{name}: expected real numbers, found {type(value).__name__} of {array.dtype}")
    with np.errstate(over="ignore"):
        read = np.array(array, dtype=np.float64)
    rounded = ~((read == array) | np.isnan(read)) if array.dtype.kind == "f" else _rounded_integers(array)
    if rounded.any():
        place = "".join(f"[{int(i)}]" for i in np.argwhere(rounded)[0])
        raise NetworkError(f"{name}{place}: float64 cannot hold this number exactly; round the weights first")
    return read


def _stored_sparse(value: Any, name: str) -> Matrix:
    from scipy.sparse import csr_array

    csr = csr_array(value, copy=True)
    csr.sum_duplicates()
    return _clean(csr_array((stored(csr.data, name), csr.indices, csr.indptr), shape=csr.shape))


def _rounded_integers(array: np.ndarray[Any, Any]) -> Any:
    """Which whole numbers float64 would round."""
    large = (array > 2**53) | (array < -(2**53))
    large[large] = [int(float(one)) != int(one) for one in array[large]]
    return large


def from_entries(rows: Indices, columns: Indices, values: Array, shape: tuple[int, int]) -> Matrix:
    """Make a matrix of entries, none given twice."""
    if shape[0] * shape[1] <= DENSE_ENTRIES or values.size > SPARSE_SHARE * shape[0] * shape[1]:
        matrix = np.zeros(shape)
        matrix[rows, columns] = values
        return matrix
    from scipy.sparse import coo_array

    return _clean(coo_array((values, (rows, columns)), shape=shape).tocsr())


def compressed(rows: Indices, columns: Indices, values: Array, shape: tuple[int, int]) -> Any:
    """Make a sparse matrix of entries, compressed by columns, for a solver that takes nothing else."""
    from scipy.sparse import coo_matrix

    return coo_matrix((values, (rows, columns)), shape=shape).tocsc()


def selection(index: Indices, size: int) -> Matrix:
    """Make the rows that pick values `index` of `size`; a negative index picks none and gives 0."""
    kept = np.flatnonzero(index >= 0)
    return from_entries(kept, index[kept], np.ones(kept.size), (index.size, size))


def settle(matrix: Matrix) -> Matrix:
    """Store a matrix in the form that suits it."""
    size = matrix.shape[0] * matrix.shape[1]
    if is_sparse(matrix):
        fits = matrix.nnz <= SPARSE_SHARE * size and size > DENSE_ENTRIES
        return _clean(matrix.tocsr()) if fits else matrix.toarray()
    if size <= DENSE_ENTRIES or np.count_nonzero(matrix) > SPARSE_SHARE * size:
        return matrix
    from scipy.sparse import csr_array

    return _clean(csr_array(matrix))


def _clean(matrix: Matrix) -> Matrix:
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def dense(matrix: Matrix) -> Array:
    """The matrix as an array."""
    return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix)


def magnitude(matrix: Matrix) -> Matrix:
    """Its entries without their signs."""
    return abs(matrix) if is_sparse(matrix) else np.abs(matrix)


def signed_parts(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Its entries >= 0 and those <= 0, the others being 0."""
    if is_sparse(matrix):
        return matrix.maximum(0.0), matrix.minimum(0.0)
    return np.maximum(matrix, 0.0), np.minimum(matrix, 0.0)


def most_terms(matrix: Matrix) -> int:
    """How many products a sum of matrix @ h or c @ matrix adds up at most; adding a product with 0 rounds nothing."""
    if not is_sparse(matrix):
        return int(max(matrix.shape))
    return max(int(np.diff(matrix.indptr).max(initial=1)), int(np.bincount(matrix.indices, minlength=1).max()))


def forward(matrix: Matrix, h: Array) -> Array:
    """matrix @ h for every h of an array (..., columns): (..., rows)."""
    return _right(h, matrix.T)


def backward(matrix: Matrix, c: Array) -> Array:
    """c @ matrix for every c of an array (..., rows): (..., columns)."""
    return _right(c, matrix)


def _right(array: Array, matrix: Matrix) -> Array:
    if array.ndim <= 2 or not is_sparse(matrix):
        return np.asarray(array @ matrix)
    flat = array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
    return np.asarray(flat @ matrix).reshape(*array.shape[:-1], matrix.shape[1])


def entries(matrix: Matrix) -> Array:
    """The entries that are stored: all of a dense matrix, as it is; those that are not 0 of a sparse one, in a row."""
    return np.asarray(matrix.data if is_sparse(matrix) else matrix)


def per_row(matrix: Matrix, values: Array) -> Array:
    """A value a row, (rows,), in the form that broadcasts to entries(matrix)."""
    return np.repeat(values, np.diff(matrix.indptr)) if is_sparse(matrix) else values[:, None]


def with_entries(matrix: Matrix, values: Array) -> Matrix:
    """The matrix with other values at the same entries; None where all of them are 0."""
    if not is_sparse(matrix):
        return values
    from scipy.sparse import csr_array

    return _clean(csr_array((values, matrix.indices.copy(), matrix.indptr.copy()), shape=matrix.shape))


def row_terms(matrix: Matrix, row: int) -> tuple[Indices, Array]:
    """Columns and values of one row's entries that are not 0."""
    if is_sparse(matrix):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        return np.asarray(matrix.indices[part], dtype=np.intp), np.asarray(matrix.data[part])
    index = np.flatnonzero(matrix[row])
    return index, np.asarray(matrix[row, index])


def most_in(matrix: Matrix, axis: int) -> int:
    """The largest number of entries that are not 0 in a column (axis 0) or a row (axis 1)."""
    if not is_sparse(matrix):
        return int(np.count_nonzero(matrix, axis=axis).max(initial=0))
    counts = np.bincount(matrix.indices) if axis == 0 else row_counts(matrix)
    return int(counts.max(initial=0))


def row_counts(matrix: Matrix) -> Indices:
    """How many entries of each row are not 0."""
    return np.asarray(np.diff(matrix.indptr) if is_sparse(matrix) else np.count_nonzero(matrix, axis=1))


def row_largest(matrix: Matrix) -> Array:
    """The largest magnitude in each row."""
    if is_sparse(matrix):
        return np.asarray(abs(matrix).max(axis=1).toarray()).reshape(-1)
    return np.asarray(np.abs(matrix).max(axis=1, initial=0.0))


def stacked(parts: Sequence[Matrix], axis: int) -> Matrix:
    """Matrices below each other (axis 0) or side by side (axis 1)."""
    if not any(is_sparse(one) for one in parts):
        return np.concatenate(parts, axis=axis)
    from scipy.sparse import csr_array, hstack, vstack

    joined = (vstack, hstack)[axis]([csr_array(one) for one in parts])
    return _clean(csr_array(joined))


def repeated(matrix: Array, times: int) -> Matrix:
    """The matrix as `times` blocks on a diagonal."""
    row, column = np.nonzero(matrix)
    shift = np.arange(times)[:, None]
    rows = (row[None] + shift * matrix.shape[0]).reshape(-1)
    columns = (column[None] + shift * matrix.shape[1]).reshape(-1)
    values = np.tile(matrix[row, column], times)
    return from_entries(rows, columns, values, (times * matrix.shape[0], times * matrix.shape[1]))

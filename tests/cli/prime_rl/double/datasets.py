"""A stand-in for Hugging Face's datasets, which cannot be installed where tests run: rows in a list."""

from __future__ import annotations

from typing import Any


class Dataset(list):
    """Rows; all must have the same columns, as in a table."""

    @classmethod
    def from_list(cls, rows: list[dict[str, Any]]) -> Dataset:
        columns = set(rows[0])
        for row in rows:
            if set(row) != columns:
                raise TypeError(f"columns {sorted(row)} in a table of {sorted(columns)}")
        return cls(rows)

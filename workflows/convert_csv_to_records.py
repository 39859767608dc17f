"""Convert CSV text to a list of records (JSON objects), one per row."""


def run(csv_text: str, delimiter: str | None = None, convert_numbers: bool = True) -> list[dict]:
    """Read CSV with a header line.

    Args:
        csv_text: The CSV text; its first line names the columns
        delimiter: What separates the columns; found out if not given
        convert_numbers: Turn what is written as a number into one, and empty cells into None

    Returns:
        One record per row, by column name

    Raises:
        ValueError: If the text is not CSV or has no header, a column has no name or the name of
            another, or a row has more cells than the header
    """
    import csv
    import io
    import re

    text = csv_text.removeprefix("\ufeff")
    if not text.strip():
        raise ValueError("the CSV text is empty; its first line has to name the columns")
    if delimiter is None:
        header = text.lstrip("\r\n").splitlines()[0]
        delimiter = max(",;\t|", key=header.count)
    elif len(delimiter) != 1:
        raise ValueError(f"the delimiter has to be one character, not {delimiter!r}")

    def converted(cell: str):
        if not convert_numbers:
            return cell
        cell = cell.strip()
        if not cell:
            return None
        # Not 007, which is a code, nor what float() would take beyond that (nan, 1_000).
        if re.fullmatch(r"[+-]?(0|[1-9]\d*)", cell, re.ASCII):
            return int(cell)
        if re.fullmatch(r"[+-]?((0|[1-9]\d*)(\.\d+)?|\.\d+)([eE][+-]?\d{1,2})?", cell, re.ASCII):
            return float(cell)
        return cell

    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error as error:
        raise ValueError(f"the text is not CSV: {error}") from error
    columns = [name.strip() for name in rows[0]]
    for name in columns:
        if not name:
            raise ValueError("a column has no name; the first line has to name them all")
        if columns.count(name) > 1:
            raise ValueError(f"two columns are called {name!r}")

    records = []
    for number, row in enumerate(rows[1:], start=1):
        if len(row) > len(columns):
            raise ValueError(f"row {number} has {len(row)} cells, and the header {len(columns)}")
        cells = row + [""] * (len(columns) - len(row))
        records.append({name: converted(cell) for name, cell in zip(columns, cells)})
    return records

"""Render records as a Markdown table with aligned columns."""


def run(records: list[dict], columns: list[str] | None = None) -> str:
    """Turn records into a Markdown table.

    Args:
        records: The rows, each a mapping from column name to value
        columns: Which columns, in which order; all in the order in which they first occur
            if not given

    Returns:
        The table as Markdown; numbers are aligned to the right

    Raises:
        ValueError: If there is no column
    """
    import json

    if columns is None:
        columns = list(dict.fromkeys(name for record in records for name in record))
    if not columns:
        raise ValueError("there is no column; pass records that have keys, or name the columns")

    def shown(value) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False)
        return " ".join(value.replace("\\", "\\\\").replace("|", "\\|").split())

    def is_number(value) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    cells = [[shown(record.get(name)) for name in columns] for record in records]
    heads = [shown(name) for name in columns]
    widths = [max(3, *(len(row[index]) for row in [heads, *cells])) for index in range(len(columns))]
    rights = [
        any(record.get(name) is not None for record in records)
        and all(record.get(name) is None or is_number(record.get(name)) for record in records)
        for name in columns
    ]

    def line(row: list[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, rights)
        )
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, rights)]
    return "\n".join([line(heads), line(rule), *(line(row) for row in cells)])

"""Summarize CSV text: statistics of every column."""


def run(csv_text: str, delimiter: str | None = None, top_values: int = 3) -> dict:
    """Describe the columns of a CSV text: what they hold, and how it is spread.

    Args:
        csv_text: The CSV text; its first line names the columns
        delimiter: What separates the columns; found out if not given
        top_values: How many of a text column's most frequent values to list

    Returns:
        rows, and columns: for each its kind (number, text or empty), filled, missing and
        distinct; minimum, maximum, mean, median and standard_deviation of numbers;
        most_common of text

    Raises:
        ValueError: If the text is not CSV with a header
    """
    import statistics
    from collections import Counter

    try:
        records = workflows.invoke("convert_csv_to_records", csv_text=csv_text, delimiter=delimiter)
    except Exception as error:
        raise ValueError(f"cannot read the CSV text: {error}") from error
    names = list(records[0]) if records else []
    columns = {}
    for name in names:
        values = [record[name] for record in records if record[name] is not None]
        column = {
            "kind": "empty",
            "filled": len(values),
            "missing": len(records) - len(values),
            "distinct": len(set(values)),
        }
        if values and all(isinstance(value, (int, float)) for value in values):
            column |= {
                "kind": "number",
                "minimum": min(values),
                "maximum": max(values),
                "mean": round(statistics.fmean(values), 6),
                "median": statistics.median(values),
                "standard_deviation": round(statistics.pstdev(values), 6),
            }
        elif values:
            counts = Counter(str(value) for value in values)
            # The most frequent first, equals by their letters.
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            column |= {
                "kind": "text",
                "most_common": [{"value": value, "count": count} for value, count in ranked[:top_values]],
            }
        columns[name] = column
    return {"rows": len(records), "columns": columns}

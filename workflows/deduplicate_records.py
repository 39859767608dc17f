"""Remove duplicate records from a list, comparing all fields or only some."""


def run(records: list[dict], keys: list[str] | None = None, ignore_case: bool = False) -> dict:
    """Keep the first of all records that are alike.

    Args:
        records: The records
        keys: The fields that make two records alike; all of them if not given
        ignore_case: Whether texts that differ only in case and in surrounding blanks are alike

    Returns:
        records (those that are kept, in their order) and removed (how many are not)

    Raises:
        ValueError: If keys is empty, or a record lacks one of them
    """
    import json

    if keys is not None and not keys:
        raise ValueError("keys is empty; name a field, or leave keys out to compare all of them")

    def comparable(value):
        if ignore_case and isinstance(value, str):
            return value.strip().casefold()
        return value

    seen, kept = set(), []
    for index, record in enumerate(records):
        missing = [key for key in keys or () if key not in record]
        if missing:
            raise ValueError(f"record {index} has no field {missing[0]!r}")
        fields = {key: comparable(record[key]) for key in (record if keys is None else keys)}
        # The JSON text tells 1 from "1" and from true, and lists can be compared by it.
        identity = json.dumps(fields, sort_keys=True, ensure_ascii=False)
        if identity not in seen:
            seen.add(identity)
            kept.append(record)
    return {"records": kept, "removed": len(records) - len(kept)}

"""Compare two texts: a unified diff, and how similar they are."""


def run(before: str, after: str, context_lines: int = 3) -> dict:
    """Show what has changed from one text to another.

    Args:
        before: The first text
        after: The second text
        context_lines: How many unchanged lines to show around each change

    Returns:
        identical, similarity (from 0 to 1, by lines), added_lines, removed_lines and diff

    Raises:
        ValueError: If context_lines is negative
    """
    import difflib

    if context_lines < 0:
        raise ValueError(f"context_lines is {context_lines}; use at least 0")
    first, second = before.splitlines(), after.splitlines()
    diff = list(difflib.unified_diff(first, second, "before", "after", lineterm="", n=context_lines))
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    # The two lines that name the files begin with +++ and ---.
    changes = [line for line in diff[2:] if line[:1] in "+-"]
    return {
        "identical": before == after,
        "similarity": round(matcher.ratio(), 4),
        "added_lines": sum(line.startswith("+") for line in changes),
        "removed_lines": sum(line.startswith("-") for line in changes),
        "diff": "\n".join(diff),
    }

def run(owner: str, repo: str, timeout: int = 30) -> dict:
    """Get metadata of a repository.

    It asks the service once.

    Args:
        owner: Who it belongs to.
        repo (str): Its name,
            without the owner.
        timeout: Seconds.

    Returns:
        Stars and language.

    Raises:
        ValueError: There is no such repository.
        TimeoutError: It took too long.
    """
    return {}

"""Get the metadata of a GitHub repository: stars, language, description."""


def run(owner: str, repo: str, base_url: str = "https://api.github.com") -> dict:
    """Get the metadata of a GitHub repository.

    Args:
        owner: Who owns the repository
        repo: The repository's name
        base_url: Where GitHub's API is; another for GitHub Enterprise or a test

    Returns:
        name, stars, forks, language (or None) and description

    Raises:
        RuntimeError: If the request fails, or the answer is not a repository
    """
    from urllib.parse import quote

    url = f"{base_url.rstrip('/')}/repos/{quote(owner, safe='')}/{quote(repo, safe='')}"
    data = workflows.invoke("fetch_json", url=url)
    try:
        return {
            "name": data["full_name"],
            "stars": data["stargazers_count"],
            "forks": data.get("forks_count", 0),
            "language": data["language"],
            "description": data.get("description") or "",
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise RuntimeError(f"{url} does not describe a repository: {error!r}") from error

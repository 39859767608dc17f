"""Compare several GitHub repositories: total stars, languages, the most popular one."""


async def run(repos: list[str], base_url: str = "https://api.github.com") -> dict:
    """Get the metadata of several GitHub repositories at once, and sum it up.

    Args:
        repos: Repositories, each as owner/name
        base_url: Where GitHub's API is; another for GitHub Enterprise or a test

    Returns:
        total_repos, total_stars, languages (sorted), most_popular (or None), and repos,
        the metadata of each in the order in which they were given

    Raises:
        ValueError: If a repository is not written as owner/name
        RuntimeError: If a request fails
    """
    import asyncio

    pairs = []
    for repository in repos:
        owner, slash, name = repository.partition("/")
        if not (owner and slash and name) or "/" in name:
            raise ValueError(f"write a repository as owner/name, not {repository!r}")
        pairs.append((owner, name))

    summaries = await asyncio.gather(
        *(
            workflows.invoke_async("get_repo_metadata", owner=owner, repo=name, base_url=base_url)
            for owner, name in pairs
        )
    )
    return {
        "total_repos": len(summaries),
        "total_stars": sum(summary["stars"] for summary in summaries),
        "languages": sorted({summary["language"] for summary in summaries if summary["language"]}),
        "most_popular": max(summaries, key=lambda summary: summary["stars"])["name"] if summaries else None,
        "repos": summaries,
    }

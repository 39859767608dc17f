async def run(url: str, **options) -> None:
    pass

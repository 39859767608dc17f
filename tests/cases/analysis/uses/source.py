import asyncio

async def run(url: str):
    page = tools.curl.get(url=url)
    more = await tools.jq.call_async(text=page)
    await asyncio.gather(tools.curl.post.call_async(url=url), workflows.invoke_async("fetch_json", url=url))
    workflows.summarize(text=page)
    workflows.invoke("translate", text=page)
    artifacts.save("report", page)
    artifacts.load("earlier")
    name = "computed"
    workflows.invoke(name)
    return tools.list()

async def later(): ...

def run():
    return {"answer": later()}

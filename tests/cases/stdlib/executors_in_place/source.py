import concurrent.futures

def run():
    future = concurrent.futures.Future()
    future.set_result(3)
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(print, 1).result()
        started = True
    except RuntimeError:
        started = False
    return {"future": future.result()}

def run():
    depths = {}
    for n in (100, 127, 128, 100_000):
        try:
            value, depth = tools.test.deep(n=n), 0
            while value:
                value, depth = value[0], depth + 1
            depths[n] = depth + 1
        except Exception as error:
            depths[n] = error.code
    return {str(n): depth for n, depth in depths.items()}

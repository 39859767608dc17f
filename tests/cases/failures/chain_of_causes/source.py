def load():
    raise KeyError("stars")

def run():
    try:
        try:
            load()
        except KeyError as error:
            raise ValueError("no such repository") from error
    except ValueError:
        raise RuntimeError("cannot summarise")

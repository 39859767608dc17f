class run:
    pass

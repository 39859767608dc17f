def run():
    error = ValueError("inner")
    error.add_note("look at the third row")
    raise ExceptionGroup("several", [error, TypeError("other")])

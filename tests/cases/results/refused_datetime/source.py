import datetime

def run():
    return {"rows": [0, 1, 2, datetime.datetime(2026, 1, 1)]}

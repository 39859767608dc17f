import sqlite3

def run():
    database = sqlite3.connect(":memory:")
    database.execute("create table repositories (name text primary key, stars integer)")
    database.executemany("insert into repositories values (?, ?)", [("a", 3), ("b", 5), ("c", 1)])
    database.create_function("double", 1, lambda number: number * 2)
    try:
        database.execute("insert into repositories values ('a', 0)")
        refused = None
    except sqlite3.IntegrityError as error:
        refused = type(error).__name__
    return {
        "sum": database.execute("select sum(stars) from repositories").fetchone(),
        "function": [row[0] for row in database.execute("select double(stars) from repositories order by name")],
        "window": list(database.execute("select name, rank() over (order by stars desc) from repositories order by name")),
        "json": database.execute("select json_extract('{\"a\": [1, 2]}', '$.a[1]')").fetchone(),
        "refused": refused,
    }

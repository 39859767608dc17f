def run():
    names = [tool.name for tool in tools.list()]
    try:
        tools.admin.drop(table="all")
    except LookupError as error:
        return [names, error.code]

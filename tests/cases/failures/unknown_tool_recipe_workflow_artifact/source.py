from repertoire import NotFoundError

def run():
    found = {}
    attempts = {
        "tool": lambda: tools.tset.echo(x=1),
        "recipe": lambda: tools.test.ecko(x=1),
        "tool itself": lambda: tools.test(x=1),
        "workflow": lambda: workflows.squre_number(number=1),
        "workflow by invoke": lambda: workflows.invoke("no_such_thing"),
    }
    for name, attempt in attempts.items():
        try:
            found[name] = attempt()
        except NotFoundError as error:
            found[name] = [isinstance(error, LookupError), str(error)]
    found["get"] = workflows.get("no_such_thing")
    found["load"] = artifacts.load("no_such_thing")
    found["delete"] = [workflows.delete("no_such_thing"), artifacts.delete("no_such_thing")]
    return found

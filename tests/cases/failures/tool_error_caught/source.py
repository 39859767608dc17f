from repertoire import RepertoireError, ToolError

def run():
    try:
        tools.test.fail(message="no")
    except ToolError as error:
        return [error.code, str(error), isinstance(error, RepertoireError), isinstance(error, RuntimeError)]

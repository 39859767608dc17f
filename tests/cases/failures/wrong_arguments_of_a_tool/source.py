from repertoire import InvalidArgumentError

def run():
    messages = []
    for arguments in ({}, {"x": "1"}, {"x": 1, "y": 2}, {"x": 1.5}, {"x": None}):
        try:
            messages.append(tools.test.typed(**arguments))
        except InvalidArgumentError as error:
            messages.append([isinstance(error, TypeError), "test.typed" in str(error), str(error).count("x") > 0])
    return messages

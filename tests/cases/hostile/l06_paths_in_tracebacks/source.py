def run():
    tools.test.echo(x=object())

import json

def parse(text):
    return json.loads(text)

def run(text: str):
    return parse(text)

# Creating it parses it and runs nothing; running it meets the limit.
while True:
    pass

def run():
    return 1

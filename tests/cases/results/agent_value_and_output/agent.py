print("hello")
x = 20
x + 22

"""Instances, attributes and methods: bodies that attract each other."""


class Body:
    def __init__(self, x, y, vx, vy, mass):
        self.x = x
        self.y = y
        self.vx = vx
        self.vy = vy
        self.mass = mass

    def pull(self, other, step):
        dx = self.x - other.x
        dy = self.y - other.y
        distance = dx * dx + dy * dy + 0.01
        force = step / (distance * distance**0.5)
        self.vx -= dx * other.mass * force
        self.vy -= dy * other.mass * force

    def move(self, step):
        self.x += self.vx * step
        self.y += self.vy * step


def run():
    bodies = [Body(float(i), float(i * i % 5), 0.0, 0.1 * i, 1.0 + i) for i in range(5)]
    for _ in range(800):
        for body in bodies:
            for other in bodies:
                if body is not other:
                    body.pull(other, 0.001)
        for body in bodies:
            body.move(0.001)
    return round(sum(body.x + body.y for body in bodies), 6)

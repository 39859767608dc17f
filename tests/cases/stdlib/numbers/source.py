import cmath, decimal, fractions, math, operator, random, statistics

def run():
    generator = random.Random(7)
    return {
        "decimal": str(decimal.Decimal("0.1") + decimal.Decimal("0.2")),
        "fraction": str(fractions.Fraction(1, 3) + fractions.Fraction(1, 6)),
        "math": [math.isqrt(10**40), math.comb(50, 25), math.gcd(84, 36), math.prod(range(1, 21))],
        "cmath": abs(cmath.sqrt(-4)),
        "statistics": [statistics.mean([1, 2, 3, 4]), statistics.median([5, 1, 3]), statistics.pstdev([2, 4])],
        "random": [generator.randint(1, 1000) for _ in range(5)],
        "operator": operator.itemgetter(1)([3, 4]),
    }

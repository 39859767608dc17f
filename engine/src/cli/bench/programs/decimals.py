"""Decimal fractions: interest, to the cent."""

from decimal import ROUND_HALF_EVEN, Decimal


def run():
    balance = Decimal("1000.00")
    rate = Decimal("0.0125")
    cent = Decimal("0.01")
    for month in range(4000):
        interest = (balance * rate).quantize(cent, rounding=ROUND_HALF_EVEN)
        balance = balance + interest - Decimal("12.34") if balance < 1000000 else balance / 7
    return str(balance.quantize(cent))

//! Which addresses belong to everybody, and which to somebody's own network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    base: IpAddr,
    bits: u8,
}

impl Range {
    /// Reads `ADDRESS/BITS` or `ADDRESS`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let all = width(base);
        let bits = bits.unwrap_or(all);
        // Of a form that stands for IPv4 the rest has to be written out.
        let stands = base.is_ipv6() && meant(base).is_ipv4();
        (bits <= all && !(stands && bits < 96)).then_some(Self { base, bits })
    }

    /// Whether an address lies in it; one that means an IPv4 address counts as that.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (base, address) = (meant(self.base), meant(address));
        if width(base) != width(address) {
            return false;
        }
        // Written for the 128 bits of one family, of which the other has the first 32.
        let as_bits = |address: IpAddr| match address {
            IpAddr::V4(four) => u128::from(four.to_bits()) << 96,
            IpAddr::V6(six) => six.to_bits(),
        };
        // A range that was written in a mapped form has 96 bits more.
        let bits =
            if width(self.base) > width(base) { self.bits.saturating_sub(96) } else { self.bits };
        let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        as_bits(base) & mask == as_bits(address) & mask
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, translated (NAT64)
/// or tunnelled (6to4). All others stand for themselves.
#[must_use]
pub fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let [a, b, c, d, e, f, g, h] = six.segments();
    let four = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            four(g, h)
        }
        // `::a.b.c.d`, long deprecated; `::` and `::1` are their own.
        (0, 0, 0, 0, 0, 0) if g != 0 || h > 1 => four(g, h),
        (0x2002, ..) => four(b, c),
        _ => address,
    }
}

/// Whether an address is one of the public internet. Everything else is
/// somebody's own: this machine, its network, its cloud's metadata service.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match meant(address) {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    // From IANA's registry of special-purpose addresses, and one cloud's
    // metadata service that lies outside of it.
    const OWN: [([u8; 4], u8); 17] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 31, 196, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([224, 0, 0, 0], 4),
        ([240, 0, 0, 0], 4),
        ([168, 63, 129, 16], 32),
    ];
    !OWN.iter().any(|(base, bits)| {
        Range { base: IpAddr::V4(Ipv4Addr::from(*base)), bits: *bits }.contains(IpAddr::V4(address))
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // What is given out lies in 2000::/3; within it, protocols' own (2001::/23,
    // Teredo among them) and documentation are not.
    (0x2000..0x4000).contains(&a)
        && !(a == 0x2001 && b < 0x0200)
        && !(a == 0x2001 && b == 0x0db8)
        && !(a == 0x3fff && b < 0x1000)
}

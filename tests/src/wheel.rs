//! Wheels for tests: archives whose every byte a test decides.

use repertoire::images::Wheel;

/// A file of a wheel; `mode` is Unix's, 0 for a plain file.
pub struct Member<'a> {
    /// Where it lies.
    pub path: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
    /// Its type and permissions.
    pub mode: u32,
    /// The size that the archive says it has, if that is not so.
    pub claimed: Option<u32>,
}

/// A wheel of such files and the metadata that it needs.
#[must_use]
pub fn wheel(name: &str, files: &[(&str, &str)]) -> Wheel {
    let info = format!("{name}-1.0.dist-info/METADATA");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    let mut members = vec![(info.as_str(), metadata.as_str())];
    members.extend_from_slice(files);
    let members: Vec<_> = members
        .iter()
        .map(|(path, text)| Member { path, bytes: text.as_bytes(), mode: 0, claimed: None })
        .collect();
    wheel_of(name, &members)
}

/// A wheel of such files and nothing else.
#[must_use]
pub fn wheel_of(name: &str, members: &[Member<'_>]) -> Wheel {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let offset = size(bytes.len());
        let real = size(member.bytes.len());
        let length = member.claimed.unwrap_or(real);
        // Version, flags, stored, time, date: the middle of both headers.
        let mut middle = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x50];
        middle.extend(crc32(member.bytes).to_le_bytes());
        middle.extend(real.to_le_bytes());
        middle.extend(length.to_le_bytes());
        middle.extend(u16::try_from(member.path.len()).expect("a short path").to_le_bytes());
        middle.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&middle);
        bytes.extend(member.path.as_bytes());
        bytes.extend(member.bytes);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&middle);
        directory.extend([0; 6]);
        directory.extend((member.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(member.path.as_bytes());
    }
    let (start, count) = (size(bytes.len()), u16::try_from(members.len()).expect("few files"));
    let length = size(directory.len());
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    Wheel { file: format!("{name}-1.0-py3-none-any.whl"), bytes }
}

fn size(length: usize) -> u32 {
    u32::try_from(length).expect("a test's wheel is small")
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

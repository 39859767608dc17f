//! What a memory begins with.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::pages::Reservation;

/// A file that all memories are views of, and its bytes. Nobody writes to it: it lies in
/// the cache, which is this user's alone, or has no name.
pub(in crate::sandbox) struct Image {
    file: File,
    view: Reservation,
}

impl Image {
    /// An image that a file holds.
    pub(in crate::sandbox) fn open(path: &Path) -> io::Result<Self> {
        Self::of(File::open(path)?)
    }

    /// An image in a file without a name.
    pub(in crate::sandbox) fn new(bytes: &[u8]) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        Self::of(file)
    }

    fn of(file: File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        // A WebAssembly page, which is a multiple of every page of a processor.
        if len == 0 || !len.is_multiple_of(1 << 16) || len > super::RESERVED {
            return Err(io::Error::other(format!("a memory does not begin with {len} bytes")));
        }
        let view = Reservation::new(len)?;
        view.map_read_only(&file)?;
        Ok(Self { file, view })
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub(in crate::sandbox) const fn len(&self) -> usize {
        self.view.len()
    }

    pub(in crate::sandbox) fn bytes(&self) -> &[u8] {
        // SAFETY: the whole view is mapped for reading as long as it lives, and what it
        // shows is not written to.
        unsafe { std::slice::from_raw_parts(self.view.address(0), self.view.len()) }
    }
}

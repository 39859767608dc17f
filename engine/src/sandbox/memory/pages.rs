//! Address space, and what the kernel knows of its pages.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr;

/// Address space that is nobody else's, given back when this is dropped. Ranges are
/// offsets from its beginning; a range beyond its end is a bug, and an error.
pub(super) struct Reservation {
    start: *mut u8,
    len: usize,
}

// SAFETY: it owns what it points to.
unsafe impl Send for Reservation {}
// SAFETY: what changes memory through a shared reference is unsafe, or a system call.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves so many bytes, none of them accessible.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: the kernel chooses an address where nothing is.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), len })
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The address of an offset.
    pub(super) fn address(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.len, "{offset} lies beyond {}", self.len);
        // SAFETY: it stays within what is reserved.
        unsafe { self.start.add(offset) }
    }

    fn map_at(
        &self,
        range: Range<usize>,
        protection: libc::c_int,
        flags: libc::c_int,
        file: Option<&File>,
    ) -> io::Result<()> {
        if range.is_empty() || range.end > self.len {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let address = self.address(range.start).cast();
        let file = file.map_or(-1, AsRawFd::as_raw_fd);
        let flags = flags | libc::MAP_FIXED;
        // SAFETY: the range lies within what is reserved, where nothing else is.
        let mapped = unsafe { libc::mmap(address, range.len(), protection, flags, file, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// A private view of a file's beginning; what was there is gone.
    pub(super) fn map(&self, range: Range<usize>, file: &File) -> io::Result<()> {
        self.map_at(range, READ | WRITE, libc::MAP_PRIVATE, Some(file))
    }

    /// All of it a view of a file for reading.
    pub(super) fn map_read_only(&self, file: &File) -> io::Result<()> {
        self.map_at(0..self.len, READ, libc::MAP_SHARED, Some(file))
    }

    /// Zeros; what was there is gone.
    pub(super) fn clear(&self, range: Range<usize>) -> io::Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        self.map_at(range, READ | WRITE, flags, None)
    }

    /// Makes bytes accessible that were not; they are zero.
    pub(super) fn open(&self, range: Range<usize>) -> io::Result<()> {
        if range.end > self.len {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let address = self.address(range.start).cast();
        // SAFETY: the range lies within what is reserved.
        match unsafe { libc::mprotect(address, range.len(), READ | WRITE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Makes bytes inaccessible, and gives back what they held.
    pub(super) fn close(&self, range: Range<usize>) -> io::Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        self.map_at(range, libc::PROT_NONE, flags, None)
    }

    /// Writes bytes.
    ///
    /// # Safety
    /// What is written to has to be mapped for writing, and nobody else may read or
    /// write it meanwhile.
    pub(super) unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(bytes.len() <= self.len - offset, "{offset} lies too far behind");
        // SAFETY: the caller's, and it stays within what is reserved.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.address(offset), bytes.len()) };
    }

    /// Writes zeros.
    ///
    /// # Safety
    /// As of [`write`](Self::write).
    pub(super) unsafe fn zero(&self, range: &Range<usize>) {
        assert!(range.end <= self.len, "{} lies too far behind", range.end);
        // SAFETY: as above.
        unsafe { ptr::write_bytes(self.address(range.start), 0, range.len()) };
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: it is this reservation's, and nobody has a pointer into it any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

const READ: libc::c_int = libc::PROT_READ;
const WRITE: libc::c_int = libc::PROT_WRITE;

/// The pages of a range that somebody wrote to since it was mapped, up to a number.
pub(super) struct Written {
    most: usize,
    regions: Vec<Region>,
    /// Where the range lies that was asked for last.
    start: usize,
}

/// `struct page_region` of Linux.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

impl Written {
    /// For up to so many pages.
    pub(super) fn new(most: usize) -> Self {
        Self { most, regions: Vec::new(), start: 0 }
    }

    /// Offsets in the reservation.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let offset = |address: u64| address as usize - self.start;
        self.regions.iter().map(move |region| offset(region.start)..offset(region.end))
    }

    /// Finds them; false if there are too many, or the kernel does not say.
    ///
    /// # Safety
    /// Nobody may write to the range meanwhile.
    #[cfg(target_os = "linux")]
    pub(super) unsafe fn find(&mut self, space: &Reservation, range: Range<usize>) -> bool {
        let Some(pagemap) = linux::pagemap() else { return false };
        self.start = space.address(0) as usize;
        self.regions.resize(self.most, Region::default());
        let (first, last) = (space.address(range.start), space.address(range.end));
        let found = linux::scan(pagemap, first as u64..last as u64, self.most, &mut self.regions);
        self.regions.truncate(found.unwrap_or_default());
        found.is_some()
    }

    /// Elsewhere nobody says.
    #[cfg(not(target_os = "linux"))]
    pub(super) unsafe fn find(&mut self, _: &Reservation, _: Range<usize>) -> bool {
        false
    }
}

/// `PAGEMAP_SCAN`, since Linux 6.7:
/// <https://docs.kernel.org/admin-guide/mm/pagemap.html>.
#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::ops::Range;
    use std::os::fd::AsRawFd;
    use std::sync::LazyLock;

    use super::Region;

    /// `struct pm_scan_arg`.
    #[repr(C)]
    struct Scan {
        size: u64,
        flags: u64,
        start: u64,
        end: u64,
        walk_end: u64,
        regions: u64,
        regions_len: u64,
        max_pages: u64,
        category_inverted: u64,
        category_mask: u64,
        category_anyof_mask: u64,
        return_mask: u64,
    }

    /// `_IOWR('f', 16, struct pm_scan_arg)`.
    const PAGEMAP_SCAN: u64 = 0xC060_6610;

    const IS_FILE: u64 = 1 << 2;
    const IS_PRESENT: u64 = 1 << 3;
    const IS_SWAPPED: u64 = 1 << 4;
    const IS_PFNZERO: u64 = 1 << 5;

    /// What the kernel knows of this process's pages.
    pub(super) fn pagemap() -> Option<&'static File> {
        static PAGEMAP: LazyLock<Option<File>> =
            LazyLock::new(|| File::open("/proc/self/pagemap").ok());
        PAGEMAP.as_ref()
    }

    /// Finds the stretches of pages that are neither a file's nor the page of zeros: those
    /// that were written to, in memory or swapped out. None if there are more of them than
    /// asked for, or the kernel is older.
    pub(super) fn scan(
        pagemap: &File,
        range: Range<u64>,
        most: usize,
        regions: &mut [Region],
    ) -> Option<usize> {
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            flags: 0,
            start: range.start,
            end: range.end,
            walk_end: 0,
            regions: regions.as_mut_ptr() as u64,
            regions_len: regions.len() as u64,
            max_pages: most as u64,
            category_inverted: IS_FILE | IS_PFNZERO,
            category_mask: IS_FILE | IS_PFNZERO,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: 0,
        };
        // SAFETY: the kernel writes to `scan` and, at most `regions_len` of them, to the
        // regions, both of which are borrowed for this call.
        let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN as _, &raw mut scan) };
        // Stopped early, it has not seen all: also if the last page is the last one allowed.
        if scan.walk_end != range.end {
            return None;
        }
        usize::try_from(found).ok()
    }
}

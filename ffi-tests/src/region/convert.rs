//! Regions from what there is, and as what others expect.

use std::io;

use super::Region;

impl<T> Region<T> {
    /// The same elements in a region with room for so many.
    fn with_room(self, capacity: usize) -> Region<T> {
        let mut larger = Region::new_auto(capacity);
        // SAFETY: the elements fit, and are forgotten where they were: regions drop none.
        unsafe {
            std::ptr::copy_nonoverlapping(self.as_ptr(), larger.vec_mut().as_mut_ptr(), self.len());
            larger.set_len(self.len());
        }
        larger
    }
}

/// A region for what an iterator yields: [`Region::new_auto`] of its lower bound, and twice as large whenever that
/// turns out to be too small. As in every region, the elements are not dropped.
///
/// ```
/// use lgalloc_c::Region;
///
/// let odd: Region<u32> = (0..100).filter(|n| n % 2 == 1).collect();
/// assert_eq!(odd.len(), 50);
/// ```
///
/// # Panics
///
/// As [`Region::new_auto`].
impl<T> FromIterator<T> for Region<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Region<T> {
        let mut iter = iter.into_iter();
        let mut region = Region::new_auto(iter.size_hint().0);
        loop {
            let spare = region.capacity() - region.len();
            region.vec_mut().extend(iter.by_ref().take(spare));
            if region.len() < region.capacity() {
                return region;
            }
            let next = match iter.next() {
                Some(next) => next,
                None => return region,
            };
            // What a `usize` can't hold no memory can: `new_auto` panics as a vector does.
            let more = iter.size_hint().0.saturating_add(1).max(region.len()).max(4);
            let room = region.len().saturating_add(more);
            region = region.with_room(room);
            region.vec_mut().push(next);
        }
    }
}

/// A region on the heap, where the vector's memory stays. As in every region, the elements are not dropped.
///
/// ```
/// use lgalloc_c::Region;
///
/// let region = Region::from(vec![1, 2, 3]);
/// assert_eq!(region[..], [1, 2, 3]);
/// ```
impl<T> From<Vec<T>> for Region<T> {
    fn from(vec: Vec<T>) -> Region<T> {
        Region::Heap(vec)
    }
}

/// Appends bytes, as many as fit: to a full region nothing is written, of which [`io::Write::write_all`] makes an
/// error of the kind [`io::ErrorKind::WriteZero`].
///
/// ```
/// use lgalloc_c::Region;
/// use std::io::Write;
///
/// let mut region: Region<u8> = Region::new_heap(64);
/// write!(region, "{} and {}", 1, 2)?;
/// assert_eq!(&region[..], b"1 and 2");
/// # Ok::<(), std::io::Error>(())
/// ```
impl io::Write for Region<u8> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.capacity() - self.len());
        self.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! The only place that reads a packet's octets through pointers.
//!
//! A [`Cursor`] is a position and an end. Taking checks once, copies out, and advances; after a
//! successful take no accessor can fail. In the kernel the two pointers are the context's `data`
//! and `data_end`, and the one comparison in [`Cursor::take`] is what the verifier learns the range
//! from; on the host they are the ends of a slice.
//!
//! Two shapes the verifier forced:
//! - a `&[u8]` made of data..data_end is refused (its length is not a packet range), hence two
//!   pointers;
//! - a check of a single octet at a variable offset is compiled to `>=` and gives no range, hence
//!   whole headers, by copy.

use core::marker::PhantomData;

/// A value that can be copied out of a packet at any alignment, and for which every bit pattern is
/// valid.
///
/// # Safety
/// Implementors are `#[repr(C)]` or primitive, have no padding and no invalid bit pattern.
pub unsafe trait Wire: Copy {}

// SAFETY: octets have neither padding nor invalid patterns.
unsafe impl<const N: usize> Wire for [u8; N] {}
// SAFETY: as above.
unsafe impl Wire for u16 {}
// SAFETY: as above.
unsafe impl Wire for u32 {}
// SAFETY: three fields of 6, 6 and 2 octets, without padding at alignment 2.
unsafe impl Wire for network_types::eth::EthHdr {}
// SAFETY: only octets and arrays of octets.
unsafe impl Wire for network_types::ip::Ipv4Hdr {}
// SAFETY: only octets and arrays of octets.
unsafe impl Wire for network_types::ip::Ipv6Hdr {}

/// A place in a frame, and where the readable part of the frame ends.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pos: *const u8,
    end: *const u8,
    frame: PhantomData<&'a [u8]>,
}

impl<'a> Cursor<'a> {
    /// A cursor over the whole of `octets`.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Self {
        let range = octets.as_ptr_range();
        Self { pos: range.start, end: range.end, frame: PhantomData }
    }

    /// A cursor from `pos` to `end`.
    ///
    /// # Safety
    /// `pos..end` must be readable for `'a`, and must not wrap around the address space within the
    /// 64 KiB behind `end`.
    #[must_use]
    #[inline(always)]
    pub const unsafe fn from_range(pos: *const u8, end: *const u8) -> Self {
        Self { pos, end, frame: PhantomData }
    }

    /// Copies a `T` out and moves past it, or `None` where the frame ends before it does.
    #[inline(always)]
    pub fn take<T: Wire>(&mut self) -> Option<T> {
        let next = self.pos.wrapping_add(size_of::<T>());
        if next > self.end {
            return None;
        }
        // SAFETY: pos..next lies within the frame, by the comparison; T is Wire.
        let value = unsafe { self.pos.cast::<T>().read_unaligned() };
        self.pos = next;
        Some(value)
    }

    /// A cursor `octets` further on. It may lie behind the end: then nothing can be taken from it.
    ///
    /// `octets` must be below 2^16, which is what the verifier asks of an offset into a packet.
    #[must_use]
    #[inline(always)]
    pub fn skip(self, octets: u32) -> Self {
        Self { pos: self.pos.wrapping_add(octets as usize), ..self }
    }

    /// Where the cursor stands.
    #[must_use]
    #[inline(always)]
    pub const fn position(&self) -> *const u8 {
        self.pos
    }

    /// Where the readable part of the frame ends.
    #[must_use]
    #[inline(always)]
    pub const fn end(&self) -> *const u8 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_there_and_nothing_beyond() {
        let frame = [1u8, 2, 3, 4, 5];
        let mut c = Cursor::new(&frame);
        assert_eq!(c.take::<[u8; 2]>(), Some([1, 2]));
        assert_eq!(c.take::<[u8; 4]>(), None);
        assert_eq!(c.take::<[u8; 3]>(), Some([3, 4, 5]));
        assert_eq!(c.take::<[u8; 1]>(), None);
        assert_eq!(c.take::<[u8; 0]>(), Some([]));
    }

    #[test]
    fn a_skip_behind_the_end_yields_nothing() {
        let frame = [0u8; 8];
        for n in 0..64 {
            let mut c = Cursor::new(&frame).skip(n);
            assert_eq!(c.take::<[u8; 4]>().is_some(), n <= 4, "{n}");
        }
    }

    #[test]
    fn reads_at_every_alignment() {
        let frame: [u8; 16] = core::array::from_fn(|i| i as u8);
        for n in 0..12u8 {
            let mut c = Cursor::new(&frame).skip(n.into());
            assert_eq!(c.take::<u32>(), Some(u32::from_ne_bytes([n, n + 1, n + 2, n + 3])));
        }
    }

    #[test]
    fn an_empty_frame_has_nothing() {
        assert_eq!(Cursor::new(&[]).take::<[u8; 1]>(), None);
    }
}

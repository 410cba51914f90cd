//! Array maps, read as memory: one by one, a scrape takes as many calls of the kernel as there are limits, rows
//! of counters and cells. The library that loads the program has no way for that.

use super::{Error, maps::Value};
use aya::maps::{Array, Map, MapData};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::{
    ffi::c_void,
    io,
    marker::PhantomData,
    num::NonZero,
    os::fd::{AsFd as _, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use zerocopy::{FromBytes, IntoBytes};

/// The elements of an array map that may be mapped (`BPF_F_MMAPABLE`, Linux 5.5).
pub(super) struct Elements<T> {
    map: OwnedFd,
    name: &'static str,
    count: u32,
    of: PhantomData<T>,
}

impl<T: FromBytes + IntoBytes + Copy + 'static> Elements<T> {
    /// How far they are from each other, in octets (`round_up(value_size, 8)`, kernel/bpf/arraymap.c).
    const STRIDE: usize = size_of::<T>().next_multiple_of(8);

    /// Those of this map.
    ///
    /// # Errors
    /// Where it is no array of such values.
    pub(super) fn of(map: &Map, name: &'static str) -> Result<Self, Error> {
        let count = Array::<&MapData, Value<T>>::try_from(map)?.len();
        let Map::Array(data) = map else { return Err(Error::Missing { kind: "map", name }) };
        let map = data.fd().as_fd().try_clone_to_owned();
        let map = map.map_err(Error::io("duplicating a descriptor"))?;
        Ok(Self { map, name, count, of: PhantomData })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// All of them.
    ///
    /// # Errors
    /// Where the kernel doesn't map them.
    pub(super) fn read(&self) -> Result<Vec<T>, Error> {
        let mut all = Vec::with_capacity(self.count as usize);
        self.first(self.count, |value| all.push(value))?;
        Ok(all)
    }

    /// Hands over the first `wanted`, or all where there aren't as many, each as it is when it is read.
    ///
    /// # Errors
    /// Where the kernel doesn't map them.
    pub(super) fn first(&self, wanted: u32, mut take: impl FnMut(T)) -> Result<(), Error> {
        let wanted = wanted.min(self.count) as usize;
        let Some(length) = NonZero::new(wanted * Self::STRIDE) else { return Ok(()) };
        let mapping = Mapping::new(&self.map, length, ProtFlags::PROT_READ).map_err(|error| {
            Error::io(format!("reading the map {}", self.name))(io::Error::from(error))
        })?;
        for index in 0..wanted {
            // SAFETY: within the mapping, aligned to 8 octets, and a value whatever its octets are. Others
            // write to it at the same time, which is why it is read but once.
            take(unsafe {
                mapping.start.byte_add(index * Self::STRIDE).cast::<T>().read_volatile()
            });
        }
        Ok(())
    }
}

impl Elements<u32> {
    /// Takes one from each of these, as the kernel program adds to them.
    ///
    /// # Errors
    /// Where the kernel doesn't map them.
    pub(super) fn take_one_from(&self, indices: impl Iterator<Item = u32>) -> Result<(), Error> {
        let Some(length) = NonZero::new(self.count as usize * Self::STRIDE) else { return Ok(()) };
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let mapping = Mapping::new(&self.map, length, both).map_err(|error| {
            Error::io(format!("writing the map {}", self.name))(io::Error::from(error))
        })?;
        for index in indices.filter(|index| *index < self.count) {
            // SAFETY: within the mapping, aligned to 8 octets, and written by nobody but atomically.
            let word = unsafe {
                AtomicU32::from_ptr(
                    mapping.start.as_ptr().byte_add(index as usize * Self::STRIDE).cast(),
                )
            };
            // What was never counted, after a crash, isn't taken away.
            let _ = word.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
        }
        Ok(())
    }
}

/// A part of this process's memory that is a map's. Only while it is read: it counts as the process's.
struct Mapping {
    start: NonNull<c_void>,
    length: NonZero<usize>,
}

impl Mapping {
    fn new(map: &OwnedFd, length: NonZero<usize>, protection: ProtFlags) -> nix::Result<Self> {
        // SAFETY: a new part of memory, wherever the kernel wants it.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped, of which nothing is borrowed any more. It can't fail for that.
        let _ = unsafe { munmap(self.start, self.length.get()) };
    }
}

//! Array maps, read many elements at a time: one by one, a scrape takes as many calls of the kernel as there
//! are limits, rows of counters and cells. The library that loads the program has no calls for that.

use super::{Error, link::bpf, maps::Value};
use aya::maps::{Array, Map, MapData};
use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};
use zerocopy::{FromBytes, IntoBytes};

/// A command of bpf(2), linux/bpf.h (Linux 5.6).
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
/// Octets that are read at once.
const AT_ONCE: usize = 256 << 10;

/// The elements of an array map.
pub(super) struct Elements<T> {
    map: OwnedFd,
    name: &'static str,
    count: u32,
    of: PhantomData<T>,
}

impl<T: FromBytes + IntoBytes + Copy + 'static> Elements<T> {
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
    /// Where the kernel doesn't read them.
    pub(super) fn read(&self) -> Result<Vec<T>, Error> {
        let mut all = Vec::with_capacity(self.count as usize);
        self.first(self.count, |values| all.extend_from_slice(values))?;
        Ok(all)
    }

    /// Hands over the first `wanted`, or all where there aren't as many, some at a time.
    ///
    /// # Errors
    /// Where the kernel doesn't read them.
    pub(super) fn first(&self, wanted: u32, mut take: impl FnMut(&[T])) -> Result<(), Error> {
        /// `struct { … } batch` of `union bpf_attr`.
        #[repr(C)]
        struct Batch {
            from: u64,
            to: u64,
            keys: u64,
            values: u64,
            count: u32,
            map: u32,
            elem_flags: u64,
            flags: u64,
        }
        let wanted = wanted.min(self.count);
        let at_once = wanted.min((AT_ONCE / size_of::<T>()).max(1) as u32);
        let mut values = vec![T::new_zeroed(); at_once as usize];
        let mut keys = vec![0u32; at_once as usize];
        // Where the last batch ended: the kernel reads the one and writes the other.
        let (mut from, mut to) = (0u32, 0u32);
        let mut read = 0;
        while read < wanted {
            let mut batch = Batch {
                from: if read == 0 { 0 } else { &raw const from as u64 },
                to: &raw mut to as u64,
                keys: keys.as_mut_bytes().as_mut_ptr() as u64,
                values: values.as_mut_bytes().as_mut_ptr() as u64,
                count: at_once.min(wanted - read),
                map: self.map.as_raw_fd() as u32,
                elem_flags: 0,
                flags: 0,
            };
            // SAFETY: the attributes are those of the command, and the buffers have room for `count`
            // keys and values of this map.
            let done = unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut batch) };
            if done.is_none() || batch.count == 0 {
                let error = io::Error::last_os_error();
                return Err(Error::io(format!("reading the map {}", self.name))(error));
            }
            take(&values[..batch.count as usize]);
            read += batch.count;
            from = to;
        }
        Ok(())
    }
}

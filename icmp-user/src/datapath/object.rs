//! The kernel object, and how it is loaded.

use super::{Error, PinDir};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use icmp_common::abi::name;
use std::{
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/icmpgate.o"));

/// What a copy of the object is loaded with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Constants {
    /// The stable index of the interface.
    pub interface_id: u32,
    /// Whether each packet's trace is written.
    pub tracing: bool,
    /// The length of a tick, in the unit of buckets.
    pub tick: u64,
    /// What the kernel's count of ticks showed at the start.
    pub first_tick: u64,
    /// Where a TCP socket has the first octet that isn't acknowledged, and the next that it sends; 0 where that isn't
    /// known.
    pub tcp_sequence: [u32; 2],
    /// How many sets of cells are made, where they aren't there; 0 for the object's own number.
    pub cell_sets: u32,
}

/// The loader that [`make_ready`] makes.
static READY: Mutex<Option<JoinHandle<EbpfLoader<'static>>>> = Mutex::new(None);

/// Makes a loader for the first copy to come, on a thread of its own.
///
/// Each reads all of the kernel's BTF as it is made, whatever it is then asked for: 5 MB, which take some 20 ms. Who
/// calls this has other things to find out meanwhile. Where there is no thread to be had, the first copy makes its own.
pub fn make_ready() {
    let make = || {
        let mut loader = EbpfLoader::new();
        // What was read is given back on this thread already: nothing here refers to it.
        loader.btf(None);
        loader
    };
    let thread = thread::Builder::new().spawn(make).ok();
    *READY.lock().unwrap_or_else(PoisonError::into_inner) = thread;
}

/// The loader that has been made ready, or a new one.
fn loader() -> EbpfLoader<'static> {
    let ready = READY.lock().unwrap_or_else(PoisonError::into_inner).take();
    ready.and_then(|thread| thread.join().ok()).unwrap_or_default()
}

/// Where a copy's maps are.
pub(super) enum Place<'a> {
    /// Nowhere: they go with the process.
    Private,
    /// The shared ones and those of one interface are pinned.
    Interface(&'a PinDir, &'a str),
}

/// Creates a copy's maps, or takes up those that are pinned; its programs aren't loaded yet.
pub(super) fn load(place: &Place<'_>, constants: Constants) -> Result<Ebpf, Error> {
    if OBJECT.is_empty() {
        return Err(Error::NotBuilt);
    }
    let tracing = u32::from(constants.tracing);
    let [snd_una, snd_nxt] = &constants.tcp_sequence;
    let mut loader = loader();
    loader
        // The object names no type of the kernel's own, whose BTF is several MB.
        .btf(None)
        // The log of the verifier is asked for when it refuses; statistics cost nothing.
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global(name::INTERFACE_ID, &constants.interface_id, true)
        .override_global(name::TRACING, &tracing, true)
        .override_global(name::TICK, &constants.tick, true)
        .override_global(name::FIRST_TICK, &constants.first_tick, true)
        .override_global(name::SND_UNA, snd_una, true)
        .override_global(name::SND_NXT, snd_nxt, true);
    if constants.cell_sets != 0 {
        loader.map_max_entries(name::CELLS, constants.cell_sets);
    }
    if let Place::Interface(pins, interface) = place {
        for map in name::SHARED {
            loader.map_pin_path(map, pins.map(map));
        }
        for map in name::PER_INTERFACE {
            loader.map_pin_path(map, pins.interface_map(interface, map));
        }
    }
    Ok(loader.load(OBJECT)?)
}

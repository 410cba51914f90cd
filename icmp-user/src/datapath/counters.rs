//! The counters of one interface, from its own maps: the daemon need not live.

use super::{Error, PinDir, elements::Elements, maps::Value};
use aya::{
    Ebpf,
    maps::{Array, Map, MapData, PerCpuArray},
};
use icmp_common::{
    abi::{
        CLASS_NOT_OURS, CLASSES, COUNTER_FREE, COUNTER_OTHER, COUNTER_OVERFLOW, COUNTERS, Counter,
        CounterRow, name,
    },
    verdict::Outcome,
};

/// One counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterEntry {
    /// One of [`icmp_common::abi::hook`].
    pub hook: u8,
    /// The class: an index into [`super::Maps::class_keys`].
    pub class: u16,
    /// Reason and mode.
    pub outcome: Outcome,
    /// What was counted, over all CPUs.
    pub count: Counter,
}

/// The counters of one interface.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Those in use, by hook, class and outcome.
    pub entries: Vec<CounterEntry>,
    /// What found no free counter.
    pub overflow: Counter,
    /// How many are in use, of those that come into use when they are first needed.
    pub used: u32,
    /// How many of these there are.
    pub room: u32,
}

impl Counters {
    /// Those of a loaded copy.
    pub(super) fn of(ebpf: &Ebpf) -> Result<Self, Error> {
        Self::read(|name| ebpf.map(name).ok_or(Error::Missing { kind: "map", name }))
    }

    /// Those that are pinned.
    ///
    /// # Errors
    /// [`Error::NotAttached`] where the interface has none here.
    pub fn pinned(pins: &PinDir, interface: &str) -> Result<Self, Error> {
        if !pins.interface_map(interface, name::COUNTERS).exists() {
            return Err(Error::not_attached(pins, interface));
        }
        let maps = name::PER_INTERFACE.map(|map| {
            MapData::from_pin(pins.interface_map(interface, map))
                .and_then(Map::from_map_data)
                .map_err(|error| Error::Unreadable { map, path: pins.path().to_owned(), error })
        });
        let [counters, rows, used] = maps;
        let (counters, rows, used) = (counters?, rows?, used?);
        Self::read(|name| {
            Ok(match name {
                name::COUNTERS => &counters,
                name::COUNTER_ROWS => &rows,
                _ => &used,
            })
        })
    }

    fn read<'a>(map: impl Fn(&'static str) -> Result<&'a Map, Error>) -> Result<Self, Error> {
        let counters: PerCpuArray<_, Value<Counter>> = map(name::COUNTERS)?.try_into()?;
        let rows: Elements<CounterRow> =
            Elements::of(map(name::COUNTER_ROWS)?, name::COUNTER_ROWS)?;
        let used: Array<_, u32> = map(name::COUNTERS_USED)?.try_into()?;
        let sum = |number: u32| -> Result<Counter, Error> {
            let by_cpu = counters.get(&number, 0)?;
            Ok(by_cpu.iter().fold(Counter::default(), |sum, c| Counter {
                packets: sum.packets + c.0.packets,
                octets: sum.octets + c.0.octets,
            }))
        };
        let mut entries = Vec::new();
        for (hook, number) in (0..).zip(COUNTER_OTHER) {
            let count = sum(number)?;
            if count.packets != 0 {
                let outcome = Outcome::NOT_ICMP;
                entries.push(CounterEntry { hook, class: CLASS_NOT_OURS, outcome, count });
            }
        }
        for (index, row) in (0u32..).zip(rows.read()?) {
            let hook = (index / CLASSES as u32) as u8;
            let class = (index % CLASSES as u32) as u16;
            for (outcome, number) in row.counter.iter().enumerate() {
                if *number != 0 && *number < COUNTERS as u32 {
                    let outcome = Outcome(outcome as u8);
                    entries.push(CounterEntry { hook, class, outcome, count: sum(*number)? });
                }
            }
        }
        entries.sort_by_key(|entry| (entry.hook, entry.class, entry.outcome.0));
        let room = COUNTERS as u32 - COUNTER_FREE;
        let used = used.get(&0, 0)?.min(room);
        Ok(Self { entries, overflow: sum(COUNTER_OVERFLOW)?, used, room })
    }
}

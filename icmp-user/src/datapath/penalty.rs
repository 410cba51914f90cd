//! The penalty box of an instance: who is in it, and who is let out.

use super::{
    Error, PinDir,
    maps::{Value, entries},
    system::monotonic_ns,
};
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray};
use icmp_common::{
    abi::name,
    penalty::{Source, SourceKey, Stats, refusal},
};
use ipnet::IpNet;
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// The maps of the penalty box.
pub struct PenaltyBox {
    sources: HashMap<MapData, Value<SourceKey>, Value<Source>>,
    stats: PerCpuArray<MapData, Value<Stats>>,
}

/// A source in the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxedSource {
    /// What the map has it under.
    pub key: SourceKey,
    /// How long it stays.
    pub left: Duration,
    /// How many of its packets the box dropped.
    pub dropped: u64,
}

impl BoxedSource {
    /// Its address, or the prefix that its limit takes for one source.
    #[must_use]
    pub fn prefix(&self) -> IpNet {
        let [high, low] = self.key.address;
        let v6 = Ipv6Addr::from(u128::from(high) << 64 | u128::from(low));
        let address = match v6.to_ipv4_mapped() {
            Some(v4) if self.key.version == 4 => IpAddr::V4(v4),
            _ => IpAddr::V6(v6),
        };
        // The program writes no more bits than an address has.
        IpNet::new(address, self.key.bits).unwrap_or_else(|_| IpNet::from(address))
    }

    /// The hardware address that its frames come from.
    #[must_use]
    pub fn hardware(&self) -> String {
        let [_, _, octets @ ..] = self.key.hardware.to_be_bytes();
        octets.map(|octet| format!("{octet:02x}")).join(":")
    }
}

impl PenaltyBox {
    pub(super) fn from(
        mut map: impl FnMut(&'static str) -> Result<Map, Error>,
    ) -> Result<Self, Error> {
        Ok(Self {
            sources: map(name::PENALTY_BOX)?.try_into()?,
            stats: map(name::PENALTY_STATS)?.try_into()?,
        })
    }

    /// That of a pinned instance.
    ///
    /// # Errors
    /// [`Error::NoInstance`] where there is none, or a map that can't be opened.
    pub fn open(pins: &PinDir) -> Result<Self, Error> {
        pins.require()?;
        Self::from(|name| super::maps::pinned(pins, name))
    }

    /// Everything in the map: what is boxed, suspected, or over and not yet swept.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn entries(&self) -> Result<Vec<(SourceKey, Source)>, Error> {
        entries(&self.sources)
    }

    /// Who is in the box, by address.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn boxed(&self) -> Result<Vec<BoxedSource>, Error> {
        let entries = self.entries()?;
        let now = monotonic_ns();
        let mut boxed: Vec<BoxedSource> = entries
            .into_iter()
            .filter(|(_, source)| source.is_boxed(now))
            .map(|(key, source)| BoxedSource {
                key,
                left: Duration::from_nanos(source.until - now),
                dropped: source.dropped,
            })
            .collect();
        boxed.sort_by_key(|b| (b.prefix(), b.key.interface, b.key.limit, b.key.hardware));
        Ok(boxed)
    }

    /// Lets out those for which `which` says so, and returns them. Their offences begin anew.
    ///
    /// # Errors
    /// Where the map can't be read or written.
    pub fn release(
        &mut self,
        which: impl Fn(&BoxedSource) -> bool,
    ) -> Result<Vec<BoxedSource>, Error> {
        let out: Vec<BoxedSource> = self.boxed()?.into_iter().filter(which).collect();
        for source in &out {
            self.remove(&source.key)?;
        }
        Ok(out)
    }

    /// Forgets what is over.
    ///
    /// # Errors
    /// Where the map can't be read or written.
    pub fn sweep(&mut self) -> Result<(), Error> {
        let entries = self.entries()?;
        let now = monotonic_ns();
        let over = entries.iter().filter(|(_, source)| source.is_over(now));
        over.map(|(key, _)| key).try_for_each(|key| self.remove(key))
    }

    /// Forgets every source but those of these limits.
    pub(super) fn keep_limits(&mut self, limits: &HashSet<u32>) -> Result<(), Error> {
        let entries = self.entries()?;
        let gone = entries.iter().filter(|(key, _)| !limits.contains(&key.limit));
        gone.map(|(key, _)| key).try_for_each(|key| self.remove(key))
    }

    fn remove(&mut self, key: &SourceKey) -> Result<(), Error> {
        match self.sources.remove(&Value(*key)) {
            Err(MapError::KeyNotFound) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What became of offences, over all CPUs.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        let by_cpu = self.stats.get(&0, 0)?;
        Ok(by_cpu.iter().fold(Stats::default(), |sum, s| Stats {
            boxed: sum.boxed + s.0.boxed,
            full: sum.full + s.0.full,
            refused: std::array::from_fn::<_, { refusal::COUNT }, _>(|why| {
                sum.refused[why] + s.0.refused[why]
            }),
        }))
    }
}

//! The penalty box of an instance: who is in it, who is let out, and the mirror of the neighbour and
//! routing tables by which the program knows whom an offence may be held against.

use super::{Error, PinDir, maps::Value, mirror::Entries, system::monotonic_ns};
use aya::maps::{
    Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, lpm_trie::Key as TrieKey,
};
use icmp_common::{
    abi::name,
    penalty::{NeighbourKey, Route, Source, SourceKey, Stats, mirror, refusal},
};
use ipnet::IpNet;
use std::{
    collections::{HashMap as StdMap, HashSet},
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// The maps of the penalty box.
pub struct PenaltyBox {
    sources: HashMap<MapData, Value<SourceKey>, Value<Source>>,
    stats: PerCpuArray<MapData, Value<Stats>>,
    neighbours: HashMap<MapData, Value<NeighbourKey>, u64>,
    routes: LpmTrie<MapData, [u8; 16], Value<Route>>,
    mirror: Array<MapData, u64>,
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
            neighbours: map(name::NEIGHBOURS)?.try_into()?,
            routes: map(name::ROUTES)?.try_into()?,
            mirror: map(name::MIRROR)?.try_into()?,
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
        let mut found = Vec::new();
        for key in self.sources.keys() {
            let key = key?;
            match self.sources.get(&key, 0) {
                Ok(source) => found.push((key.0, source.0)),
                // Gone since.
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
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

    /// Whether a rule of the policy in force has a penalty.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn is_wanted(&self) -> Result<bool, Error> {
        Ok(self.mirror.get(&mirror::WANTED, 0)? != 0)
    }

    pub(super) fn want(&mut self, wanted: bool) -> Result<(), Error> {
        Ok(self.mirror.set(mirror::WANTED, u64::from(wanted), 0)?)
    }

    /// Whether somebody keeps the mirror up to date. Where not, nobody is boxed.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn is_fresh(&self) -> Result<bool, Error> {
        Ok(self.mirror.get(&mirror::FRESH_UNTIL, 0)? > monotonic_ns())
    }

    /// Says that the mirror is true, for so long from now.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn renew(&mut self, lease: Duration) -> Result<(), Error> {
        let until = monotonic_ns() + lease.as_nanos() as u64;
        Ok(self.mirror.set(mirror::FRESH_UNTIL, until, 0)?)
    }

    /// Says that the mirror isn't true any more.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn expire(&mut self) -> Result<(), Error> {
        Ok(self.mirror.set(mirror::FRESH_UNTIL, 0, 0)?)
    }

    /// Makes the mirror hold these and nothing else.
    ///
    /// # Errors
    /// Where a map can't be written.
    pub fn set_mirror(&mut self, entries: &Entries) -> Result<(), Error> {
        let present = present(self.neighbours.iter().map(|e| e.map(|(k, v)| (k.0, v))))?;
        let (gone, new) = change(&present, &entries.neighbours);
        for key in gone {
            self.neighbours.remove(&Value(key))?;
        }
        for (key, hardware) in new {
            self.neighbours.insert(Value(key), hardware, 0)?;
        }
        let plain = |key: TrieKey<[u8; 16]>| (key.prefix_len() as u8, key.data());
        let present = present_routes(&self.routes, plain)?;
        let (gone, new) = change(&present, &entries.routes);
        let trie = |(bits, data): (u8, [u8; 16])| TrieKey::new(bits.into(), data);
        for key in gone {
            self.routes.remove(&trie(key))?;
        }
        for (key, route) in new {
            self.routes.insert(&trie(key), Value(route), 0)?;
        }
        Ok(())
    }
}

fn present_routes(
    routes: &LpmTrie<MapData, [u8; 16], Value<Route>>,
    plain: impl Fn(TrieKey<[u8; 16]>) -> (u8, [u8; 16]),
) -> Result<StdMap<(u8, [u8; 16]), Route>, Error> {
    present(routes.iter().map(|entry| entry.map(|(key, route)| (plain(key), route.0))))
}

fn present<K: Hash + Eq, V>(
    entries: impl Iterator<Item = Result<(K, V), MapError>>,
) -> Result<StdMap<K, V>, Error> {
    Ok(entries.collect::<Result<_, _>>()?)
}

/// What is to be removed and what is to be written, so that a map comes to hold what is wanted.
fn change<K: Copy + Hash + Eq, V: Copy + PartialEq>(
    present: &StdMap<K, V>,
    wanted: &StdMap<K, V>,
) -> (Vec<K>, Vec<(K, V)>) {
    let gone = present.keys().filter(|key| !wanted.contains_key(*key)).copied();
    let new = wanted.iter().filter(|(key, value)| present.get(*key) != Some(*value));
    (gone.collect(), new.map(|(key, value)| (*key, *value)).collect())
}

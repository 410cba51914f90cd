//! The maps of the mirror of the kernel's neighbour and routing tables: by them the program knows whom an offence may
//! be held against, and whether a redirect can be true, where the kernel itself doesn't tell.

use super::{Error, PinDir, maps::Value, mirror::Entries, system::monotonic_ns};
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key as TrieKey};
use icmp_common::{
    abi::name,
    mirror::{NeighbourKey, Route, wanted, word},
};
use std::{collections::HashMap as StdMap, hash::Hash, time::Duration};

/// They.
pub struct MirrorMaps {
    neighbours: HashMap<MapData, Value<NeighbourKey>, u64>,
    routes: LpmTrie<MapData, [u8; 16], Value<Route>>,
    words: Array<MapData, u64>,
}

/// Who in the policy in force asks the mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A rule with a penalty.
    pub penalty: bool,
    /// A rule for redirects that arrive.
    pub redirects: bool,
}

impl MirrorMaps {
    pub(super) fn from(
        mut map: impl FnMut(&'static str) -> Result<Map, Error>,
    ) -> Result<Self, Error> {
        Ok(Self {
            neighbours: map(name::NEIGHBOURS)?.try_into()?,
            routes: map(name::ROUTES)?.try_into()?,
            words: map(name::MIRROR)?.try_into()?,
        })
    }

    /// Those of a pinned instance.
    ///
    /// # Errors
    /// [`Error::NoInstance`] where there is none, or a map that can't be opened.
    pub fn open(pins: &PinDir) -> Result<Self, Error> {
        pins.require()?;
        Self::from(|name| super::maps::pinned(pins, name))
    }

    /// Who asks it.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn wanted(&self) -> Result<Wanted, Error> {
        let by = self.words.get(&word::WANTED, 0)?;
        Ok(Wanted { penalty: by & wanted::PENALTY != 0, redirects: by & wanted::REDIRECTS != 0 })
    }

    pub(super) fn want(&mut self, by: Wanted) -> Result<(), Error> {
        let penalty = if by.penalty { wanted::PENALTY } else { 0 };
        let redirects = if by.redirects { wanted::REDIRECTS } else { 0 };
        Ok(self.words.set(word::WANTED, penalty | redirects, 0)?)
    }

    /// Whether somebody keeps it up to date. Where not, nobody is boxed, and no redirect is verified.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn is_fresh(&self) -> Result<bool, Error> {
        Ok(self.words.get(&word::FRESH_UNTIL, 0)? > monotonic_ns())
    }

    /// Says that it is true, for so long from now.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn renew(&mut self, lease: Duration) -> Result<(), Error> {
        let until = monotonic_ns() + lease.as_nanos() as u64;
        Ok(self.words.set(word::FRESH_UNTIL, until, 0)?)
    }

    /// Says that it isn't true any more.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn expire(&mut self) -> Result<(), Error> {
        Ok(self.words.set(word::FRESH_UNTIL, 0, 0)?)
    }

    /// Makes it hold these and nothing else.
    ///
    /// # Errors
    /// Where a map can't be written.
    pub fn set(&mut self, entries: &Entries) -> Result<(), Error> {
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

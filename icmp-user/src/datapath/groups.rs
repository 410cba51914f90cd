//! Who is a member of what, as the kernel program has learnt it, and clearing away what has run out.

use super::{
    Error,
    elements::Elements,
    link::bpf,
    maps::{Value, entries},
    system::bucket_time,
};
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray};
use icmp_common::{
    abi::{Counter, INTERFACES, LINKS, host_word, name},
    member::{Group, GroupKey, LinkKey, StaticKey, Stats, is_ahead},
    querier::Link,
};
use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

/// `BPF_MAP_LOOKUP_AND_DELETE_ELEM` (linux/bpf.h; of hash maps since Linux 5.14).
const LOOKUP_AND_DELETE: libc::c_long = 21;
/// `BPF_NOEXIST`.
const NOEXIST: u64 = 1;

/// The maps of groups and their members.
pub struct Groups {
    groups: HashMap<MapData, Value<GroupKey>, Value<Group>>,
    links: HashMap<MapData, Value<LinkKey>, Value<Link>>,
    held: Elements<u32>,
    gated: HashMap<MapData, Value<GroupKey>, Value<Counter>>,
    fixed: HashMap<MapData, Value<StaticKey>, u32>,
    registered: HashMap<MapData, Value<[u64; 2]>, Value<u64>>,
    stats: PerCpuArray<MapData, Value<Stats>>,
    /// Programs that aren't loaded yet name their maps by descriptors, so these stay open.
    groups_fd: OwnedFd,
    _held: Map,
}

impl Groups {
    pub(super) fn from(
        mut map: impl FnMut(&'static str) -> Result<Map, Error>,
    ) -> Result<Self, Error> {
        let (groups, held) = (map(name::GROUPS)?, map(name::GROUPS_HELD)?);
        let Map::HashMap(data) = &groups else {
            return Err(Error::Missing { kind: "map", name: name::GROUPS });
        };
        let groups_fd = data.fd().as_fd().try_clone_to_owned();
        Ok(Self {
            groups_fd: groups_fd.map_err(Error::io("duplicating a descriptor"))?,
            groups: groups.try_into()?,
            links: map(name::LINKS)?.try_into()?,
            gated: map(name::GATED)?.try_into()?,
            fixed: map(name::STATIC_GROUPS)?.try_into()?,
            registered: map(name::REGISTERED)?.try_into()?,
            stats: map(name::MEMBER_STATS)?.try_into()?,
            held: Elements::of(&held, name::GROUPS_HELD)?,
            _held: held,
        })
    }

    /// Every group that has members, and when it was looked at, in the unit of bucket time.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn groups(&self) -> Result<(u64, Vec<(GroupKey, Group)>), Error> {
        let mut found = entries(&self.groups)?;
        let now = bucket_time();
        found.retain(|(_, group)| is_ahead(group.until(now), now));
        Ok((now, found))
    }

    /// Every link that somebody has asked on.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn links(&self) -> Result<Vec<(LinkKey, Link)>, Error> {
        entries(&self.links)
    }

    /// What was kept from links without a member.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn gated(&self) -> Result<Vec<(GroupKey, Counter)>, Error> {
        entries(&self.gated)
    }

    /// How many groups each interface has, by its stable index; what has run out counts until it is swept.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn held(&self) -> Result<Vec<u32>, Error> {
        let mut held = Vec::with_capacity(INTERFACES);
        self.held.first(INTERFACES as u32, |count| held.push(count))?;
        Ok(held)
    }

    /// What became of reports, over all CPUs.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        let by_cpu = self.stats.get(&0, 0)?;
        Ok(by_cpu.iter().fold(Stats::default(), |sum, Value(one)| Stats {
            joins: sum.joins + one.joins,
            leaves: sum.leaves + one.leaves,
            table_full: sum.table_full + one.table_full,
            interface_full: sum.interface_full + one.interface_full,
            host_full: sum.host_full + one.host_full,
            join_rate: sum.join_rate + one.join_rate,
            contended: sum.contended + one.contended,
            group_full: sum.group_full + one.group_full,
        }))
    }

    /// Adds groups that have a member because a policy says so.
    pub(super) fn add_fixed(&mut self, groups: &[StaticKey]) -> Result<(), Error> {
        groups.iter().try_for_each(|key| Ok(self.fixed.insert(Value(*key), 1, 0)?))
    }

    /// Forgets all of them but these.
    pub(super) fn keep_fixed(&mut self, groups: &[StaticKey]) -> Result<(), Error> {
        let known = self.fixed.keys().collect::<Result<Vec<_>, _>>()?;
        let gone = known.iter().filter(|key| !groups.contains(&key.0));
        gone.into_iter().try_for_each(|key| Ok(self.fixed.remove(key)?))
    }

    /// Forgets the groups of an interface, and who asks on its links: nobody hears there who leaves.
    pub(super) fn forget_interface(&mut self, id: u32, secret: u64) -> Result<(), Error> {
        for (key, _) in entries(&self.groups)? {
            if id == u32::from(key.link.interface)
                && let Some(gone) = self.take(&key)?
            {
                self.give_back(&key, &gone, secret)?;
            }
        }
        // Last: who has been asked before the groups went is asked again before anything is kept back.
        self.forget_links(Some(id))
    }

    /// Gives back what a group that is gone took of what an interface and a host may have.
    fn give_back(&self, key: &GroupKey, gone: &Group, secret: u64) -> Result<(), Error> {
        let hosts = gone.reporters.iter().filter(|reporter| reporter.id != 0);
        let words = hosts.map(|reporter| host_word(key.link, reporter.id, secret));
        let own = std::iter::once(u32::from(key.link.interface));
        self.held.take_one_from(own.chain(words))
    }

    /// Forgets who asks on the links of an interface, or on all: what was joined meanwhile was heard by nobody, so who
    /// listens isn't known until they are asked again.
    pub(super) fn forget_links(&mut self, interface: Option<u32>) -> Result<(), Error> {
        for (key, _) in self.links()? {
            if interface.is_none_or(|id| id == u32::from(key.interface)) {
                let _ = self.links.remove(&Value(key));
            }
        }
        Ok(())
    }

    /// Clears away the groups that have no member any more, and gives back what they took of what an interface and a
    /// host may have; how many there were. `secret` is the instance's.
    ///
    /// What has run out isn't honoured in any case, so this only makes room, and may come late.
    ///
    /// # Errors
    /// Where a map can't be read or written.
    pub fn sweep(&mut self, secret: u64) -> Result<usize, Error> {
        let all = entries(&self.groups)?;
        let now = bucket_time();
        let mut swept = 0;
        for (key, _) in all.iter().filter(|(_, group)| !is_ahead(group.until(now), now)) {
            let Some(mut gone) = self.take(key)? else { continue };
            // Somebody joined just before. It goes back as it was, unless it was learnt anew meanwhile.
            if is_ahead(gone.until(now), now) {
                gone.lock = 0;
                match self.groups.insert(Value(*key), Value(gone), NOEXIST) {
                    Ok(()) => continue,
                    Err(MapError::SyscallError(error))
                        if error.io_error.raw_os_error() == Some(libc::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.give_back(key, &gone, secret)?;
            swept += 1;
        }
        self.sweep_links(now)?;
        for (group, until) in entries(&self.registered)? {
            if !is_ahead(until, now) {
                let _ = self.registered.remove(&Value(group));
            }
        }
        Ok(swept)
    }

    /// Clears away the links where nobody is, once they take more than half of the room: who may send tags can name
    /// more than there are.
    fn sweep_links(&mut self, now: u64) -> Result<(), Error> {
        let all = self.links()?;
        if all.len() <= LINKS / 2 {
            return Ok(());
        }
        for (key, link) in all {
            let times = [link.querier_until, link.router_until, link.joins];
            if !times.iter().any(|time| is_ahead(*time, now)) {
                let _ = self.links.remove(&Value(key));
            }
        }
        Ok(())
    }

    /// Takes an entry out, as it was at that moment.
    fn take(&self, key: &GroupKey) -> Result<Option<Group>, Error> {
        /// `struct { .. } /* BPF_MAP_*_ELEM */` of `union bpf_attr`.
        #[repr(C)]
        struct Attributes {
            map_fd: u32,
            pad: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let mut group = Group::default();
        let mut attributes = Attributes {
            map_fd: self.groups_fd.as_raw_fd() as u32,
            pad: 0,
            key: std::ptr::from_ref(key) as u64,
            value: (&raw mut group) as u64,
            flags: 0,
        };
        // SAFETY: the attributes are those of the command, and what they point to is of the map's sizes and lives
        // through the call.
        if unsafe { bpf(LOOKUP_AND_DELETE, &mut attributes) }.is_some() {
            return Ok(Some(group));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ENOENT) {
            return Ok(None);
        }
        Err(Error::io(format!("sweeping the map {}", name::GROUPS))(error))
    }
}

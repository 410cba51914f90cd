//! Which groups have members on a link, and of which sources: what a router makes of reports (RFC 9776 6, RFC 9777 7).
//!
//! A [`Group`] is one group on one link, with its timers as times in the unit of [`crate::bucket`]: what has run out
//! is never honoured, whether anybody sweeps it away or not. Everything in it has a fixed size. What finds no room
//! errs to the side on which members lose nothing: a source too many to want makes it a group of any source, a source
//! too many to exclude is let through, a reporter too many is one that nobody knows to have left.
//!
//! The functions are pure: time is passed in, and whoever calls them has the group to itself ([`Group::lock`]).

use crate::branchless::{is_some, select, top_bit};
use crate::wire::ipv6::Address;
use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

/// How many sources of a group are kept.
pub const SOURCES: usize = 16;
/// How many of its reporters are kept apart (explicit tracking, RFC 9776 appendix A.2).
pub const REPORTERS: usize = 8;

/// A group on a link.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct GroupKey {
    /// The link's.
    pub link: LinkKey,
    /// The group, as its address lies in a packet; IPv4 in mapped form.
    pub group: [u64; 2],
}

/// A link: an interface, or a VLAN on it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct LinkKey {
    /// The stable index of the interface.
    pub interface: u16,
    /// The version of IP: 4 or 6. Each has its queriers.
    pub version: u16,
    /// The VLAN of the outer tag, 0 where there is none.
    pub outer: u16,
    /// Likewise of the inner one.
    pub inner: u16,
}

/// A group that the policy says has a member on a link, whoever reports.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StaticKey {
    /// The group, and the link.
    pub group: GroupKey,
    /// The source that it wants; zero where that is any.
    pub source: [u64; 2],
}

impl StaticKey {
    /// That a group has such a member on some link: no link is of version 0.
    #[must_use]
    #[inline(always)]
    pub const fn anywhere(group: Address) -> Self {
        let link = LinkKey { interface: 0, version: 0, outer: 0, inner: 0 };
        Self { group: GroupKey { link, group: group.0 }, source: [0; 2] }
    }
}

/// A source of a group.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Source {
    /// Its address, as it lies in a packet; IPv4 in mapped form.
    pub address: [u64; 2],
    /// Until when somebody wants it. While the group excludes sources, one whose time has run out is excluded.
    pub until: u64,
    /// The [`Group::epoch`] that it belongs to; of an earlier one, it is none any more.
    pub epoch: u32,
    /// Zero.
    pub pad: u32,
}

/// A host that reported a group.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Reporter {
    /// Which: see [`reporter`]. 0 where the place is free.
    pub id: u64,
    /// Until when it counts as a member without reporting again.
    pub until: u64,
}

/// What is known of a group on a link. All zero: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Group {
    /// Not zero while somebody changes it. Who only reads doesn't ask.
    pub lock: u64,
    /// When it came to have members.
    pub since: u64,
    /// When it was last reported.
    pub heard: u64,
    /// The group timer: until then it takes every source that isn't excluded, and afterwards those that are wanted.
    pub exclude_until: u64,
    /// Until when hosts of IGMP version 1, and of version 2 or MLD version 1, count as present.
    pub older_until: [u64; 2],
    /// Until when there may be members that aren't among the reporters.
    pub untracked_until: u64,
    /// Counts the lists of sources that replaced an earlier one.
    pub epoch: u32,
    /// How many sources were noted since.
    pub noted: u32,
    /// How often a host came to be a member.
    pub joins: u32,
    /// How often one left.
    pub leaves: u32,
    /// In no order.
    pub sources: [Source; SOURCES],
    /// Likewise.
    pub reporters: [Reporter; REPORTERS],
}

const _: () = assert!(size_of::<GroupKey>() == 24 && size_of::<StaticKey>() == 40);
const _: () = assert!(size_of::<Group>() == 72 + 32 * SOURCES + 16 * REPORTERS);

/// Whether a time is still to come. Times wrap: see [`crate::bucket`]. 0 is none.
#[must_use]
#[inline(always)]
pub const fn is_ahead(until: u64, now: u64) -> bool {
    until != 0 && (until.wrapping_sub(now) as i64) > 0
}

/// [`is_ahead`], without a branch.
#[inline(always)]
fn is_ahead_bit(until: u64, now: u64) -> u64 {
    top_bit(now.wrapping_sub(until)) & is_some(until)
}

/// Of two times the earlier.
#[inline(always)]
fn sooner(until: u64, most: u64) -> u64 {
    select(is_ahead_bit(until, most), most, until)
}

/// Which host a report is from: its IPv4 address, or of its link-local address what differs on the link, the lower
/// half. 0 (`0.0.0.0`, `::`) is nobody in particular.
#[must_use]
#[inline(always)]
pub const fn reporter(source: Address) -> u64 {
    if source.is_mapped() { source.v4() as u64 } else { source.0[1] }
}

/// What a report says of a group: the record types of RFC 9776 4.2.12 and RFC 9777 5.2.12, and what older versions
/// have in their place.
pub mod record {
    /// Its sources are those that are wanted, and were before.
    pub const IS_INCLUDE: u8 = 1;
    /// Its sources are those that aren't wanted, and were before.
    pub const IS_EXCLUDE: u8 = 2;
    /// From now on only these are wanted.
    pub const TO_INCLUDE: u8 = 3;
    /// From now on only these aren't.
    pub const TO_EXCLUDE: u8 = 4;
    /// These are wanted as well.
    pub const ALLOW: u8 = 5;
    /// These aren't wanted any more.
    pub const BLOCK: u8 = 6;
    /// A report of an older version, which knows no sources.
    pub const REPORT: u8 = 7;
    /// A leave of IGMP version 2, a done of MLD version 1.
    pub const LEAVE: u8 = 8;
    /// A querier asks whether these are still wanted.
    pub const QUERY: u8 = 9;
}

/// A record of a report, but for its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// One of [`record`].
    pub kind: u8,
    /// The protocol's version: 1 to 3; MLD's count as 2 and 3.
    pub version: u8,
    /// How many sources it has.
    pub sources: u16,
    /// See [`reporter`].
    pub reporter: u64,
    /// The time.
    pub now: u64,
}

/// How long things last, in units of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long a member counts as one without reporting again (group membership interval, RFC 9776 8.4), and a host
    /// of an older version as present (8.13).
    pub membership: u64,
    /// How long after the last one left others may take to say that they haven't (last member query time, 8.8).
    pub last_member: u64,
}

impl Record {
    /// Whether whoever sends it is a member then.
    #[must_use]
    #[inline(always)]
    pub const fn joins(&self) -> bool {
        match self.kind {
            record::IS_EXCLUDE | record::TO_EXCLUDE | record::REPORT => true,
            record::IS_INCLUDE | record::TO_INCLUDE | record::ALLOW => self.sources > 0,
            _ => false,
        }
    }
}

/// What became of records, on one CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Stats {
    /// Hosts that came to be members.
    pub joins: u64,
    /// Hosts that said that they no longer are.
    pub leaves: u64,
    /// Not taken: there was no room for another group.
    pub table_full: u64,
    /// Not taken: the interface had as many groups as it may.
    pub interface_full: u64,
    /// Not taken: the host was in as many groups as it may.
    pub host_full: u64,
    /// Not taken: there were too many new members a second.
    pub join_rate: u64,
    /// Not taken: another CPU had the group for too long.
    pub contended: u64,
    /// Taken, but there was no room for a source or a reporter.
    pub group_full: u64,
}

/// What goes on from a record to its sources.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Step {
    /// The time.
    pub now: u64,
    /// Until when what it wants is wanted.
    pub wanted_until: u64,
    /// Until when what it doesn't is, where nobody else can want it; 0 where somebody can.
    pub last_until: u64,
    /// The group timer before the record.
    pub group_until: u64,
    /// The epoch before it.
    pub before: u32,
    /// One of [`record`], or 0: its sources say nothing.
    pub kind: u8,
    /// 1 where the group excluded sources.
    pub excluded: u8,
    /// 1 where something found no room.
    pub is_full: u8,
    /// 1 where the reporter took a place among those that are kept apart.
    pub took: u8,
    /// Who had that place before, and had run out; 0 where nobody had.
    pub evicted: u64,
    /// 1 where the reporter gave its place back.
    pub left: u8,
    /// 1 where it came to be a member.
    pub joined: u8,
    /// Zero.
    pub pad: [u8; 6],
}

impl Group {
    /// The version that its members are spoken to in: 1 to 3 (RFC 9776 7.3.2, RFC 9777 8.3.2).
    #[must_use]
    #[inline(always)]
    pub const fn version(&self, now: u64) -> u8 {
        if is_ahead(self.older_until[0], now) {
            1
        } else if is_ahead(self.older_until[1], now) {
            2
        } else {
            3
        }
    }

    /// Whether it takes every source that isn't excluded.
    #[must_use]
    #[inline(always)]
    pub const fn excludes(&self, now: u64) -> bool {
        is_ahead(self.exclude_until, now)
    }

    /// Whether somebody wants what a source sends to it.
    #[must_use]
    #[inline(always)]
    pub fn takes(&self, source: [u64; 2], now: u64) -> bool {
        let excludes = self.excludes(now);
        if self.noted == 0 {
            return excludes;
        }
        let mut takes = excludes;
        for kept in &self.sources {
            if kept.address == source && kept.epoch == self.epoch {
                takes = is_ahead(kept.until, now);
            }
        }
        takes
    }

    /// Until when it has members; a time that is past where it has none.
    #[must_use]
    pub fn until(&self, now: u64) -> u64 {
        let own = self.sources.iter().filter(|source| source.epoch == self.epoch);
        let times = own.map(|source| source.until);
        times.fold(self.exclude_until, |most, time| {
            if is_ahead(time, now) && (!is_ahead(most, now) || is_ahead(time, most)) {
                time
            } else {
                most
            }
        })
    }

    /// Takes a record; its sources, as many as are kept, go to [`Group::source`].
    #[inline(always)]
    pub fn record(&mut self, record: &Record, times: &Times, step: &mut Step) {
        let now = record.now;
        // Before anything else: each way that leads to a walk is one that the verifier walks anew.
        let seat = self.seek(record.reporter, now);
        let wanted_until = now.wrapping_add(times.membership);
        match record.version {
            1 => self.older_until[0] = wanted_until,
            2 if record.kind == record::REPORT => self.older_until[1] = wanted_until,
            _ => {}
        }
        let version = self.version(now);
        let excluded = self.excludes(now);
        let is_empty = record.sources == 0;
        let leaves = record.kind == record::LEAVE || record.kind == record::TO_INCLUDE && is_empty;
        step.begin(now, self.epoch, record.kind, excluded);
        step.wanted_until = wanted_until;
        step.group_until = self.exclude_until;
        if record.joins() {
            let was_heard = is_ahead(self.heard.wrapping_add(times.membership), now);
            if self.heard == 0 || !(excluded || was_heard) {
                self.since = now;
            }
            self.heard = now;
            self.track(record.reporter, &seat, step);
        }
        // Who reports in version 2 keeps silent where another has.
        let is_alone = seat.others == 0
            && (seat.is_member | u64::from(record.joins())) != 0
            && !is_ahead(self.untracked_until, now)
            && version == 3;
        if leaves {
            self.forget(&seat, step);
        }
        if is_alone {
            step.last_until = now.wrapping_add(times.last_member);
        }
        let wants = matches!(record.kind, record::IS_INCLUDE | record::TO_INCLUDE | record::ALLOW);
        match record.kind {
            record::LEAVE => step.kind = 0,
            record::BLOCK if version < 3 => step.kind = 0,
            _ if wants && usize::from(record.sources) > SOURCES => self.take_any(step),
            record::REPORT | record::IS_EXCLUDE | record::TO_EXCLUDE => {
                self.epoch = self.epoch.wrapping_add(1);
                self.noted = 0;
                self.exclude_until = wanted_until;
                let lists = record.kind == record::IS_EXCLUDE
                    || record.kind == record::TO_EXCLUDE && version == 3;
                if !lists {
                    step.kind = 0;
                }
            }
            record::TO_INCLUDE if is_alone => {
                self.lower(step.last_until);
                for source in &mut self.sources {
                    source.until = sooner(source.until, step.last_until);
                }
            }
            _ => {}
        }
    }

    /// Takes a source of a record.
    #[inline(always)]
    pub fn source(&mut self, step: &mut Step, address: [u64; 2]) {
        let excluded = step.excluded != 0;
        let is_new = is_some(u64::from(self.epoch ^ step.before));
        let (mut found, mut free) = (SOURCES as u64, SOURCES as u64);
        let mut carried = 0;
        for (n, kept) in (0..).zip(&self.sources) {
            let live = is_ahead_bit(kept.until, step.now);
            let own = 1 ^ is_some(u64::from(kept.epoch ^ self.epoch));
            let is_of_before = 1 ^ is_some(u64::from(kept.epoch ^ step.before));
            let before = is_of_before & (u64::from(step.excluded) | live);
            let [high, low] = kept.address;
            let here = 1 ^ is_some((high ^ address[0]) | (low ^ address[1]));
            let hit = (own | before) & here;
            let is_free = 1 ^ (hit | before | own & (live | is_new));
            found = select(hit, n, found);
            free = select(is_free, n, free);
            carried |= hit & own & is_new;
        }
        let (found, free) = (found as usize, free as usize);
        let group_until = step.group_until;
        let (new, old) = match step.kind {
            record::IS_INCLUDE | record::TO_INCLUDE | record::ALLOW => {
                (step.wanted_until, Some(step.wanted_until))
            }
            // Of none before, those that are excluded are excluded at once; of some, once nobody has said that he
            // wants them.
            record::IS_EXCLUDE if excluded => (step.wanted_until, None),
            record::TO_EXCLUDE if excluded => (group_until, None),
            record::IS_EXCLUDE | record::TO_EXCLUDE => (step.now, None),
            record::BLOCK if excluded => (sooner(group_until, step.last()), Some(step.last())),
            record::BLOCK | record::QUERY => (0, Some(step.last())),
            _ => return,
        };
        if found < SOURCES {
            let Some(kept) = self.sources.get_mut(found) else { return };
            if matches!(step.kind, record::BLOCK | record::QUERY) {
                kept.until = sooner(kept.until, old.unwrap_or(kept.until));
            } else if let Some(until) = old {
                kept.until = until;
            }
            if carried == 0 && kept.epoch != self.epoch {
                kept.epoch = self.epoch;
                self.noted += 1;
            }
            return;
        }
        if new == 0 {
            return;
        }
        match self.sources.get_mut(free) {
            Some(kept) => {
                *kept = Source { address, until: new, epoch: self.epoch, pad: 0 };
                self.noted += 1;
            }
            None if matches!(
                step.kind,
                record::BLOCK | record::IS_EXCLUDE | record::TO_EXCLUDE
            ) =>
            {
                step.is_full = 1;
            }
            None => self.take_any(step),
        }
    }

    /// A query about the group has been seen: who still is a member says so until then (RFC 9776 6.6.3.1). Its
    /// sources, where it has some, go to [`Group::source`] (6.6.3.2).
    #[inline(always)]
    pub fn queried(&mut self, sources: u16, until: u64, now: u64, step: &mut Step) {
        if sources == 0 {
            self.lower(until);
        }
        step.begin(now, self.epoch, record::QUERY, self.excludes(now));
        step.last_until = until;
    }

    #[inline(always)]
    fn lower(&mut self, until: u64) {
        self.exclude_until = sooner(self.exclude_until, until);
    }

    /// More sources are wanted than are kept: it takes any.
    #[inline(always)]
    fn take_any(&mut self, step: &mut Step) {
        self.epoch = self.epoch.wrapping_add(1);
        self.noted = 0;
        self.exclude_until = step.wanted_until;
        step.kind = 0;
        step.is_full = 1;
    }

    /// Where a reporter is among those that are kept apart, in one walk over them.
    #[inline(always)]
    fn seek(&self, id: u64, now: u64) -> Seat {
        let mut seat =
            Seat { own: REPORTERS as u64, free: REPORTERS as u64, is_member: 0, others: 0 };
        for (n, kept) in (0..).zip(&self.reporters) {
            let live = is_ahead_bit(kept.until, now);
            let is_own = is_some(id) & (1 ^ is_some(kept.id ^ id));
            seat.own = select(is_own, n, seat.own);
            seat.free = select(1 ^ live, n, seat.free);
            seat.is_member |= live & is_own;
            seat.others |= live & (1 ^ is_own);
        }
        seat
    }

    /// Notes a reporter.
    #[inline(always)]
    fn track(&mut self, id: u64, seat: &Seat, step: &mut Step) {
        let until = step.wanted_until;
        if let Some(kept) = self.reporters.get_mut(seat.own as usize) {
            kept.until = until;
        } else if let Some(kept) = self.reporters.get_mut(seat.free as usize)
            && id != 0
        {
            step.evicted = kept.id;
            step.took = 1;
            (kept.id, kept.until) = (id, until);
        } else {
            if id != 0 {
                step.is_full = 1;
            }
            self.untracked_until = until;
            return;
        }
        if seat.is_member == 0 {
            step.joined = 1;
            self.joins = self.joins.wrapping_add(1);
        }
    }

    /// Gives the place of a reporter back.
    #[inline(always)]
    fn forget(&mut self, seat: &Seat, step: &mut Step) {
        if let Some(kept) = self.reporters.get_mut(seat.own as usize) {
            (kept.id, kept.until) = (0, 0);
            step.left = 1;
            self.leaves = self.leaves.wrapping_add(seat.is_member as u32);
        }
    }

    /// What a reporter is to it.
    #[must_use]
    #[inline(always)]
    pub fn standing(&self, id: u64, now: u64) -> Standing {
        let seat = self.seek(id, now);
        Standing { is_member: seat.is_member != 0, is_counted: seat.own < REPORTERS as u64 }
    }
}

/// What a reporter is to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is a member.
    pub is_member: bool,
    /// Whether it is one that is kept apart, its time run out or not: the group counts among its own.
    pub is_counted: bool,
}

/// What [`Group::seek`] found: [`REPORTERS`] stands for no place.
struct Seat {
    /// The place that the reporter has.
    own: u64,
    /// One that it may take.
    free: u64,
    /// 1 where it is a member.
    is_member: u64,
    /// 1 where another is.
    others: u64,
}

impl Step {
    /// A new one. Field by field: a structure that is put together first lies on the stack, of which the kernel program
    /// has little.
    #[inline(always)]
    fn begin(&mut self, now: u64, before: u32, kind: u8, excluded: bool) {
        self.now = now;
        self.wanted_until = 0;
        self.last_until = 0;
        self.group_until = 0;
        self.evicted = 0;
        self.before = before;
        self.kind = kind;
        self.excluded = excluded.into();
        self.is_full = 0;
        self.took = 0;
        self.left = 0;
        self.joined = 0;
    }

    /// [`Step::last_until`], where it is one; else a time that lowers none.
    #[inline(always)]
    const fn last(&self) -> u64 {
        if self.last_until == 0 { self.wanted_until } else { self.last_until }
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::new_zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const TIMES: Times = Times { membership: 260_000, last_member: 2_000 };

    fn address(n: u8) -> [u64; 2] {
        Address::mapped(0x0a00_0000 | u32::from(n)).0
    }

    fn tell(group: &mut Group, kind: u8, sources: &[u8], reporter: u64, now: u64) -> Step {
        let version = if matches!(kind, record::REPORT | record::LEAVE) { 2 } else { 3 };
        let count = sources.len() as u16;
        let mut step = Step::default();
        let record = Record { kind, version, sources: count, reporter, now };
        group.record(&record, &TIMES, &mut step);
        for source in sources.iter().take(SOURCES) {
            group.source(&mut step, address(*source));
        }
        step
    }

    /// The state of a router by RFC 9776 6.2, as sets and their timers.
    #[derive(Clone, Debug, Default)]
    struct Model {
        group_until: u64,
        /// With the time until which it is wanted; a time that is past: excluded.
        sources: BTreeMap<u8, u64>,
    }

    impl Model {
        /// 6.5: what runs out.
        fn settle(&mut self, now: u64) {
            if self.group_until <= now {
                self.sources.retain(|_, until| *until > now);
            }
        }

        /// The tables of 6.4.1 and 6.4.2, but for queries that they have sent.
        fn tell(&mut self, kind: u8, list: &[u8], now: u64) {
            self.settle(now);
            let (exclude, timer, gmi) =
                (self.group_until > now, self.group_until, TIMES.membership);
            let old = self.sources.clone();
            match kind {
                record::IS_INCLUDE | record::ALLOW | record::TO_INCLUDE => {
                    self.sources.extend(list.iter().map(|s| (*s, now + gmi)));
                }
                record::IS_EXCLUDE | record::TO_EXCLUDE => {
                    let fresh = match (exclude, kind) {
                        (false, _) => now,
                        (true, record::IS_EXCLUDE) => now + gmi,
                        _ => timer,
                    };
                    let kept = list.iter().map(|s| (*s, old.get(s).copied().unwrap_or(fresh)));
                    self.sources = kept.collect();
                    self.group_until = now + gmi;
                }
                record::BLOCK if exclude => {
                    for s in list {
                        self.sources.entry(*s).or_insert(timer);
                    }
                }
                _ => {}
            }
        }

        fn takes(&self, source: u8, now: u64) -> bool {
            let own = self.sources.get(&source).map(|until| *until > now);
            own.unwrap_or(self.group_until > now)
        }
    }

    /// Two reporters who both go on, so that nobody is the last, tell anything in any order.
    #[test]
    fn what_reports_come_to_is_what_the_tables_of_the_document_say() {
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for _ in 0..2_000 {
            let (mut group, mut model) = (Group::default(), Model::default());
            let mut now = 1 + next(1 << 20);
            for _ in 0..24 {
                group.untracked_until = u64::MAX >> 1;
                now += next(TIMES.membership * 2 / 3);
                let kind = 1 + next(6) as u8;
                let mut list: Vec<u8> = (1..=6).filter(|_| next(3) == 0).collect();
                if next(8) == 0 {
                    list.extend(list.clone());
                }
                tell(&mut group, kind, &list, next(3), now);
                model.tell(kind, &list, now);
                model.settle(now);
                let later = now + next(TIMES.membership);
                let mut then = model.clone();
                then.settle(later);
                for at in [now, later] {
                    let model = if at == now { &model } else { &then };
                    for source in 0..8 {
                        assert_eq!(
                            group.takes(address(source), at),
                            model.takes(source, at),
                            "source {source} at {at}, after {kind} {list:?}: {model:?}, {group:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_reporter_who_leaves_takes_the_group_with_it() {
        for others in [false, true] {
            let mut group = Group::default();
            tell(&mut group, record::TO_EXCLUDE, &[], 1, 10);
            if others {
                tell(&mut group, record::IS_EXCLUDE, &[], 2, 10);
            }
            tell(&mut group, record::TO_INCLUDE, &[], 1, 20);
            let end = if others { 10 + TIMES.membership } else { 20 + TIMES.last_member };
            assert!(group.takes(address(1), end - 1) && !group.takes(address(1), end));
            assert_eq!((group.joins, group.leaves), (1 + u32::from(others), 1));
            // Who isn't a member can't leave, and nobody can for who has no address.
            tell(&mut group, record::TO_INCLUDE, &[], 7, 21);
            tell(&mut group, record::TO_INCLUDE, &[], 0, 21);
            assert!(group.takes(address(1), end - 1));
            assert_eq!(group.leaves, 1);
        }
        // Sources that only it wanted.
        let mut group = Group::default();
        tell(&mut group, record::ALLOW, &[1, 2], 1, 10);
        tell(&mut group, record::BLOCK, &[1], 1, 20);
        let end = 20 + TIMES.last_member;
        assert!(group.takes(address(1), end - 1) && !group.takes(address(1), end));
        assert!(group.takes(address(2), end));
        tell(&mut group, record::TO_INCLUDE, &[3], 1, 30);
        let end = 30 + TIMES.last_member;
        assert!(group.takes(address(2), end - 1) && !group.takes(address(2), end));
        assert!(group.takes(address(3), end));
    }

    /// A reporter of version 2 keeps silent where it hears another, and one too many isn't known.
    #[test]
    fn nobody_is_the_last_where_others_may_be() {
        let stays = |group: &mut Group, what: &str| {
            tell(group, record::TO_INCLUDE, &[], 1, 20);
            assert!(group.takes(address(1), 20 + TIMES.last_member), "{what}");
        };
        let mut group = Group::default();
        tell(&mut group, record::TO_EXCLUDE, &[], 1, 10);
        tell(&mut group, record::REPORT, &[], 2, 10);
        tell(&mut group, record::LEAVE, &[], 2, 11);
        stays(&mut group, "a host of version 2");
        let mut group = Group::default();
        for id in 1..=REPORTERS as u64 + 1 {
            let step = tell(&mut group, record::TO_EXCLUDE, &[], id, 10);
            assert_eq!(step.is_full != 0, id > REPORTERS as u64, "{id}");
        }
        for id in 2..=REPORTERS as u64 {
            tell(&mut group, record::TO_INCLUDE, &[], id, 11);
        }
        stays(&mut group, "a reporter too many");
        let mut group = Group::default();
        tell(&mut group, record::TO_EXCLUDE, &[], 1, 10);
        tell(&mut group, record::TO_EXCLUDE, &[], 0, 10);
        stays(&mut group, "one without an address");
    }

    #[test]
    fn older_versions_know_no_sources_and_leave_when_asked() {
        let mut group = Group::default();
        tell(&mut group, record::REPORT, &[], 1, 10);
        assert_eq!(group.version(11), 2);
        assert_eq!(group.version(10 + TIMES.membership), 3);
        // What excludes sources excludes none while there is one of them (RFC 9776 7.3.2).
        tell(&mut group, record::TO_EXCLUDE, &[1], 2, 20);
        tell(&mut group, record::BLOCK, &[2], 2, 21);
        assert!(group.takes(address(1), 22) && group.takes(address(2), 22));
        tell(&mut group, record::LEAVE, &[], 1, 30);
        assert!(group.takes(address(1), 30 + TIMES.last_member), "nobody has asked");
        group.queried(0, 40 + TIMES.last_member, 40, &mut Step::default());
        assert!(group.takes(address(1), 39 + TIMES.last_member));
        assert!(!group.takes(address(1), 40 + TIMES.last_member));
        // Who answers stays.
        tell(&mut group, record::REPORT, &[], 2, 41);
        assert!(group.takes(address(1), 40 + TIMES.membership));
    }

    #[test]
    fn a_source_too_many_makes_it_a_group_of_any() {
        let many: Vec<u8> = (1..=SOURCES as u8 + 1).collect();
        for kind in [record::IS_INCLUDE, record::ALLOW, record::TO_INCLUDE] {
            let mut group = Group::default();
            let step = tell(&mut group, kind, &many, 1, 10);
            assert!(step.is_full != 0 && group.takes(address(99), 11), "{kind} at once");
            let mut group = Group::default();
            tell(&mut group, kind, &many[..SOURCES], 1, 10);
            assert!(group.takes(address(1), 11) && !group.takes(address(99), 11));
            let step = tell(&mut group, record::ALLOW, &[200], 1, 12);
            assert!(step.is_full != 0 && group.takes(address(99), 13), "{kind} one by one");
        }
        // What isn't wanted is let through where there is no room to say so.
        let mut group = Group::default();
        tell(&mut group, record::TO_EXCLUDE, &many[..SOURCES], 1, 10);
        let step = tell(&mut group, record::BLOCK, &[200], 1, 12);
        assert!(step.is_full != 0 && group.takes(address(200), 13) && !group.takes(address(1), 13));
    }

    #[test]
    fn a_group_lasts_as_long_as_the_last_that_is_wanted_of_it() {
        let mut group = Group::default();
        tell(&mut group, record::ALLOW, &[1], 1, 10);
        assert_eq!(group.until(11), 10 + TIMES.membership);
        tell(&mut group, record::ALLOW, &[2], 1, 50);
        assert_eq!(group.until(51), 50 + TIMES.membership);
        tell(&mut group, record::TO_EXCLUDE, &[1], 1, 70);
        assert_eq!(group.until(71), 70 + TIMES.membership);
        assert!(!is_ahead(group.until(70 + TIMES.membership), 70 + TIMES.membership));
        assert_eq!((group.since, group.heard), (10, 70));
        tell(&mut group, record::ALLOW, &[1], 1, 1_000_000);
        assert_eq!(group.since, 1_000_000, "it had no members meanwhile");
    }

    /// The clock wraps after two years and more.
    #[test]
    fn times_may_wrap() {
        let now = u64::MAX - 1_000;
        let mut group = Group::default();
        tell(&mut group, record::TO_EXCLUDE, &[], 1, now);
        assert!(group.takes(address(1), now.wrapping_add(TIMES.membership - 1)));
        assert!(!group.takes(address(1), now.wrapping_add(TIMES.membership)));
    }
}

//! Who is a member of what at one moment, in words.

use crate::datapath::{Error, Maps, bucket_time};
use icmp_common::{
    bucket::UNITS_PER_S,
    member::{Group, GroupKey, LinkKey, Stats, is_ahead},
    querier::{Link, is_for_all},
    wire::ipv6::Address,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A group that has members on a link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupState {
    /// The name of the interface.
    pub interface: String,
    /// The VLAN of the outer tag; null where there is none.
    pub vlan: Option<u16>,
    /// Likewise of the inner one.
    pub inner_vlan: Option<u16>,
    /// The group.
    pub group: IpAddr,
    /// Whether what is sent to it goes everywhere on the link, members or none: see [`is_for_all`].
    pub for_all: bool,
    /// `include` where it takes the sources alone, `exclude` where it takes all but them.
    pub mode: &'static str,
    /// The sources.
    pub sources: Vec<IpAddr>,
    /// The version of IGMP or MLD that its members are spoken to in.
    pub version: u8,
    /// In how many seconds it has no member any more, unless they report again.
    pub expires_s: f64,
    /// For how many it has had some.
    pub since_s: f64,
    /// How long ago it was last reported.
    pub heard_s: f64,
    /// Who reported it; not all, where there are many, or who has no address.
    pub reporters: Vec<IpAddr>,
    /// How often a host came to be a member.
    pub joins: u32,
    /// How often one said that it no longer is.
    pub leaves: u32,
}

/// Who asks on a link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuerierState {
    /// The name of the interface.
    pub interface: String,
    /// The VLAN of the outer tag; null where there is none.
    pub vlan: Option<u16>,
    /// Likewise of the inner one.
    pub inner_vlan: Option<u16>,
    /// `igmp` or `mld`.
    pub protocol: &'static str,
    /// The elected querier; null where nobody asks, or from no address.
    pub querier: Option<IpAddr>,
    /// Whether that is this machine.
    pub own: bool,
    /// The version that it asks in; null where nobody asks.
    pub version: Option<u8>,
    /// In how many seconds it no longer counts as present; null where nobody asks.
    pub expires_s: Option<f64>,
    /// Whether another multicast router is on the link.
    pub other_router: bool,
}

/// How many of the groups that were kept from somewhere are told apart: those of which most was.
const TOP: usize = 10;

/// What is known of groups and their members, as metrics have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MembershipState {
    /// How many groups each interface has, by its name; what has run out counts until it is swept.
    pub held: Vec<(String, u32)>,
    /// Who asks.
    pub queriers: Vec<QuerierState>,
    /// What became of reports.
    pub stats: Stats,
    /// What was kept from where it has no member, of the groups of which most was.
    pub gated: Vec<GatedState>,
}

/// What was kept from an interface of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatedState {
    /// The name of the interface.
    pub interface: String,
    /// The group.
    pub group: IpAddr,
    /// How many packets.
    pub packets: u64,
    /// The octets of their frames.
    pub octets: u64,
}

impl MembershipState {
    /// That of an instance.
    ///
    /// # Errors
    /// Where a map can't be read.
    pub fn read(maps: &Maps) -> Result<Self, Error> {
        let (names, groups) = (Names::of(maps)?, maps.groups());
        let held = groups.held()?;
        let of = |id: u32| held.get(id as usize).copied().unwrap_or(0);
        let mut gated: Vec<GatedState> = Vec::new();
        for (key, counter) in groups.gated()? {
            let (interface, group) = (names.get(&key.link), address(key.group));
            let one =
                GatedState { interface, group, packets: counter.packets, octets: counter.octets };
            // The VLANs of an interface are counted as one.
            match gated.iter_mut().find(|g| g.interface == one.interface && g.group == one.group) {
                Some(known) => {
                    known.packets += one.packets;
                    known.octets += one.octets;
                }
                None => gated.push(one),
            }
        }
        gated.sort_by_key(|one| (std::cmp::Reverse(one.packets), one.group));
        gated.truncate(TOP);
        gated.sort_by(|a, b| (&a.interface, a.group).cmp(&(&b.interface, b.group)));
        Ok(Self {
            held: names.0.iter().map(|(id, name)| (name.clone(), of(*id))).collect(),
            queriers: queriers_by(&names, maps)?,
            stats: groups.stats()?,
            gated,
        })
    }
}

/// Every group that has members, by link and address.
///
/// # Errors
/// Where a map can't be read.
pub fn groups(maps: &Maps) -> Result<Vec<GroupState>, Error> {
    let names = Names::of(maps)?;
    let (now, groups) = maps.groups().groups()?;
    let mut states: Vec<_> =
        groups.iter().map(|(key, group)| state(&names, key, group, now)).collect();
    states.sort_by(|a, b| {
        let by = |s: &GroupState| (s.interface.clone(), s.vlan, s.inner_vlan, s.group);
        by(a).cmp(&by(b))
    });
    Ok(states)
}

/// Every link that somebody has asked on.
///
/// # Errors
/// Where a map can't be read.
pub fn queriers(maps: &Maps) -> Result<Vec<QuerierState>, Error> {
    queriers_by(&Names::of(maps)?, maps)
}

fn queriers_by(names: &Names, maps: &Maps) -> Result<Vec<QuerierState>, Error> {
    let links = maps.groups().links()?;
    let now = bucket_time();
    let mut states: Vec<_> =
        links.iter().map(|(key, link)| querier(names, key, link, now)).collect();
    states.sort_by(|a, b| {
        let by = |s: &QuerierState| (s.interface.clone(), s.vlan, s.inner_vlan, s.protocol);
        by(a).cmp(&by(b))
    });
    Ok(states)
}

/// The names of interfaces by their stable index.
struct Names(BTreeMap<u32, String>);

impl Names {
    fn of(maps: &Maps) -> Result<Self, Error> {
        let known = maps.interfaces()?;
        Ok(Self(known.into_iter().map(|(id, name, _)| (id, name)).collect()))
    }

    fn get(&self, link: &LinkKey) -> String {
        let id = u32::from(link.interface);
        self.0.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }
}

fn state(names: &Names, key: &GroupKey, group: &Group, now: u64) -> GroupState {
    let excludes = group.excludes(now);
    let own = group.sources.iter().filter(|s| s.epoch == group.epoch && s.address != [0; 2]);
    let told = own.filter(|source| is_ahead(source.until, now) != excludes);
    let mut sources: Vec<IpAddr> = told.map(|source| address(source.address)).collect();
    sources.sort_unstable();
    let live = group.reporters.iter().filter(|r| r.id != 0 && is_ahead(r.until, now));
    let mut reporters: Vec<IpAddr> = live.map(|r| reporter(&key.link, r.id)).collect();
    reporters.sort_unstable();
    GroupState {
        interface: names.get(&key.link),
        vlan: vlan(key.link.outer),
        inner_vlan: vlan(key.link.inner),
        group: address(key.group),
        for_all: is_for_all(Address(key.group)),
        mode: if excludes { "exclude" } else { "include" },
        sources,
        version: version(&key.link, group.version(now)),
        expires_s: seconds(group.until(now).wrapping_sub(now)),
        since_s: seconds(now.wrapping_sub(group.since)),
        heard_s: seconds(now.wrapping_sub(group.heard)),
        reporters,
        joins: group.joins,
        leaves: group.leaves,
    }
}

fn querier(names: &Names, key: &LinkKey, link: &Link, now: u64) -> QuerierState {
    let asks = link.has_querier(now);
    QuerierState {
        interface: names.get(key),
        vlan: vlan(key.outer),
        inner_vlan: vlan(key.inner),
        protocol: if key.version == 6 { "mld" } else { "igmp" },
        querier: (asks && link.querier != 0).then(|| reporter(key, link.querier)),
        own: asks && link.is_own != 0,
        version: asks.then(|| version(key, link.version)),
        expires_s: asks.then(|| seconds(link.querier_until.wrapping_sub(now))),
        other_router: is_ahead(link.router_until, now),
    }
}

fn vlan(tag: u16) -> Option<u16> {
    (tag != 0).then_some(tag)
}

/// MLD's versions are one less than IGMP's of the same kind.
fn version(link: &LinkKey, version: u8) -> u8 {
    if link.version == 6 { version.saturating_sub(1).max(1) } else { version }
}

fn address(words: [u64; 2]) -> IpAddr {
    let address = Address(words);
    if address.is_mapped() {
        IpAddr::V4(Ipv4Addr::from(address.v4()))
    } else {
        IpAddr::V6(Ipv6Addr::from(address.octets()))
    }
}

/// See [`icmp_common::member::reporter`].
fn reporter(link: &LinkKey, id: u64) -> IpAddr {
    if link.version == 6 {
        address([0xfe80_0000_0000_0000_u64.to_be(), id])
    } else {
        IpAddr::V4(Ipv4Addr::from(id as u32))
    }
}

/// To a tenth: it has gone on when it is read.
fn seconds(units: u64) -> f64 {
    (units as f64 / UNITS_PER_S as f64 * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use icmp_common::member::{Record, Step, Times, record};

    const S: u64 = UNITS_PER_S;
    const LINK: LinkKey = LinkKey { interface: 3, version: 4, outer: 7, inner: 0 };

    fn names() -> Names {
        Names(BTreeMap::from([(3, "eth1".to_owned())]))
    }

    #[test]
    fn a_group_is_told_in_the_words_of_its_protocol() {
        let times = Times { membership: 260 * S, last_member: 2 * S };
        let group = Address::mapped(0xef01_0101).0;
        let source = Address::mapped(0x0a00_0009).0;
        let tell = |kind, sources: u16, now| {
            let mut group = Group::default();
            let reporter = 0x0a00_0005;
            let mut step = Step::default();
            let record = Record { kind, version: 3, sources, reporter, now };
            group.record(&record, &times, &mut step);
            if sources > 0 {
                group.source(&mut step, source);
            }
            group
        };
        let include =
            state(&names(), &GroupKey { link: LINK, group }, &tell(record::ALLOW, 1, S), 11 * S);
        assert_eq!(include.interface, "eth1");
        assert_eq!((include.vlan, include.inner_vlan), (Some(7), None));
        assert_eq!(include.group.to_string(), "239.1.1.1");
        assert_eq!((include.mode, include.version), ("include", 3));
        assert_eq!(include.sources, ["10.0.0.9".parse::<IpAddr>().expect("one")]);
        assert_eq!((include.expires_s, include.since_s, include.heard_s), (250.0, 10.0, 10.0));
        assert_eq!(include.reporters, ["10.0.0.5".parse::<IpAddr>().expect("one")]);
        let all = state(
            &names(),
            &GroupKey { link: LINK, group },
            &tell(record::TO_EXCLUDE, 0, S),
            2 * S,
        );
        assert_eq!((all.mode, all.sources.len()), ("exclude", 0));
        let but = state(
            &names(),
            &GroupKey { link: LINK, group },
            &tell(record::TO_EXCLUDE, 1, S),
            2 * S,
        );
        assert_eq!((but.mode, but.sources.len()), ("exclude", 1));
        let gone = LinkKey { interface: 9, version: 6, ..LINK };
        let six = state(
            &names(),
            &GroupKey { link: gone, group },
            &tell(record::TO_EXCLUDE, 0, S),
            2 * S,
        );
        assert_eq!((six.interface.as_str(), six.version), ("#9", 2));
        assert!(six.reporters[0].is_ipv6());
    }
}

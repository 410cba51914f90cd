//! Reading `[groups]`: what a policy says of group membership, and of multicast that nobody has joined.

use super::error::quoted;
use super::reader::{Reader, Value};
use super::rule;
use icmp_common::abi::{GROUPS, GroupPolicy, INTERFACES, STATIC_GROUPS, group_flag};
use icmp_common::bucket::{Limit, Unit};
use icmp_common::member::{GroupKey, LinkKey, StaticKey};
use icmp_common::querier::{is_for_all, is_kept};
use icmp_common::verdict::Mode;
use icmp_common::wire::ipv6::Address;
use std::collections::BTreeSet;
use std::net::IpAddr;
use toml::de::{DeTable, DeValue};

/// What a policy says of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Whether it is learnt who is a member of what.
    pub learn: bool,
    /// By which interfaces multicast leaves only where its group has a member.
    pub gate: Gate,
    /// Whether what has no member is kept back, or only noted.
    pub mode: Mode,
    /// Whether a group that no interface has a member of goes everywhere.
    pub unregistered_go: bool,
    /// Whether a link where another multicast router is gets everything.
    pub heeds_routers: bool,
    /// How many groups an interface has at most.
    pub per_interface: u32,
    /// In how many groups a host is at most.
    pub per_host: u32,
    /// How many members a link may have more each second, and at once.
    pub joins: u32,
    /// Groups that have a member, whoever reports.
    pub fixed: Vec<FixedGroup>,
}

/// A group that has a member on a link because the policy says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedGroup {
    /// The name of the interface.
    pub interface: String,
    /// The VLAN on it; 0 where that is none.
    pub vlan: u16,
    /// The group.
    pub group: IpAddr,
    /// The source that is wanted; `None` where that is any.
    pub source: Option<IpAddr>,
}

/// Which interfaces are gated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// None.
    #[default]
    Off,
    /// Every one.
    All,
    /// Those of these names.
    Interfaces(BTreeSet<String>),
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            learn: true,
            gate: Gate::Off,
            mode: Mode::Enforce,
            unregistered_go: false,
            heeds_routers: true,
            per_interface: 16_384,
            per_host: 1024,
            joins: 1000,
            fixed: Vec::new(),
        }
    }
}

impl Groups {
    /// What of it the kernel program has; `names` are the interfaces by their stable index.
    #[must_use]
    pub fn compile(&self, names: &[Option<String>]) -> GroupPolicy {
        if !self.learn {
            return GroupPolicy::default();
        }
        let gated = match &self.gate {
            Gate::Off => 0,
            Gate::All => u64::MAX,
            Gate::Interfaces(gated) => {
                let known = names.iter().take(INTERFACES).enumerate();
                let is =
                    |name: &&Option<String>| name.as_ref().is_some_and(|name| gated.contains(name));
                known.filter(|(_, name)| is(name)).fold(0, |bits, (id, _)| bits | 1 << id)
            }
        };
        let flags = [
            (self.mode == Mode::Observe, group_flag::OBSERVE),
            (self.unregistered_go, group_flag::UNREGISTERED_GO),
            (!self.heeds_routers, group_flag::IGNORE_ROUTERS),
            (!self.fixed.is_empty(), group_flag::STATIC),
        ];
        // The reader lets no number through of which there is no limit.
        let joins = Limit::new(self.joins.into(), 1, self.joins.into(), Unit::Packets);
        let (join_cost, join_depth) = joins.map_or((0, 0), |limit| (limit.cost, limit.depth));
        GroupPolicy {
            gated,
            join_cost,
            join_depth,
            per_interface: self.per_interface,
            per_host: self.per_host,
            flags: flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
            pad: 0,
        }
    }

    /// The groups that have a member because it says so, of the interfaces that there are; each once more for all
    /// links, since it is registered then (as a permanent entry of a Linux bridge is).
    #[must_use]
    pub fn compile_fixed(&self, names: &[Option<String>]) -> Vec<StaticKey> {
        let id = |name: &str| names.iter().position(|n| n.as_deref() == Some(name));
        let entry = |one: &FixedGroup| {
            let version = if one.group.is_ipv4() { 4 } else { 6 };
            let interface = id(&one.interface)? as u16;
            let link = LinkKey { interface, version, outer: one.vlan, inner: 0 };
            let group = GroupKey { link, group: Address::from(one.group).0 };
            let source = one.source.map_or([0; 2], |source| Address::from(source).0);
            Some([StaticKey { group, source }, StaticKey::anywhere(Address(group.group))])
        };
        self.fixed.iter().filter_map(entry).flatten().collect()
    }

    /// The names of the interfaces that it gates, or has a group of.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let named = match &self.gate {
            Gate::Interfaces(named) => Some(named),
            _ => None,
        };
        let fixed = self.fixed.iter().map(|one| one.interface.as_str());
        named.into_iter().flatten().map(String::as_str).chain(fixed)
    }
}

const KEYS: &[&str] = &[
    "learn",
    "gate",
    "mode",
    "unregistered",
    "other-routers",
    "max-per-interface",
    "max-per-host",
    "joins-per-second",
    "static",
];
/// Those that say how to gate.
const GATING: [&str; 4] = ["mode", "unregistered", "other-routers", "static"];
const GATE: &str = "true, false, or the interfaces: [\"eth1\"]";

/// Reads the table.
pub(super) fn read(reader: &mut Reader, table: &DeTable<'_>) -> Groups {
    reader.known_keys(table, "[groups]", KEYS, &[]);
    let mut groups = Groups::default();
    let mut learn = None;
    if let Some((span, value)) = reader.get(table, "learn") {
        groups.learn = reader.boolean(value).unwrap_or(true);
        learn = Some(span);
    }
    if let Some((_, value)) = reader.get(table, "gate") {
        groups.gate = read_gate(reader, value);
    }
    if let Some(span) = learn
        && !groups.learn
        && groups.gate != Gate::Off
    {
        reader.expected(
            span,
            "without learning who is a member, nothing can be kept from who isn't",
            "learn = true, or gate = false",
        );
    }
    if let Some((_, value)) = reader.get(table, "mode") {
        groups.mode = reader.choice(value, "mode", super::document::MODES).unwrap_or(groups.mode);
    }
    if let Some((_, value)) = reader.get(table, "unregistered") {
        let choices = [("drop", false), ("pass", true)];
        groups.unregistered_go = reader.choice(value, "setting", &choices).unwrap_or(false);
    }
    if let Some((_, value)) = reader.get(table, "other-routers") {
        let choices = [("all", true), ("members", false)];
        groups.heeds_routers = reader.choice(value, "setting", &choices).unwrap_or(true);
    }
    let most = GROUPS as u32;
    for (key, slot, most) in [
        ("max-per-interface", &mut groups.per_interface, most),
        ("max-per-host", &mut groups.per_host, most),
        ("joins-per-second", &mut groups.joins, 1_000_000),
    ] {
        if let Some((_, value)) = reader.get(table, key) {
            *slot = read_number(reader, value, most).unwrap_or(*slot);
        }
    }
    if let Some((_, value)) = reader.get(table, "static") {
        groups.fixed = read_fixed(reader, value);
    }
    groups
}

/// Those of its keys that say how to gate, where nothing is gated, with where they stand.
pub(super) fn idle_keys(
    reader: &Reader,
    table: &DeTable<'_>,
    groups: &Groups,
) -> Vec<(&'static str, usize)> {
    if groups.gate != Gate::Off {
        return Vec::new();
    }
    let at = |key: &'static str| reader.get(table, key).map(|(span, _)| (key, span.start));
    GATING.iter().copied().filter_map(at).collect()
}

const FIXED: &str = "a table: { interface = \"eth1\", group = \"239.1.1.1\" }";
const GROUP: &str = "a multicast address that isn't for all of a link: not of 224.0.0.0/24, nor of ff02::/16 or narrower";

fn read_fixed(reader: &mut Reader, value: Value<'_, '_>) -> Vec<FixedGroup> {
    let items = reader.one_or_more(value);
    if items.len() > STATIC_GROUPS {
        let message = format!("{} static groups", items.len());
        reader.expected(value.span(), message, format!("at most {STATIC_GROUPS}"));
        return Vec::new();
    }
    let mut fixed = Vec::new();
    for item in items {
        let Some(table) = reader.table(item, FIXED) else { continue };
        reader.known_keys(table, "a static group", &["interface", "group", "source", "vlan"], &[]);
        let interface = read_name(reader, table, item);
        let group = match reader.get(table, "group") {
            Some((_, value)) => read_address(reader, value, GROUP, |address| {
                let address = Address::from(address);
                is_kept(address) && !is_for_all(address)
            }),
            None => {
                reader.missing(item.span(), "group", "a static group", GROUP);
                None
            }
        };
        let source = reader.get(table, "source").and_then(|(_, value)| {
            let is_host = |source: IpAddr| {
                !source.is_multicast()
                    && !source.is_unspecified()
                    && group.is_none_or(|group| group.is_ipv4() == source.is_ipv4())
            };
            read_address(reader, value, "the address of a host, of the group's family", is_host)
        });
        let vlan =
            reader.get(table, "vlan").and_then(|(_, value)| read_number(reader, value, 4094));
        if let (Some(interface), Some(group)) = (interface, group) {
            fixed.push(FixedGroup { interface, vlan: vlan.unwrap_or(0) as u16, group, source });
        }
    }
    fixed
}

fn read_name(reader: &mut Reader, table: &DeTable<'_>, item: Value<'_, '_>) -> Option<String> {
    let Some((_, value)) = reader.get(table, "interface") else {
        reader.missing(item.span(), "interface", "a static group", "the name of an interface");
        return None;
    };
    let name = reader.string(value, "the name of an interface")?;
    rule::judge_interface(reader, value.span(), name);
    Some(name.to_owned())
}

fn read_address(
    reader: &mut Reader,
    value: Value<'_, '_>,
    expected: &str,
    is: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let text = reader.string(value, expected)?;
    // IPv4 in mapped form is on no packet of IPv6.
    let address = text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let address = address.filter(|address| is(*address));
    if address.is_none() {
        reader.expected(value.span(), format!("{} does not belong here", quoted(text)), expected);
    }
    address
}

fn read_number(reader: &mut Reader, value: Value<'_, '_>, most: u32) -> Option<u32> {
    let expected = format!("a whole number, 1 to {most}");
    let number = reader.integer(value, &expected)?;
    let fitting = u32::try_from(number).ok().filter(|n| (1..=most).contains(n));
    if fitting.is_none() {
        reader.expected(value.span(), format!("{number} is out of range"), expected);
    }
    fitting
}

fn read_gate(reader: &mut Reader, value: Value<'_, '_>) -> Gate {
    match value.get_ref() {
        DeValue::Boolean(true) => return Gate::All,
        DeValue::Boolean(false) => return Gate::Off,
        DeValue::Array(_) | DeValue::String(_) => {}
        _ => {
            reader.wrong_kind(value, GATE);
            return Gate::Off;
        }
    }
    let items = reader.one_or_more(value);
    if items.is_empty() {
        reader.expected(value.span(), "the list of interfaces is empty", GATE);
    }
    let mut names = BTreeSet::new();
    for item in items {
        let Some(name) = reader.string(item, "the name of an interface") else { continue };
        rule::judge_interface(reader, item.span(), name);
        if !names.insert(name.to_owned()) {
            let message = format!("the interface {} is named twice", quoted(name));
            reader.expected(item.span(), message, "each interface once");
        }
    }
    Gate::Interfaces(names)
}

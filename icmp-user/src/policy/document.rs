//! The text of a policy, or of a profile, as a document: its keys read one by one, whatever is
//! wrong noted and passed over. What only shows when the document is looked at as a whole is
//! `check`'s.

use super::error::{Findings, one_of, quoted};
use super::reader::{Reader, Span, Value};
use super::{CheckMode, Groups, Layer, Profile, Rule, groups, rule, share, syntax};
use icmp_common::abi::{ROUTERS, RULES};
use icmp_common::share::Speed;
use icmp_common::verdict::{BY_RULE, FAULTS, Mode, Reason};
use icmp_common::wire::ipv4;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use toml::de::{DeTable, DeValue};

/// The keys of a policy file.
const KEYS: &[&str] =
    &["profile", "mode", "checks", "limits", "interfaces", "routers", "groups", "zones", "rule"];
/// The keys of a profile.
const PROFILE_KEYS: &[&str] = &["description", "base", "mode", "checks", "rule"];
/// The checks that a rule can name (rows V2 to V8), which are faults too.
pub(super) fn rule_checks() -> impl Iterator<Item = Reason> {
    (0..FAULTS).map(Reason).filter(|fault| BY_RULE & fault.bit() != 0)
}
/// What an enforcement can be set to.
pub(super) const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("observe", Mode::Observe)];

/// A document, with the places that later checks name.
#[derive(Debug)]
pub(super) struct Document {
    /// The profile that a policy starts from, or the one that a profile itself starts from.
    pub profile: Option<Profile>,
    pub description: Option<String>,
    pub mode: Option<Mode>,
    pub checks: Vec<(Reason, CheckMode)>,
    /// How many keys limits can hold at once.
    pub keys: Option<u32>,
    /// The speeds that it gives interfaces.
    pub speeds: BTreeMap<String, Speed>,
    /// The routers whose advertisements are taken.
    pub routers: Vec<IpAddr>,
    /// What it says of groups.
    pub groups: Groups,
    /// Keys of it that come to nothing, with where they stand.
    pub idle_keys: Vec<(&'static str, usize)>,
    pub zones: Vec<WrittenZone>,
    pub rules: Vec<WrittenRule>,
    /// How many rules there are; not more than a table can hold are read.
    pub written_rules: usize,
    pub findings: Findings,
}

/// A zone, with its places.
#[derive(Debug)]
pub(super) struct WrittenZone {
    pub name: String,
    pub prefixes: Vec<(IpNet, Span)>,
}

/// A rule, with its places.
#[derive(Debug)]
pub(super) struct WrittenRule {
    /// The rule, its line and zone still to be filled in.
    pub rule: Rule,
    /// Its header.
    pub span: Span,
    /// Its name, where it has one.
    pub name: Option<Span>,
    /// The name of its zone.
    pub zone: Option<(String, Span)>,
    /// The names of the zones that are exempt from its penalty.
    pub exempt: Vec<(String, Span)>,
    /// Whether nothing in it was wrong, so that it can be compared with others.
    pub sound: bool,
}

/// Reads a document.
pub(super) fn read(text: &str, layer: Layer) -> Document {
    let mut reader = Reader { findings: Findings::default(), layer };
    let text = syntax::repair(text, &mut reader.findings);
    let (root, _) = DeTable::parse_recoverable(&text);
    let root = root.get_ref();

    let mut document = Document {
        profile: None,
        description: None,
        mode: None,
        checks: Vec::new(),
        keys: None,
        speeds: BTreeMap::new(),
        routers: Vec::new(),
        groups: Groups::default(),
        idle_keys: Vec::new(),
        zones: Vec::new(),
        rules: Vec::new(),
        written_rules: 0,
        findings: Findings::default(),
    };
    let operator = reader.is_operator();
    if operator && root.is_empty() && !reader.findings.has_syntax_errors() {
        reader.expected(0..0, "the policy is empty", "at least the line profile = \"host\"");
        document.findings = reader.findings;
        return document;
    }
    let (keys, of) = if operator { (KEYS, "a policy") } else { (PROFILE_KEYS, "a profile") };
    reader.known_keys(root, of, keys, &[]);

    let profiles = Profile::ALL.map(|p| (p.name(), p));
    match reader.get(root, if operator { "profile" } else { "base" }) {
        Some((_, value)) => document.profile = reader.choice(value, "profile", &profiles),
        None if operator => {
            let expected = format!("profile = {}", one_of(Profile::ALL.map(Profile::name)));
            reader.missing(0..0, "profile", "the policy", &expected);
        }
        None => {}
    }
    if let Some((_, value)) = reader.get(root, "description") {
        document.description = reader.string(value, "a sentence").map(str::to_owned);
    }
    if let Some((_, value)) = reader.get(root, "mode") {
        document.mode = reader.choice(value, "mode", MODES);
    }
    if let Some((_, value)) = reader.get(root, "checks")
        && let Some(table) = reader.table(value, "a table: [checks]")
    {
        document.checks = read_checks(&mut reader, table);
    }
    if operator
        && let Some((_, value)) = reader.get(root, "limits")
        && let Some(table) = reader.table(value, "a table: [limits]")
    {
        document.keys = read_keys(&mut reader, table);
    }
    if operator
        && let Some((_, value)) = reader.get(root, "interfaces")
        && let Some(table) = reader.table(value, "a table: [interfaces.eth0]")
    {
        document.speeds = share::read_interfaces(&mut reader, table);
    }
    if operator && let Some((_, value)) = reader.get(root, "routers") {
        document.routers = read_routers(&mut reader, value);
    }
    if operator
        && let Some((_, value)) = reader.get(root, "groups")
        && let Some(table) = reader.table(value, "a table: [groups]")
    {
        document.groups = groups::read(&mut reader, table);
        document.idle_keys = groups::idle_keys(&reader, table, &document.groups);
    }
    if operator
        && let Some((_, value)) = reader.get(root, "zones")
        && let Some(table) = reader.table(value, "a table: [zones]")
    {
        document.zones = read_zones(&mut reader, table);
    }
    if let Some((_, value)) = reader.get(root, "rule") {
        if matches!(value.get_ref(), DeValue::Table(_)) {
            reader.expected(value.span(), "a rule is an item of a list", "[[rule]]");
        }
        let items = reader.one_or_more(value);
        document.written_rules = items.len();
        // More than that are refused by their number, whatever they say.
        for item in items.into_iter().take(RULES) {
            if let Some(table) = reader.table(item, "a table: [[rule]]") {
                document.rules.push(rule::read(&mut reader, table, item.span()));
            }
        }
    }
    document.findings = reader.findings;
    document
}

/// What a router's address looks like.
const ROUTER: &str =
    "the address that a router advertises from: IPv4, or link-local like \"fe80::1\"";

/// The list of routers: of IPv6 they advertise from link-local addresses (RFC 4861 6.1.2).
fn read_routers(reader: &mut Reader, value: Value<'_, '_>) -> Vec<IpAddr> {
    let mut routers = Vec::new();
    let items = reader.one_or_more(value);
    if items.is_empty() {
        reader.expected(value.span(), "the list of routers is empty", ROUTER);
    }
    for item in items {
        let Some(text) = reader.string(item, ROUTER) else { continue };
        let address = text.parse::<IpAddr>().ok().filter(|address| match address {
            IpAddr::V4(v4) => !ipv4::is_not_a_host(u32::from(*v4)),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        });
        let Some(address) = address else {
            let message = format!("{} is no address of a router", quoted(text));
            reader.expected(item.span(), message, ROUTER);
            continue;
        };
        if routers.contains(&address) {
            let message = format!("the router {address} is listed twice");
            reader.expected(item.span(), message, "each router once");
        }
        if routers.len() == ROUTERS {
            let message = format!("more than {ROUTERS} routers");
            reader.expected(item.span(), message, format!("at most {ROUTERS} routers"));
            break;
        }
        routers.push(address);
    }
    routers
}

/// How many keys there is room for at least, and at most: 1 GiB.
const FEWEST_KEYS: u32 = 1 << 10;
const MOST_KEYS: u32 = 1 << 26;

/// `keys` of the table `[limits]`.
fn read_keys(reader: &mut Reader, table: &DeTable<'_>) -> Option<u32> {
    reader.known_keys(table, "[limits]", &["keys"], &[]);
    let expected = format!("a whole number, {FEWEST_KEYS} to {MOST_KEYS}");
    let (_, value) = reader.get(table, "keys")?;
    let number = reader.integer(value, &expected)?;
    let keys = u32::try_from(number).ok().filter(|k| (FEWEST_KEYS..=MOST_KEYS).contains(k));
    if keys.is_none() {
        let message = format!("limits can't hold {number} keys");
        reader.expected(value.span(), message, expected);
    }
    keys
}

fn read_checks(reader: &mut Reader, table: &DeTable<'_>) -> Vec<(Reason, CheckMode)> {
    let faults: Vec<(Reason, &str)> =
        (0..FAULTS).filter_map(|i| Reason(i).entry()).map(|e| (e.reason, e.label)).collect();
    let modes = CheckMode::ALL.map(|m| (m.label(), m));
    let mut checks = Vec::new();
    for (key, value) in table {
        let word = key.get_ref().as_ref();
        let mode = reader.choice(value, "setting", &modes);
        if let Some((fault, _)) = faults.iter().find(|(_, label)| *label == word) {
            checks.extend(mode.map(|m| (*fault, m)));
            continue;
        }
        let labels = faults.iter().map(|(_, label)| *label);
        let expected = one_of(labels.clone());
        let message = match Reason::from_label(word) {
            Some(_) => format!("{} is a reason, but no check", quoted(word)),
            None => format!("unknown check {}", quoted(word)),
        };
        let expected = reader.suggest(word, labels, expected);
        reader.expected(key.span(), message, expected);
    }
    checks
}

fn read_zones(reader: &mut Reader, table: &DeTable<'_>) -> Vec<WrittenZone> {
    let mut zones = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if !rule::is_name(name) {
            let message = format!("{} is no name for a zone", quoted(name));
            reader.expected(key.span(), message, rule::NAME);
        }
        let mut zone = WrittenZone { name: name.to_owned(), prefixes: Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            reader.wrong_kind(value, "a list of prefixes: [\"192.0.2.0/24\", \"2001:db8::/32\"]");
            zones.push(zone);
            continue;
        };
        for item in array {
            if let Some(text) = reader.string(item, PREFIX)
                && let Some(prefix) = read_prefix(reader, text, item.span())
            {
                zone.prefixes.push((prefix, item.span()));
            }
        }
        zones.push(zone);
    }
    zones
}

/// What a prefix looks like.
const PREFIX: &str = "an IPv4 or IPv6 prefix like \"192.0.2.0/24\" or \"2001:db8::/32\", or an \
                      address";

/// A prefix; a bare address is the prefix of that one host.
fn read_prefix(reader: &mut Reader, text: &str, span: Span) -> Option<IpNet> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => match text.parse::<IpNet>() {
            Ok(net) => net,
            Err(_) => {
                let message = format!("{} is not a prefix", quoted(text));
                reader.expected(span, message, PREFIX);
                return None;
            }
        },
    };
    if net.trunc() != net {
        let message = format!("the prefix {} has bits set behind its length", quoted(text));
        let host = IpNet::from(net.addr());
        let meant = format!("\"{}\", or \"{host}\" for that one host", net.trunc());
        reader.expected(span, message, meant);
        return None;
    }
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        // Such an address never stands in a packet; the zone would silently hold nothing.
        let message = format!("{} is an IPv4-mapped prefix, which no packet has", quoted(text));
        reader.expected(span, message, format!("\"{v4}/{}\"", v6.prefix_len() - 96));
        return None;
    }
    Some(net)
}

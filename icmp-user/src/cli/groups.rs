//! `groups`: who is a member of which group, and who asks.

use super::{
    DONE, Global,
    output::{Out, Sink, columns, say},
    status::open,
    watch::blocking,
};
use crate::{
    datapath::{Error, Maps, PinDir, attached_index},
    observe::{GroupState, QuerierState, groups, queriers},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    io::{self, Write},
    net::IpAddr,
    process::ExitCode,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How often changes are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// How long after its last host a group may go, in s: a querier asks some times whether there is another.
const GOES_S: u64 = 10;

/// How often groups without members are cleared away: they aren't honoured in any case.
const SWEEP: Duration = Duration::from_secs(10);

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON; with --watch, a line for each change
    #[arg(long)]
    json: bool,
    /// Show who joins and who leaves, until interrupted
    #[arg(long, conflicts_with = "queriers")]
    watch: bool,
    /// Show those as well that go everywhere on a link, members or none: 224.0.0.0/24 and ff02::/16
    #[arg(long, conflicts_with_all = ["queriers", "watch"])]
    all: bool,
    /// Show who asks on each link, and where other multicast routers are
    #[arg(long)]
    queriers: bool,
}

/// A host that came to be a member of a group, or no longer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Change {
    /// Seconds since 1970.
    time_s: u64,
    /// `join`, or `leave`: it said so, or its time ran out.
    change: &'static str,
    interface: String,
    vlan: Option<u16>,
    inner_vlan: Option<u16>,
    group: IpAddr,
    /// The host; null where it isn't kept apart: then it is the first member of the group, or the last.
    reporter: Option<IpAddr>,
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { change, interface, vlan, inner_vlan, group, reporter, .. } = self;
        write!(f, "{change:5} {interface}")?;
        if vlan.or(*inner_vlan).is_some() {
            write!(f, " vlan {}", vlans(*vlan, *inner_vlan))?;
        }
        write!(f, " {group} {}", or_none(*reporter))
    }
}

/// Shows them.
pub fn run(args: &Args, global: &Global, out: &mut Out) -> anyhow::Result<ExitCode> {
    let pins = global.pins();
    let maps = open(&pins)?;
    if args.watch {
        return watch(&pins, &maps, args.json, out);
    }
    if args.queriers {
        show_queriers(&queriers(&maps)?, args.json, out)?;
    } else {
        let states = groups(&maps)?;
        if args.json {
            out.json(&states)?;
        } else {
            show(states, args.all, out)?;
            if maps.policy_info()?.learns == 0 {
                writeln!(out, "nothing more is learnt: the policy in force says `learn = false`")?;
            }
        }
    }
    Ok(ExitCode::from(DONE))
}

fn show(states: Vec<GroupState>, all: bool, out: &mut dyn Sink) -> io::Result<()> {
    let (shown, left): (Vec<_>, Vec<_>) = states.into_iter().partition(|s| all || !s.for_all);
    if shown.is_empty() {
        writeln!(out, "no group has a member")?;
    } else {
        table(&shown, out)?;
    }
    if !left.is_empty() {
        let count = left.len();
        writeln!(
            out,
            "left out: {count} of 224.0.0.0/24 and ff02::/16, which go everywhere on a link; --all shows them"
        )?;
    }
    Ok(())
}

fn table(states: &[GroupState], out: &mut dyn Sink) -> io::Result<()> {
    let head = [
        "INTERFACE",
        "VLAN",
        "GROUP",
        "MODE",
        "SOURCES",
        "VERSION",
        "REPORTERS",
        "SINCE",
        "EXPIRES",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(states.iter().map(|s| {
        [
            s.interface.clone(),
            vlans(s.vlan, s.inner_vlan),
            s.group.to_string(),
            s.mode.to_owned(),
            list(&s.sources),
            s.version.to_string(),
            list(&s.reporters),
            format!("{:.0} s", s.since_s),
            format!("{:.1} s", s.expires_s),
        ]
    }));
    let right = [false, true, false, false, false, true, false, true, true];
    columns(out, right, &rows)
}

fn show_queriers(states: &[QuerierState], json: bool, out: &mut Out) -> anyhow::Result<()> {
    if json {
        return Ok(out.json(&states)?);
    }
    if states.is_empty() {
        return Ok(writeln!(out, "nobody has asked")?);
    }
    let head = ["INTERFACE", "VLAN", "PROTOCOL", "QUERIER", "VERSION", "EXPIRES", "OTHER ROUTER"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(states.iter().map(|s| {
        let querier = match (s.querier, s.expires_s) {
            (_, None) => "-".to_owned(),
            (None, Some(_)) => "without address".to_owned(),
            (Some(querier), _) if s.own => format!("{querier} (this machine)"),
            (Some(querier), _) => querier.to_string(),
        };
        [
            s.interface.clone(),
            vlans(s.vlan, s.inner_vlan),
            s.protocol.to_owned(),
            querier,
            or_none(s.version),
            s.expires_s.map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s")),
            if s.other_router { "yes" } else { "no" }.to_owned(),
        ]
    }));
    Ok(columns(out, [false, true, false, false, true, true, false], &rows)?)
}

fn vlans(outer: Option<u16>, inner: Option<u16>) -> String {
    match inner {
        Some(inner) => format!("{}.{inner}", outer.unwrap_or(0)),
        None => or_none(outer),
    }
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "-".to_owned();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// Clears away the groups that have no member any more, and those of interfaces that went away, until the task is
/// dropped. What keeps it from that is said once.
pub async fn sweep(pins: PinDir) {
    let mut said = false;
    loop {
        tokio::time::sleep(SWEEP).await;
        let pins = pins.clone();
        let swept = blocking(move || {
            let mut maps = Maps::open(&pins)?;
            for (id, name, _) in maps.interfaces()? {
                if attached_index(&pins, &name) == Some(0) {
                    maps.forget_members(id)?;
                }
            }
            let secret = maps.policy_info()?.secret;
            maps.groups_mut().sweep(secret)
        });
        match swept.await {
            // Detached by another command: there is nothing to sweep.
            Ok(_) | Err(Error::NoInstance { .. }) => said = false,
            Err(error) if !said => {
                say(format_args!("groups without members keep their places for now: {error}"));
                said = true;
            }
            Err(_) => {}
        }
    }
}

/// Says what changes, until the reader has seen enough. Who joins and leaves again between two looks isn't seen, but
/// counted in the group's `joins` and `leaves`.
fn watch(pins: &PinDir, maps: &Maps, json: bool, out: &mut Out) -> anyhow::Result<ExitCode> {
    let mut before = members(&groups(maps)?);
    let mut left = BTreeMap::new();
    say(format_args!("watching who joins and who leaves, until interrupted"));
    loop {
        sleep(LOOK);
        // The maps are still there for who has them open, though nothing is attached any more.
        pins.require()?;
        let now = members(&groups(maps)?);
        let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        for change in changes(&before, &now, &mut left, time_s) {
            if json {
                serde_json::to_writer(&mut *out, &change)?;
                writeln!(out)?;
            } else {
                let time =
                    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time_s));
                writeln!(out, "{time} {change}")?;
            }
        }
        out.flush()?;
        before = now;
    }
}

/// A group on a link.
type Place = (String, Option<u16>, Option<u16>, IpAddr);

/// Who is a member of what.
fn members(states: &[GroupState]) -> BTreeMap<Place, Vec<IpAddr>> {
    let place = |s: &GroupState| (s.interface.clone(), s.vlan, s.inner_vlan, s.group);
    states.iter().map(|s| (place(s), s.reporters.clone())).collect()
}

/// What changed. `left` are the groups whose last host is told to have left already, and when: they go a moment later,
/// once nobody answers a query, which is no other leave. One that is there for longer has members that aren't kept apart.
fn changes(
    before: &BTreeMap<Place, Vec<IpAddr>>,
    now: &BTreeMap<Place, Vec<IpAddr>>,
    left: &mut BTreeMap<Place, u64>,
    time_s: u64,
) -> Vec<Change> {
    let is_empty = |place: &Place| before.get(place).is_some_and(Vec::is_empty);
    left.retain(|place, told_s| is_empty(place) && time_s.saturating_sub(*told_s) <= GOES_S);
    let more = |change, from: &BTreeMap<Place, Vec<IpAddr>>, to: &BTreeMap<Place, Vec<IpAddr>>| {
        let mut found = Vec::new();
        for (place, reporters) in to {
            let known = from.get(place);
            let (interface, vlan, inner_vlan, group) = place.clone();
            let one = |reporter| Change {
                time_s,
                change,
                interface: interface.clone(),
                vlan,
                inner_vlan,
                group,
                reporter,
            };
            let is_new = |r: &&IpAddr| !known.is_some_and(|known| known.contains(r));
            found.extend(reporters.iter().filter(is_new).map(|r| one(Some(*r))));
            if known.is_none() && reporters.is_empty() && !left.contains_key(place) {
                found.push(one(None));
            }
        }
        found
    };
    let mut all = more("leave", now, before);
    all.extend(more("join", before, now));
    let has_host = |place: &Place| before.get(place).is_some_and(|hosts| !hosts.is_empty());
    let lost = now.iter().filter(|(place, hosts)| hosts.is_empty() && has_host(place));
    left.extend(lost.map(|(place, _)| (place.clone(), time_s)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_and_who_goes_is_told_once() {
        let group: IpAddr = "239.1.1.1".parse().expect("an address");
        let host = |n: u8| IpAddr::from([10, 0, 0, n]);
        let table = |rows: &[(&str, &[u8])]| -> BTreeMap<Place, Vec<IpAddr>> {
            let row = |(name, hosts): &(&str, &[u8])| {
                let hosts = hosts.iter().map(|n| host(*n)).collect();
                (((*name).to_owned(), None, None, group), hosts)
            };
            rows.iter().map(row).collect()
        };
        let told = |before: &[(&str, &[u8])], now: &[(&str, &[u8])]| -> Vec<String> {
            let changes = changes(&table(before), &table(now), &mut BTreeMap::new(), 1);
            changes
                .iter()
                .map(|c| format!("{} {} {}", c.change, c.interface, or_none(c.reporter)))
                .collect()
        };
        assert!(told(&[("a", &[1])], &[("a", &[1])]).is_empty());
        assert_eq!(told(&[], &[("a", &[1, 2])]), ["join a 10.0.0.1", "join a 10.0.0.2"]);
        assert_eq!(
            told(&[("a", &[1, 2])], &[("a", &[2, 3])]),
            ["leave a 10.0.0.1", "join a 10.0.0.3"]
        );
        assert_eq!(told(&[("a", &[1])], &[("b", &[1])]), ["leave a 10.0.0.1", "join b 10.0.0.1"]);
        assert_eq!(told(&[], &[("a", &[])]), ["join a -"]);
        assert_eq!(told(&[("a", &[])], &[]), ["leave a -"]);
    }

    /// A host leaves, and its group a moment later, when nobody has answered the query.
    #[test]
    fn a_leave_is_told_once() {
        let place: Place = ("a".to_owned(), None, None, IpAddr::from([239, 1, 1, 1]));
        let with = |hosts: &[u8]| {
            let hosts = hosts.iter().map(|n| IpAddr::from([10, 0, 0, *n])).collect();
            BTreeMap::from([(place.clone(), hosts)])
        };
        let mut left = BTreeMap::new();
        let mut time_s = 1;
        let mut told = |before: &_, now: &_| -> Vec<String> {
            time_s += 4;
            let changes = changes(before, now, &mut left, time_s);
            changes.iter().map(ToString::to_string).collect()
        };
        let (one, nobody, gone) = (with(&[1]), with(&[]), BTreeMap::new());
        assert_eq!(told(&one, &nobody), ["leave a 239.1.1.1 10.0.0.1"]);
        assert!(told(&nobody, &nobody).is_empty() && told(&nobody, &gone).is_empty());
        // Who isn't kept apart is told, also of a group that had others.
        assert_eq!(told(&gone, &nobody), ["join  a 239.1.1.1 -"]);
        assert_eq!(told(&nobody, &gone), ["leave a 239.1.1.1 -"]);
        // Others that aren't kept apart were there all the time.
        assert_eq!(told(&one, &nobody), ["leave a 239.1.1.1 10.0.0.1"]);
        assert!((0..3).all(|_| told(&nobody, &nobody).is_empty()));
        assert_eq!(told(&nobody, &gone), ["leave a 239.1.1.1 -"]);
        // Who comes back leaves again.
        assert_eq!(told(&one, &nobody).len() + told(&nobody, &one).len(), 2);
        assert_eq!(told(&one, &gone), ["leave a 239.1.1.1 10.0.0.1"]);
    }

    /// As the table has it.
    #[test]
    fn a_change_names_both_vlans() {
        let group: IpAddr = "239.1.1.1".parse().expect("an address");
        let told = |vlan, inner_vlan| -> Vec<String> {
            let place = ("a".to_owned(), vlan, inner_vlan, group);
            let now = BTreeMap::from([(place, vec![IpAddr::from([10, 0, 0, 1])])]);
            changes(&BTreeMap::new(), &now, &mut BTreeMap::new(), 1)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(told(None, None), ["join  a 239.1.1.1 10.0.0.1"]);
        assert_eq!(told(Some(7), None), ["join  a vlan 7 239.1.1.1 10.0.0.1"]);
        assert_eq!(told(Some(7), Some(9)), ["join  a vlan 7.9 239.1.1.1 10.0.0.1"]);
        assert_eq!(told(None, Some(9)), ["join  a vlan 0.9 239.1.1.1 10.0.0.1"]);
    }

    #[test]
    fn what_goes_everywhere_is_left_out_of_the_table_and_counted() {
        let state = |group: &str, for_all| GroupState {
            interface: "a".to_owned(),
            vlan: None,
            inner_vlan: None,
            group: group.parse().expect("an address"),
            for_all,
            mode: "exclude",
            sources: Vec::new(),
            version: 3,
            expires_s: 1.0,
            since_s: 1.0,
            heard_s: 1.0,
            reporters: Vec::new(),
            joins: 1,
            leaves: 0,
        };
        let shown = |states: &[GroupState], all| {
            let mut text = Vec::new();
            show(states.to_vec(), all, &mut text).expect("memory");
            String::from_utf8(text).expect("text")
        };
        let (own, link) = (state("239.1.1.1", false), state("224.0.0.251", true));
        let some = shown(&[own.clone(), link.clone()], false);
        assert!(some.contains("239.1.1.1") && !some.contains("224.0.0.251"), "{some}");
        assert!(some.contains("\nleft out: 1 of "), "{some}");
        let every = shown(&[own.clone(), link.clone()], true);
        assert!(every.contains("224.0.0.251") && !every.contains("left out"), "{every}");
        assert!(!shown(&[own], false).contains("left out"));
        let none = shown(&[link], false);
        assert!(none.starts_with("no group has a member\nleft out: 1 of "), "{none}");
    }
}

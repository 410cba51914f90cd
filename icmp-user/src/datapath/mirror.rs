//! The kernel's neighbour and routing tables, read by rtnetlink and put into the form in which the
//! program asks them whether a source can be who it says.

use super::{Error, address::listen};
use futures_util::TryStreamExt as _;
use icmp_common::{
    mirror::{HOPS, Hop, NEIGHBOURS, NeighbourKey, ROUTES, Route, hardware, hop},
    wire::ipv6::Address,
};
use ipnet::IpNet;
use rtnetlink::{
    MulticastGroup, RouteMessageBuilder,
    packet_route::{
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType,
            RouteVia,
        },
    },
};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use tokio::sync::mpsc;

/// The main table.
const MAIN: u32 = RouteHeader::RT_TABLE_MAIN as u32;
/// How many lines of routes are read. Several of one prefix are one route.
const MOST_LINES: usize = 4 * ROUTES;

/// What the kernel says of those around this machine, in this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Neighbours whose hardware address is known.
    pub neighbours: Vec<Neighbour>,
    /// The routes of the main table.
    pub routes: Vec<RouteLine>,
}

/// A neighbour whose hardware address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// The index of the interface.
    pub interface: u32,
    /// Its hardware address.
    pub hardware: [u8; 6],
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLine {
    /// Where it leads.
    pub prefix: IpNet,
    /// The lesser is taken.
    pub metric: u32,
    /// Its next hops: the index of the interface, and the gateway where there is one. None for a
    /// route that leads nowhere.
    pub hops: Vec<(u32, Option<IpAddr>)>,
}

/// The same as the maps hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Hardware addresses of neighbours.
    pub neighbours: HashMap<NeighbourKey, u64>,
    /// Routes by the length of their prefix and its octets, IPv4 in mapped form.
    pub routes: HashMap<(u8, [u8; 16]), Route>,
}

/// Why tables can't be mirrored: they are too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// How many neighbours there are on the interfaces.
    pub neighbours: usize,
    /// How many routes.
    pub routes: usize,
}

/// Which version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 4.
    V4,
    /// 6.
    V6,
}

/// The versions of IP that one of these interfaces, by name, doesn't forward: there the program asks the mirror. Where
/// the kernel doesn't say, as where it knows no IPv6, it needn't.
#[must_use]
pub fn unforwarded(interfaces: &[String]) -> Vec<Version> {
    let is_host = |version: &str, name: &String| {
        let path = format!("/proc/sys/net/{version}/conf/{name}/forwarding");
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "0")
    };
    [("ipv4", Version::V4), ("ipv6", Version::V6)]
        .into_iter()
        .filter(|(version, _)| interfaces.iter().any(|name| is_host(version, name)))
        .map(|(_, version)| version)
        .collect()
}

/// Asks the kernel for those of these versions of IP. Of routes, no more are read than tell that there is no room for
/// them.
///
/// # Errors
/// Where the kernel can't be asked.
pub async fn tables(versions: &[Version]) -> Result<Tables, Error> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(Error::io("opening a netlink socket"))?;
    let task = tokio::spawn(connection);
    let mut found = Tables::default();
    let mut neighbours = handle.neighbours().get().execute();
    while let Some(neighbour) = neighbours.try_next().await? {
        let neighbour = neighbour_of(&neighbour);
        let is_of = |n: &Neighbour| {
            versions.contains(if n.address.is_ipv4() { &Version::V4 } else { &Version::V6 })
        };
        found.neighbours.extend(neighbour.filter(is_of));
    }
    for version in versions {
        let query = match version {
            Version::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            Version::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let mut routes = handle.route().get(query).execute();
        while let Some(route) = routes.try_next().await? {
            found.routes.extend(route_of(&route));
            if found.routes.len() > MOST_LINES {
                break;
            }
        }
    }
    task.abort();
    Ok(found)
}

/// Says when these tables may have changed, as [`super::watch_addresses`] does.
///
/// # Errors
/// Where the kernel can't be listened to.
pub fn watch() -> Result<mpsc::Receiver<()>, Error> {
    listen(&[MulticastGroup::Neigh, MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route])
}

fn neighbour_of(message: &NeighbourMessage) -> Option<Neighbour> {
    let valid = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
    );
    let address = message.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })?;
    let hardware = message.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::LinkLayerAddress(octets) => octets.as_slice().try_into().ok(),
        _ => None,
    })?;
    valid.then_some(Neighbour { address, interface: message.header.ifindex, hardware })
}

fn route_of(route: &RouteMessage) -> Option<RouteLine> {
    // What redirects and path MTU discovery taught the kernel comes along: it is no route, and strangers can make
    // many of them.
    if route.header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let table = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    if table.unwrap_or(route.header.table.into()) != MAIN {
        return None;
    }
    let of = |attributes: &[RouteAttribute]| {
        let interface = attributes.iter().find_map(|a| match a {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        let gateway = attributes.iter().find_map(|a| match a {
            RouteAttribute::Gateway(RouteAddress::Inet(v4))
            | RouteAttribute::Via(RouteVia::Inet(v4)) => Some(IpAddr::V4(*v4)),
            RouteAttribute::Gateway(RouteAddress::Inet6(v6))
            | RouteAttribute::Via(RouteVia::Inet6(v6)) => Some(IpAddr::V6(*v6)),
            _ => None,
        });
        (interface, gateway)
    };
    let (mut destination, mut metric, mut hops) = (None, 0, Vec::new());
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => {
                destination = Some(IpAddr::V4(*v4));
            }
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => {
                destination = Some(IpAddr::V6(*v6));
            }
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::MultiPath(several) => {
                hops.extend(several.iter().map(|h| (h.interface_index, of(&h.attributes).1)));
            }
            _ => {}
        }
    }
    if let (Some(interface), gateway) = of(&route.attributes) {
        hops.push((interface, gateway));
    }
    // Blackholes and the like lead nowhere, and still hide shorter prefixes.
    if route.header.kind != RouteType::Unicast {
        hops.clear();
    }
    // A default route has no destination.
    let unspecified = match route.header.address_family {
        rtnetlink::packet_route::AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        rtnetlink::packet_route::AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let destination = destination.unwrap_or(unspecified);
    let prefix = IpNet::new(destination, route.header.destination_prefix_length).ok()?;
    Some(RouteLine { prefix, metric, hops })
}

impl Tables {
    /// As the maps hold them. `interfaces` are those of the instance: stable index and index.
    ///
    /// # Errors
    /// [`TooLarge`] where they don't fit. A part of a table would be worse than none: the longest
    /// prefix might be missing.
    pub fn entries(&self, interfaces: &[(u32, u32)]) -> Result<Entries, TooLarge> {
        let stable = |index: u32| interfaces.iter().find(|(_, i)| *i == index).map(|(id, _)| *id);
        let mut entries = Entries::default();
        let mut known: HashMap<(u32, IpAddr), u64> = HashMap::new();
        for neighbour in &self.neighbours {
            let number = hardware(neighbour.hardware);
            known.insert((neighbour.interface, neighbour.address), number);
            if let Some(id) = stable(neighbour.interface) {
                let key = NeighbourKey {
                    address: Address::from(neighbour.address).0,
                    interface: id.into(),
                };
                entries.neighbours.insert(key, number);
            }
        }
        let mut lines: Vec<&RouteLine> = self.routes.iter().collect();
        lines.sort_by_key(|line| line.metric);
        let mut metrics: HashMap<(u8, [u8; 16]), u32> = HashMap::new();
        for line in lines {
            let v4 = line.prefix.addr().is_ipv4();
            let bits = line.prefix.prefix_len() + if v4 { 96 } else { 0 };
            let key = (bits, Address::from(line.prefix.network()).octets());
            // Several of one metric are taken in turn.
            if *metrics.entry(key).or_insert(line.metric) != line.metric {
                continue;
            }
            let version = if v4 { 4 } else { 6 };
            let route = entries.routes.entry(key).or_insert(Route { version, ..Route::default() });
            let hops = line.hops.iter().filter_map(|(index, gateway)| {
                let kind = if gateway.is_some() { hop::GATEWAY } else { hop::DIRECT };
                let hardware =
                    gateway.and_then(|g| known.get(&(*index, g)).copied()).unwrap_or_default();
                let gateway = gateway.map_or([0; 2], |g| Address::from(g).0);
                Some(Hop { hardware, interface: stable(*index)?, kind, gateway })
            });
            // A source behind a hop that doesn't fit isn't boxed.
            let free = route.hops.iter_mut().filter(|h| h.kind == hop::NONE);
            free.zip(hops).for_each(|(slot, hop)| *slot = hop);
            debug_assert!(route.hops.len() == HOPS);
        }
        let (neighbours, routes) = (entries.neighbours.len(), entries.routes.len());
        if neighbours > NEIGHBOURS || routes > ROUTES || self.routes.len() > MOST_LINES {
            return Err(TooLarge { neighbours, routes });
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn line(prefix: &str, metric: u32, hops: &[(u32, Option<&str>)]) -> RouteLine {
        let hops = hops.iter().map(|(i, g)| (*i, g.map(|g| g.parse().unwrap()))).collect();
        RouteLine { prefix: prefix.parse().unwrap(), metric, hops }
    }

    fn neighbour(address: &str, interface: u32, hardware: [u8; 6]) -> Neighbour {
        Neighbour { address: address.parse().unwrap(), interface, hardware }
    }

    fn route(entries: &Entries, bits: u8, network: &str) -> Route {
        entries.routes[&(bits, Address::from(network.parse::<IpAddr>().unwrap()).octets())]
    }

    /// An instance on the interfaces 7 and 9, which it calls 0 and 1.
    const INTERFACES: &[(u32, u32)] = &[(0, 7), (1, 9)];

    #[test]
    fn routes_have_the_hardware_of_their_gateways_and_shadow_each_other() {
        let tables = Tables {
            neighbours: vec![
                neighbour("10.0.0.1", 7, MAC),
                neighbour("fe80::1", 9, MAC),
                // The same address on an interface that isn't the instance's.
                neighbour("10.0.0.1", 8, [9; 6]),
            ],
            routes: vec![
                line("0.0.0.0/0", 200, &[(9, Some("10.9.0.1"))]),
                line("0.0.0.0/0", 100, &[(7, Some("10.0.0.1"))]),
                line("10.0.0.0/24", 0, &[(7, None)]),
                line("192.0.2.0/24", 0, &[]),
                line("198.51.100.0/24", 0, &[(8, Some("10.0.0.1"))]),
                line("::/0", 1024, &[(9, Some("fe80::1"))]),
                line("::/0", 1024, &[(7, Some("fe80::2"))]),
            ],
        };
        let entries = tables.entries(INTERFACES).unwrap();
        let gateway = |interface, hardware, address: &str| {
            let gateway = Address::from(address.parse::<IpAddr>().unwrap()).0;
            Hop { hardware, interface, kind: hop::GATEWAY, gateway }
        };
        let known = hardware(MAC);
        // The lesser metric alone; where both are the same, both.
        let default = route(&entries, 96, "::ffff:0.0.0.0");
        assert_eq!((default.version, default.hops[0]), (4, gateway(0, known, "10.0.0.1")));
        assert_eq!(default.hops[1], Hop::default());
        let default = route(&entries, 0, "::");
        assert_eq!(default.version, 6);
        assert_eq!(
            default.hops[..3],
            [gateway(1, known, "fe80::1"), gateway(0, 0, "fe80::2"), Hop::default()]
        );
        let link = route(&entries, 120, "::ffff:10.0.0.0");
        assert_eq!(link.hops[0], Hop { kind: hop::DIRECT, ..Hop::default() });
        // What leads nowhere, or elsewhere, is there and has no hop.
        for network in ["::ffff:192.0.2.0", "::ffff:198.51.100.0"] {
            assert_eq!(route(&entries, 120, network).hops, [Hop::default(); HOPS], "{network}");
        }
        assert_eq!(entries.neighbours.len(), 2);
        let key = NeighbourKey { address: Address::mapped(0x0a00_0001).0, interface: 0 };
        assert_eq!(entries.neighbours[&key], known);
    }

    #[test]
    fn a_route_of_more_hops_than_fit_keeps_the_first() {
        let hops: Vec<(u32, Option<&str>)> = vec![(7, Some("10.0.0.1")); HOPS + 1];
        let tables = Tables { neighbours: vec![], routes: vec![line("0.0.0.0/0", 0, &hops)] };
        let entries = tables.entries(INTERFACES).unwrap();
        assert!(route(&entries, 96, "::ffff:0.0.0.0").hops.iter().all(|h| h.kind != hop::NONE));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused_whole() {
        let many = |n: usize| Tables {
            neighbours: vec![],
            routes: (0..n as u32)
                .map(|i| RouteLine {
                    prefix: IpNet::new(Ipv4Addr::from(i << 8).into(), 24).unwrap(),
                    metric: 0,
                    hops: vec![],
                })
                .collect(),
        };
        assert!(many(ROUTES).entries(INTERFACES).is_ok());
        let refused = many(ROUTES + 1).entries(INTERFACES);
        assert_eq!(refused, Err(TooLarge { neighbours: 0, routes: ROUTES + 1 }));
    }
}

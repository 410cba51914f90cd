//! What the routing tables say of addresses: which are this machine's, which they call a broadcast,
//! which are gateways, and which IPv6 networks this machine is on; and when that, or what interfaces
//! answer from, may have changed.

use super::{Endpoint, Error, endpoint::endpoints};
use futures_util::{StreamExt as _, TryStreamExt as _};
use icmp_common::abi::local;
use icmp_common::wire::ipv6::Address;
use ipnet::Ipv6Net;
use rtnetlink::{
    MulticastGroup, RouteMessageBuilder, new_multicast_connection,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::sync::mpsc;

/// An address and what it is to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddress {
    /// Its octets; IPv4 in mapped form.
    pub octets: [u8; 16],
    /// One of [`local`].
    pub kind: u32,
}

impl LocalAddress {
    /// An address of this kind.
    #[must_use]
    pub fn new(address: IpAddr, kind: u32) -> Self {
        Self { octets: Address::from(address).octets(), kind }
    }
}

/// What is known of addresses, in this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Local addresses, broadcasts and gateways, sorted. An address that is several of these is the
    /// first.
    pub addresses: Vec<LocalAddress>,
    /// The IPv6 networks that this machine is on, the longest prefix first. Link-local ones aren't
    /// among them.
    pub on_link: Vec<Ipv6Net>,
    /// What each interface answers from.
    pub endpoints: Vec<Endpoint>,
}

/// Asks the kernel.
///
/// # Errors
/// Where the kernel can't be asked.
pub async fn surroundings() -> Result<Surroundings, Error> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(Error::io("opening a netlink socket"))?;
    let task = tokio::spawn(connection);
    let mut found = Surroundings::default();
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    for query in [v4, v6] {
        let mut routes = handle.route().get(query).execute();
        while let Some(route) = routes.try_next().await? {
            found.addresses.extend(local_of(&route));
            found.addresses.extend(gateways_of(&route));
            found.on_link.extend(network_of(&route));
        }
    }
    found.endpoints = endpoints(&handle).await?;
    task.abort();
    found.addresses.sort_unstable();
    found.addresses.dedup_by_key(|a| a.octets);
    found.on_link.sort_unstable_by_key(|net| (u8::MAX - net.prefix_len(), *net));
    found.on_link.dedup();
    Ok(found)
}

fn local_of(route: &RouteMessage) -> Option<LocalAddress> {
    let kind = match route.header.kind {
        RouteType::Local | RouteType::Anycast => local::UNICAST,
        RouteType::Broadcast => local::BROADCAST,
        _ => return None,
    };
    let destination = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(RouteAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })?;
    // 127.0.0.0/8 is local as a whole, and never arrives.
    let whole = if destination.is_ipv4() { 32 } else { 128 };
    (route.header.destination_prefix_length == whole).then(|| LocalAddress::new(destination, kind))
}

/// The gateways of a route, those of several next hops included.
fn gateways_of(route: &RouteMessage) -> Vec<LocalAddress> {
    let hop = |attribute: &RouteAttribute| {
        let address = match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(v4)) => IpAddr::V4(*v4),
            RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => IpAddr::V6(*v6),
            // An IPv4 route through an IPv6 gateway (RFC 5549).
            RouteAttribute::Via(RouteVia::Inet6(v6)) => IpAddr::V6(*v6),
            RouteAttribute::Via(RouteVia::Inet(v4)) => IpAddr::V4(*v4),
            _ => return None,
        };
        Some(LocalAddress::new(address, local::GATEWAY))
    };
    let of_all = |attributes: &[RouteAttribute]| -> Vec<LocalAddress> {
        attributes.iter().filter_map(hop).collect()
    };
    let mut found = of_all(&route.attributes);
    for attribute in &route.attributes {
        if let RouteAttribute::MultiPath(hops) = attribute {
            found.extend(hops.iter().flat_map(|h| of_all(&h.attributes)));
        }
    }
    found
}

/// The IPv6 network of a route that has no gateway: its hosts are neighbours.
fn network_of(route: &RouteMessage) -> Option<Ipv6Net> {
    if route.header.kind != RouteType::Unicast || !gateways_of(route).is_empty() {
        return None;
    }
    let destination = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some(*v6),
        _ => None,
    })?;
    // fe80::/10 is known without being told, and a default route on a link (a tunnel) makes nobody
    // a neighbour.
    let length = route.header.destination_prefix_length;
    (length > 0 && destination.segments()[0] & 0xffc0 != 0xfe80)
        .then(|| Ipv6Net::new(destination, length).ok())?
}

/// Says when addresses, or what interfaces answer from, may have changed: one message for any number of changes since the last one
/// was taken. Ends when the receiver does.
///
/// # Errors
/// Where the kernel can't be listened to.
pub fn watch() -> Result<mpsc::Receiver<()>, Error> {
    listen(&[
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        // Link-layer address, MTU and offloads.
        MulticastGroup::Link,
    ])
}

/// Says when something of these groups changed, likewise.
pub(super) fn listen(groups: &[MulticastGroup]) -> Result<mpsc::Receiver<()>, Error> {
    let (connection, _, mut messages) = new_multicast_connection(groups)
        .map_err(Error::io("listening to changes of routes and interfaces"))?;
    tokio::spawn(connection);
    let (changed, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while messages.next().await.is_some() {
            match changed.try_send(()) {
                Err(mpsc::error::TrySendError::Closed(())) => break,
                // Already told, and not yet looked at.
                Ok(()) | Err(mpsc::error::TrySendError::Full(())) => {}
            }
        }
    });
    Ok(receiver)
}

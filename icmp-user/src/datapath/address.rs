//! The addresses that are this machine's, from its routing tables: what the table *local* says is
//! local, and what it calls a broadcast.

use super::Error;
use futures_util::{StreamExt as _, TryStreamExt as _};
use icmp_common::abi::local;
use rtnetlink::{
    MulticastGroup, RouteMessageBuilder, new_multicast_connection,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
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
    fn new(address: IpAddr, kind: u32) -> Self {
        let v6 = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { octets: v6.octets(), kind }
    }
}

/// Every local address of this network namespace, sorted.
///
/// # Errors
/// Where the kernel can't be asked.
pub async fn local_addresses() -> Result<Vec<LocalAddress>, Error> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(Error::io("opening a netlink socket"))?;
    let task = tokio::spawn(connection);
    let mut found = Vec::new();
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    for query in [v4, v6] {
        let mut routes = handle.route().get(query).execute();
        while let Some(route) = routes.try_next().await? {
            found.extend(of_route(&route));
        }
    }
    task.abort();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn of_route(route: &RouteMessage) -> Option<LocalAddress> {
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

/// Says when addresses may have changed: one message for any number of changes since the last one
/// was taken. Ends when the receiver does.
///
/// # Errors
/// Where the kernel can't be listened to.
pub fn watch() -> Result<mpsc::Receiver<()>, Error> {
    let (connection, _, mut messages) =
        new_multicast_connection(&[MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route])
            .map_err(Error::io("listening to routing changes"))?;
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

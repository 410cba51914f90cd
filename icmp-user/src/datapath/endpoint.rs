//! What each interface answers from: its addresses of both layers, its MTU, and whether the program
//! sees the VLAN of a frame; and its speed, which limits can be a share of.

use super::{Error, Interface};
use futures_util::TryStreamExt as _;
use icmp_common::abi::{self, EndpointV4, endpoint_flag};
use icmp_common::share::Speed;
use icmp_common::wire::ipv6::Address;
use ipnet::{IpNet, Ipv4Net};
use rtnetlink::{
    Handle,
    packet_route::address::{AddressAttribute, AddressFlags, AddressMessage},
};
use std::net::{IpAddr, Ipv6Addr};

/// An interface, as what the hook answers from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its link-layer address; `None` where an answer may come from any, as in a private copy.
    pub hardware: Option<[u8; 6]>,
    /// The longest packet that it sends, in octets; 0 where that isn't known.
    pub mtu: u32,
    /// Whether the driver takes VLAN tags off frames, or doesn't say: then nothing is answered.
    pub vlan_unknown: bool,
    /// Its speed, as its driver has it.
    pub speed: Speed,
    /// Its addresses with their networks, those that it prefers first.
    pub addresses: Vec<IpNet>,
}

impl Endpoint {
    /// An interface that could be any of these: what a private copy answers from that stands for none.
    #[must_use]
    pub fn of_any(endpoints: &[Self]) -> Self {
        let addresses = endpoints.iter().flat_map(|e| e.addresses.iter().copied()).collect();
        Self { addresses, ..Self::default() }
    }

    /// As the map has it; of more addresses than it holds, the first. `tai_offset_s` is that of
    /// [`tai_offset`], and `speed` the one by which shares go, which may be the policy's.
    #[must_use]
    pub fn value(&self, tai_offset_s: i32, speed: Speed) -> abi::Endpoint {
        let octet_cost = speed.octet_cost();
        let mut value =
            abi::Endpoint { mtu: self.mtu, tai_offset_s, octet_cost, ..Default::default() };
        if self.vlan_unknown {
            value.flags |= endpoint_flag::VLAN_UNKNOWN;
        }
        match self.hardware {
            Some(hardware) => value.hardware = hardware,
            None => value.flags |= endpoint_flag::ANY_HARDWARE,
        }
        let fours = self.addresses.iter().filter_map(|net| match net {
            IpNet::V4(net) => Some(net),
            IpNet::V6(_) => None,
        });
        for (entry, net) in value.v4.iter_mut().zip(fours) {
            *entry = entry_v4(net);
        }
        let sixes = || {
            self.addresses.iter().filter_map(|net| match net {
                IpNet::V4(_) => None,
                IpNet::V6(net) => Some(net.addr()),
            })
        };
        let words = |address: Ipv6Addr| Address::new(address.octets()).0;
        value.link_local = sixes().find(|a| a.is_unicast_link_local()).map_or([0; 2], words);
        let others = sixes().filter(|a| !a.is_unicast_link_local());
        for (entry, address) in value.v6.iter_mut().zip(others) {
            *entry = words(address);
        }
        value
    }
}

fn entry_v4(net: &Ipv4Net) -> EndpointV4 {
    EndpointV4 { address: u32::from(net.addr()).to_be(), mask: u32::from(net.netmask()).to_be() }
}

/// How far CLOCK_TAI is ahead of UTC, in seconds: 0 where nobody has told the kernel, which keeps the
/// two together then.
#[must_use]
pub fn tai_offset() -> i32 {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes the structure, which lives through the call; where it doesn't, it
        // stays zero.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    let ahead = read(libc::CLOCK_TAI) - read(libc::CLOCK_REALTIME);
    // The two are read one after the other.
    i32::try_from((ahead + 500_000_000).div_euclid(1_000_000_000)).unwrap_or(0)
}

/// What every interface of this network namespace that has Ethernet frames answers from.
pub(super) async fn endpoints(handle: &Handle) -> Result<Vec<Endpoint>, Error> {
    let interfaces = super::interfaces().await?.into_iter();
    let mut found: Vec<Endpoint> = interfaces.filter(|i| i.ethernet).map(of).collect();
    let mut messages = handle.address().get().execute();
    while let Some(message) = messages.try_next().await? {
        let of = found.iter_mut().find(|endpoint| endpoint.index == message.header.index);
        if let (Some(endpoint), Some(net)) = (of, answers_from(&message)) {
            endpoint.addresses.push(net);
        }
    }
    Ok(found)
}

fn of(interface: Interface) -> Endpoint {
    Endpoint {
        // Where the driver doesn't say, it may.
        vlan_unknown: interface.strips_vlan_tags() != Some(false),
        speed: interface.speed(),
        hardware: Some(interface.hardware),
        mtu: interface.mtu,
        index: interface.index,
        name: interface.name,
        addresses: Vec::new(),
    }
}

/// The address of a message, if the kernel would choose it to send from: of IPv4 no secondary one, of
/// IPv6 none that is tentative, a duplicate, deprecated or temporary (RFC 6724 5, rule 3; the last as
/// use_tempaddr has it unless it is set).
fn answers_from(message: &AddressMessage) -> Option<IpNet> {
    let mut own = None;
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    let mut local = None;
    for attribute in &message.attributes {
        match attribute {
            // Of a point-to-point link, IFA_ADDRESS is the other end.
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => own = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let address: IpAddr = local.or(own)?;
    // Of IPv6, the same bit as that of secondary addresses says temporary.
    let never = AddressFlags::Secondary
        | AddressFlags::Tentative
        | AddressFlags::Dadfailed
        | AddressFlags::Deprecated;
    if flags.intersects(never) {
        return None;
    }
    IpNet::new(address, message.header.prefix_len).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_addresses_by_kind_and_no_more_than_fit() {
        let mut addresses: Vec<IpNet> =
            ["192.0.2.1/24", "2001:db8::1/64", "fe80::1/64", "10.0.0.1/8", "fe80::2/64"]
                .map(|net| net.parse().unwrap())
                .into();
        addresses.extend((0..9).map(|i| format!("fd00::{i}/64").parse::<IpNet>().unwrap()));
        let hardware = Some([2, 0, 0, 0, 0, 1]);
        let endpoint = Endpoint { hardware, mtu: 1500, addresses, ..Endpoint::default() };
        let value = endpoint.value(37, Speed(10_000));
        assert_eq!((value.flags, value.mtu, value.tai_offset_s), (0, 1500, 37));
        assert_eq!(value.octet_cost, 52_429);
        assert_eq!(value.hardware, [2, 0, 0, 0, 0, 1]);
        let octets = |word: u32| word.to_ne_bytes();
        assert_eq!(octets(value.v4[0].address), [192, 0, 2, 1]);
        assert_eq!(octets(value.v4[0].mask), [255, 255, 255, 0]);
        assert_eq!(octets(value.v4[1].address), [10, 0, 0, 1]);
        assert_eq!(value.v4[2], EndpointV4::default());
        let address = |text: &str| Address::new(text.parse::<Ipv6Addr>().unwrap().octets()).0;
        assert_eq!(value.link_local, address("fe80::1"));
        assert_eq!((value.v6[0], value.v6[7]), (address("2001:db8::1"), address("fd00::6")));
    }

    #[test]
    fn a_copy_that_stands_for_no_interface_has_the_addresses_of_all() {
        let of = |net: &str| Endpoint {
            addresses: vec![net.parse().unwrap()],
            vlan_unknown: true,
            ..Endpoint::default()
        };
        let any = Endpoint::of_any(&[of("192.0.2.1/24"), of("10.0.0.1/8")]);
        let value = any.value(0, any.speed);
        assert_eq!(value.octet_cost, 0);
        assert_eq!(value.flags, endpoint_flag::ANY_HARDWARE);
        assert!(value.v4[0].address != 0 && value.v4[1].address != 0);
    }
}

//! The frames of the measurement, of both families: what is sent, and how what comes is read.

use icmpgate_tests::{
    Frame, Ipv4, Ipv6, Message,
    frame::{ETHER_IPV4, ETHER_IPV6, internet_checksum},
    netns::{HOST4, HOST6, Namespace, PATIENCE, eventually},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    ops::Range,
};

/// Among how many ports the open one may be.
pub const CANDIDATES: u16 = 1000;
/// A port that is known to be closed.
pub const CLOSED: u16 = 39_999;

/// All networks that are played from: those of [`EXACT`], and those of them that aren't there.
pub const NETWORKS: [&str; 3] = ["172.16.0.0/12", "10.128.0.0/9", "2001:db8::/32"];
/// The networks to which errors are charged exactly.
pub const EXACT: [&str; 4] =
    ["172.24.0.0/13", "10.192.0.0/10", "2001:db8:4000::/34", "2001:db8:c000::/34"];

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, whose addresses are each of a /64 of its own, since limits count by these.
    V6,
}

/// From where a game is played: addresses of the attacker, and others that he makes up.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Of which family.
    pub family: Family,
    /// Whether from the networks of [`EXACT`].
    pub exact: bool,
}

/// What came.
pub enum Heard {
    /// Port unreachable, about a probe from this source port.
    Error {
        /// To an address of the attacker, not to one that he made up.
        own: bool,
        /// The source port.
        tag: u16,
    },
    /// The reply to the echo request with this identifier.
    Echo {
        /// The identifier.
        tag: u16,
    },
}

impl Family {
    /// The EtherType.
    pub const fn ether_type(self) -> u16 {
        match self {
            Self::V4 => ETHER_IPV4,
            Self::V6 => ETHER_IPV6,
        }
    }

    /// Who is attacked.
    fn machine(self) -> IpAddr {
        let address = match self {
            Self::V4 => HOST4,
            Self::V6 => HOST6,
        };
        address.parse().expect("an address")
    }

    /// What the counters begin with: of port unreachable, of echo requests and of their replies.
    pub const fn counted(self) -> [&'static str; 3] {
        match self {
            Self::V4 => ["gate0:egress icmpv4 3/3", "gate0 icmpv4 8/0", "gate0:egress icmpv4 0/0"],
            Self::V6 => {
                ["gate0:egress icmpv6 1/4", "gate0 icmpv6 128/0", "gate0:egress icmpv6 129/0"]
            }
        }
    }
}

impl Side {
    /// Where the open port may be: elsewhere on either side, as both are played from at the same
    /// time.
    pub const fn candidates(self) -> Range<u16> {
        let first = if self.exact { 41_000 } else { 40_000 };
        first..first + CANDIDATES
    }

    fn address(self, foreign: bool, n: u32) -> IpAddr {
        match self.family {
            Family::V4 if foreign => {
                let network: u32 = if self.exact { 0x0ac0_0000 } else { 0x0a80_0000 };
                Ipv4Addr::from(network + n % (1 << 22)).into()
            }
            Family::V4 => {
                let network: u32 = if self.exact { 0xac18_0000 } else { 0xac10_0000 };
                Ipv4Addr::from(network + 1 + n % (1 << 16)).into()
            }
            Family::V6 => {
                let network = (u32::from(foreign) << 31) | (u32::from(self.exact) << 30);
                let network = (0x2001_0db8_u128 << 32) | u128::from(network | (n % (1 << 30)));
                Ipv6Addr::from((network << 64) | 1).into()
            }
        }
    }

    /// Whether a destination, or the first octets of one, is an address of the attacker or one that
    /// he made up; `None` where it is neither, but of the other side.
    fn is_own(self, destination: &[u8]) -> Option<bool> {
        let (own, exact) = match (self.family, destination) {
            (Family::V4, [172, second, ..]) => (true, *second >= 24),
            (Family::V4, [10, second, ..]) => (false, *second >= 192),
            (Family::V6, [0x20, 0x01, 0x0d, 0xb8, fifth, ..]) => {
                (fifth & 0x80 == 0, fifth & 0x40 != 0)
            }
            _ => return None,
        };
        (exact == self.exact).then_some(own)
    }

    /// A datagram from an address and a port to a port of the machine.
    fn datagram(self, source: IpAddr, tag: u16, port: u16) -> Vec<u8> {
        let mut udp: Vec<u8> = [tag, port, 8, 0].into_iter().flat_map(u16::to_be_bytes).collect();
        match (source, self.family.machine()) {
            // Without a checksum, as IPv4 allows.
            (IpAddr::V4(source), IpAddr::V4(machine)) => {
                Ipv4::default().from(source).to(machine).payload(17, udp).into()
            }
            (IpAddr::V6(source), IpAddr::V6(machine)) => {
                let mut pseudo = [source.octets(), machine.octets()].concat();
                pseudo.extend([0, 0, 0, 8, 0, 0, 0, 17]);
                pseudo.extend(&udp);
                // Zero stands for none, which IPv6 doesn't allow (RFC 8200 8.1).
                let sum = internet_checksum(&pseudo);
                udp[6..].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
                Ipv6::default().from(source).to(machine).payload(17, udp).into()
            }
            _ => unreachable!("both are of the same family"),
        }
    }

    /// A probe of a port under an own address.
    pub fn own(self, n: u32, tag: u16, port: u16) -> Vec<u8> {
        self.datagram(self.address(false, n), tag, port)
    }

    /// A probe of a port under an address that is made up.
    pub fn foreign(self, n: u32, tag: u16, port: u16) -> Vec<u8> {
        self.datagram(self.address(true, n), tag, port)
    }

    /// An echo request, from one of several addresses, so that no limit by source meets it.
    pub fn echo(self, tag: u16) -> Vec<u8> {
        let message = |ty| Message::new(ty, 0).half(tag).half(1);
        match (self.address(false, 0xf000 + u32::from(tag % 16)), self.family.machine()) {
            (IpAddr::V4(source), IpAddr::V4(machine)) => {
                Ipv4::default().from(source).to(machine).icmp(message(8)).into()
            }
            (IpAddr::V6(source), IpAddr::V6(machine)) => {
                Ipv6::default().from(source).to(machine).icmp(message(128)).into()
            }
            _ => unreachable!("both are of the same family"),
        }
    }

    /// What a frame says; `None` for any other, and for those of the other side.
    pub fn hear(self, frame: &[u8]) -> Option<Heard> {
        // The header of IP; in it the protocol and the destination. Ethernet comes before it, and
        // after it the message, which quotes such a header and what came behind that.
        let (header, protocol, to) = match self.family {
            Family::V4 => (20, 9, 16),
            Family::V6 => (40, 6, 24),
        };
        let ip = frame.get(14..)?;
        let message = ip.get(header..)?;
        let half = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let own = self.is_own(ip.get(to..header)?)?;
        match (self.family, *ip.get(protocol)?, message) {
            (Family::V4, 1, [3, 3, ..]) | (Family::V6, 58, [1, 4, ..]) => {
                Some(Heard::Error { own, tag: half(8 + header)? })
            }
            (Family::V4, 1, [0, 0, ..]) | (Family::V6, 58, [129, 0, ..]) => {
                Some(Heard::Echo { tag: half(4)? })
            }
            _ => None,
        }
    }

    /// Opens a port.
    pub fn open(self, namespace: &Namespace, port: u16) -> OpenPort {
        let mut socket = None;
        let bound = eventually(PATIENCE, || {
            socket = namespace.run(|| UdpSocket::bind((self.family.machine(), port)).ok());
            socket.is_some()
        });
        assert!(bound, "port {port} is free");
        OpenPort { socket: socket.expect("it is bound"), side: self }
    }
}

/// A port of the machine that is open while this lives.
pub struct OpenPort {
    socket: UdpSocket,
    side: Side,
}

impl Drop for OpenPort {
    /// A process that is being started elsewhere may hold a copy of the socket for a moment, so
    /// that to close it isn't enough: a socket with a peer is closed to everybody else.
    fn drop(&mut self) {
        let nobody = (self.side.address(false, 0xffff), 9);
        self.socket.connect(nobody).expect("a socket can have a peer");
    }
}

/// The hardware addresses that all frames of the tests have: the machine's and its neighbour's.
pub fn hardware_addresses() -> [String; 2] {
    let frame = Frame::new(0, []).build();
    [&frame[..6], &frame[6..12]].map(|octets| {
        let octets: Vec<_> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        octets.join(":")
    })
}

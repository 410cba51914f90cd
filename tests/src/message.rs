//! Messages of ICMP, ICMPv6 and IGMP: all begin with type, code (or what stands in its place) and
//! checksum.

use crate::frame::{Ipv4, Ipv6, internet_checksum};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A message. Its checksum is right unless it is said to be wrong.
#[derive(Clone, Debug)]
pub struct Message {
    octets: Vec<u8>,
    checksum_off: u16,
}

impl Message {
    /// Type, code and checksum.
    #[must_use]
    pub fn new(ty: u8, code: u8) -> Self {
        Self { octets: vec![ty, code, 0, 0], checksum_off: 0 }
    }

    /// These octets, cut short where there are fewer than four, so that there is no checksum.
    #[must_use]
    pub fn raw(octets: impl Into<Vec<u8>>) -> Self {
        Self { octets: octets.into(), checksum_off: 0 }
    }

    /// Then these octets.
    #[must_use]
    pub fn octets(mut self, octets: impl AsRef<[u8]>) -> Self {
        self.octets.extend(octets.as_ref());
        self
    }

    /// Then 16 bits.
    #[must_use]
    pub fn half(self, value: u16) -> Self {
        self.octets(value.to_be_bytes())
    }

    /// Then 32 bits.
    #[must_use]
    pub fn word(self, value: u32) -> Self {
        self.octets(value.to_be_bytes())
    }

    /// As long as this: longer by a pattern that has no zeros, or cut.
    #[must_use]
    pub fn length(mut self, length: usize) -> Self {
        let from = self.octets.len();
        self.octets.extend((from..length).map(|i| (i * 37 % 255) as u8 + 1));
        self.octets.truncate(length);
        self
    }

    /// As long as this, with zeros, or cut.
    #[must_use]
    pub fn zeros(mut self, length: usize) -> Self {
        self.octets.resize(length, 0);
        self
    }

    /// A checksum that is off by these bits.
    #[must_use]
    pub const fn bad_checksum(mut self, bits: u16) -> Self {
        self.checksum_off = bits;
        self
    }

    /// Its length.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub const fn len(&self) -> usize {
        self.octets.len()
    }

    /// Its octets, summed with a pseudo-header before them.
    #[must_use]
    pub fn build(&self, pseudo: &[u8]) -> Vec<u8> {
        let mut octets = self.octets.clone();
        if octets.len() >= 4 {
            octets[2..4].fill(0);
            // The pseudo-header has an even length.
            let sum = internet_checksum(&[pseudo, &octets].concat()) ^ self.checksum_off;
            octets[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        octets
    }
}

/// An echo request or reply of either family, of 8 octets.
#[must_use]
pub fn echo(ty: u8) -> Message {
    Message::new(ty, 0).half(0x4d2).half(1)
}

/// An ICMPv4 error about a UDP packet of `quote_v4`.
#[must_use]
pub fn error_v4(ty: u8, code: u8, word: u32) -> Message {
    Message::new(ty, code).word(word).octets(quote_v4())
}

/// An ICMPv6 error about a UDP packet.
#[must_use]
pub fn error_v6(ty: u8, code: u8, word: u32) -> Message {
    Message::new(ty, code).word(word).octets(quote_v6())
}

const UDP: [u8; 8] = [0x82, 0x35, 0x00, 0x35, 0, 8, 0, 0];

/// The header of a UDP packet of 1,500 octets from here, and 8 octets of it.
#[must_use]
pub fn quote_v4() -> Vec<u8> {
    Ipv4::between("198.51.100.1", "203.0.113.9").payload(17, UDP).total_length(1500).packet()
}

/// The header of a UDP packet of 1,500 octets from here, and 8 octets of it.
#[must_use]
pub fn quote_v6() -> Vec<u8> {
    Ipv6::between("2001:db8:2::1", "2001:db8:9::1").payload(17, UDP).payload_length(1460).packet()
}

fn group(text: &str) -> [u8; 4] {
    text.parse::<Ipv4Addr>().expect("a group").octets()
}

fn group6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().expect("a group").octets()
}

/// An IGMP message of 8 octets: type, maximum response time, group.
#[must_use]
pub fn igmp(ty: u8, second: u8, of: &str) -> Message {
    Message::new(ty, second).octets(group(of))
}

/// An IGMP version 3 query that counts so many sources and has so many.
#[must_use]
pub fn igmp_query_v3(of: &str, counted: u16, present: usize) -> Message {
    let message = igmp(0x11, 100, of).octets([2, 125]).half(counted);
    let length = message.len() + 4 * present;
    message.length(length)
}

/// A message of MLD version 1.
#[must_use]
pub fn mld(ty: u8, of: &str) -> Message {
    Message::new(ty, 0).half(1000).half(0).octets(group6(of))
}

/// An MLD version 2 query that counts so many sources and has so many.
#[must_use]
pub fn mld_query_v2(of: &str, counted: u16, present: usize) -> Message {
    let message = mld(130, of).octets([2, 125]).half(counted);
    let length = message.len() + 16 * present;
    message.length(length)
}

/// A group record of IGMP version 3: type, words of auxiliary data, sources.
#[must_use]
pub fn record(ty: u8, auxiliary: u8, sources: u16) -> Vec<u8> {
    let mut octets = vec![ty, auxiliary];
    octets.extend(sources.to_be_bytes());
    octets.extend(group("239.1.2.3"));
    octets.extend(vec![9; usize::from(sources) * 4 + usize::from(auxiliary) * 4]);
    octets
}

/// A group record of MLD version 2.
#[must_use]
pub fn record6(ty: u8, auxiliary: u8, sources: u16) -> Vec<u8> {
    let mut octets = vec![ty, auxiliary];
    octets.extend(sources.to_be_bytes());
    octets.extend(group6("ff0e::1:2:3"));
    octets.extend(vec![9; usize::from(sources) * 16 + usize::from(auxiliary) * 4]);
    octets
}

/// A report of IGMP version 3 that counts so many records and has these.
#[must_use]
pub fn igmp_report(counted: u16, records: &[Vec<u8>]) -> Message {
    Message::new(0x22, 0).half(0).half(counted).octets(records.concat())
}

/// A report of MLD version 2.
#[must_use]
pub fn mld_report(counted: u16, records: &[Vec<u8>]) -> Message {
    Message::new(143, 0).half(0).half(counted).octets(records.concat())
}
